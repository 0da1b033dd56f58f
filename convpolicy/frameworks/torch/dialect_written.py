"""How ``translate`` writes torch code."""

from __future__ import annotations

from typing import Any

from convpolicy.frameworks.shared_code import ACTIVATIONS, NAMES, PAD_LAYERS
from convpolicy.frameworks.torch.initial_code import initial
from convpolicy.translation.crops import CropCode, around, as_padding
from convpolicy.translation.dialect import TargetClass, Writer
from convpolicy.translation.functions import TargetFunction
from convpolicy.translation.paddings import Padding, SamePad, require_mode, same_padding, word_or_number
from convpolicy.translation.reading import CONV_TRANSPOSE, Request
from convpolicy.translation.values import code_of

LAYERS = {**PAD_LAYERS, "circular": "nn.CircularPad1d(({}, {}))"}
SAME = SamePad(base="nn.Module", call="forward", pad="nn.functional.pad(x, (left, total - left))")

CROP = CropCode(
    crop="nn.ConstantPad1d(({minus_left}, {minus_right}), 0.0)",
    pad=LAYERS["zeros"],
    circular=(LAYERS["circular"], ()),
    base="nn.Module",
    call="forward",
    slice="..., left:stop",
)


def padding(request: Request) -> Padding:
    """Return ``padding`` and ``padding_mode`` for equal pads and torch's 'same', and a pad layer for any other padding."""
    require_mode(request, "torch", LAYERS)
    mode: dict[str, Any] = {} if request.mode == "zeros" else {"padding_mode": request.mode}
    if (name := word_or_number(request, "torch", ("valid", "same"), modes=True)) is not None:
        return Padding({} if name == "valid" else {"padding": name, **mode}, word=True)
    pads = request.pads()
    if pads is None:
        return same_padding(request, SAME, {})
    if pads == (0, 0):
        return Padding()
    if pads[0] == pads[1]:
        return Padding({"padding": pads[0], **mode})
    return Padding({}, (LAYERS[request.mode].format(*map(code_of, pads)),))


def crop(request: Request) -> Padding:
    """Return ``padding`` and ``output_padding``, or layers around a transposed convolution that cuts nothing."""
    arguments = as_padding(request)
    if arguments is None:
        return around(request, CROP)
    return Padding({name: value for name, value in zip(("padding", "output_padding"), arguments) if value != 0})


WRITER = Writer(
    classes=(
        TargetClass(code="nn.Conv1d", names=NAMES, padding=padding),
        TargetClass(code="nn.ConvTranspose1d", names=NAMES, padding=crop, layer=CONV_TRANSPOSE),
    ),
    function=TargetFunction(code="nn.functional.conv1d", names={name: name for name in ("stride", "dilation", "groups")}),
    imports={"torch": "import torch", "nn": "from torch import nn"},
    initial=initial,
    sequence="nn.Sequential({})",
    activations={
        **ACTIVATIONS,
        "selu": "nn.SELU()",
        "silu": "nn.SiLU()",
        "swish": "nn.SiLU()",
        "gelu": "nn.GELU()",
        "softplus": "nn.Softplus()",
        "leaky_relu": "nn.LeakyReLU(0.2)",
        "softmax": "nn.Softmax(dim=1)",
    },
    dtype="torch.{}",
)
