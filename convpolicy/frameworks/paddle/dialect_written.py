"""How ``translate`` writes Paddle code."""

from __future__ import annotations

from typing import Any

from convpolicy.frameworks.paddle.initial_code import initial
from convpolicy.frameworks.shared_code import ACTIVATIONS, NAMES
from convpolicy.translation.crops import CropCode, around, wraps
from convpolicy.translation.dialect import TargetClass, Writer
from convpolicy.translation.functions import TargetFunction
from convpolicy.translation.paddings import Padding, SamePad, require_mode, same_padding, word_or_number
from convpolicy.translation.reading import CONV_TRANSPOSE, Request
from convpolicy.translation.values import code_of

LAYERS = {mode: f'nn.Pad1D([{{}}, {{}}], mode="{mode}")' for mode in ("reflect", "replicate", "circular")}
SAME = SamePad(name="{}Pad1D", base="nn.Layer", call="forward", pad="nn.functional.pad(x, [left, total - left])")

CROP = CropCode(
    crop="nn.Pad1D([{minus_left}, {minus_right}])",
    pad="nn.Pad1D([{}, {}])",
    circular=(LAYERS["circular"], ()),
    name="SameCrop1D",
    base="nn.Layer",
    call="forward",
    slice=":, :, left:stop",
)


def padding(request: Request) -> Padding:
    """Return a number, a pair for zero pads, Paddle's 'SAME' for dilation 1, or a pad layer for any other padding."""
    require_mode(request, "paddle", ("zeros", *LAYERS))
    if (name := word_or_number(request, "paddle", ("VALID", "SAME"), modes=False)) is not None:
        return Padding({} if name == "VALID" else {"padding": name}, word=True)
    pads = request.pads()
    if pads is None:
        return same_padding(request, SAME, {})
    if pads == (0, 0):
        return Padding()
    mode: dict[str, Any] = {} if request.mode == "zeros" else {"padding_mode": request.mode}
    if pads[0] == pads[1]:
        return Padding({"padding": pads[0], **mode})
    if request.mode == "zeros":
        return Padding({"padding": list(pads)})
    return Padding({}, (LAYERS[request.mode].format(*map(code_of, pads)),))


def crop(request: Request) -> Padding:
    """Return numbers, Paddle's 'SAME' for dilation 1, or layers around a transposed convolution that cuts nothing."""
    if (name := word_or_number(request, "paddle", ("VALID", "SAME"), modes=False)) is not None:
        return Padding({} if name == "VALID" else {"padding": name}, word=True)
    pads = request.pads()
    if request.output_padding != 0:  # an expression, or with one
        padding = {"padding": request.padding} if request.padding != 0 else {}
        return Padding({**padding, "output_padding": request.output_padding})
    if pads is None or wraps(request, pads):
        return around(request, CROP)
    left, right = pads
    if isinstance(left, int) and isinstance(right, int) and right < 0 <= left:
        return _with_output_padding(request, left, right)
    if any(isinstance(side, int) and side < 0 for side in pads):
        return around(request, CROP)
    if left == right:
        return Padding({"padding": left} if left != 0 else {})
    return Padding({"padding": [left, right]})


def _with_output_padding(request: Request, left: int, right: int) -> Padding:
    """Return ``output_padding`` for samples appended on the right, which Paddle refuses on the CPU from the stride on."""
    if -right >= request.number("stride", "output_padding must be below it"):
        return around(request, CROP)
    return Padding({**({"padding": [left, 0]} if left else {}), "output_padding": -right})


ARGUMENTS = {**NAMES, "bias": "bias_attr", "weight_init": "weight_attr", "bias_init": "bias_attr"}
WRITER = Writer(
    classes=(
        TargetClass(code="nn.Conv1D", names=ARGUMENTS, padding=padding),
        TargetClass(
            code="nn.Conv1DTranspose",
            names={name: argument for name, argument in ARGUMENTS.items() if name != "dtype"},
            padding=crop,
            layer=CONV_TRANSPOSE,
        ),
    ),
    function=TargetFunction(
        code="nn.functional.conv1d",
        names={name: name for name in ("stride", "dilation", "groups")},
        transpose="{weight}.transpose({order})",
    ),
    imports={"paddle": "import paddle", "nn": "from paddle import nn"},
    initial=initial,
    sequence="nn.Sequential({})",
    dtype_statement="{layer}.to(dtype={dtype})",
    activations={
        **ACTIVATIONS,
        "selu": "nn.SELU()",
        "silu": "nn.Silu()",
        "swish": "nn.Silu()",
        "gelu": "nn.GELU()",
        "softplus": "nn.Softplus()",
        "leaky_relu": "nn.LeakyReLU(0.2)",
        "softmax": "nn.Softmax(axis=1)",
    },
)
