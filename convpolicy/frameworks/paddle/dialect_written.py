"""How ``translate`` writes Paddle code."""

from __future__ import annotations

from typing import Any

from convpolicy.frameworks.paddle.initial_code import initial
from convpolicy.frameworks.shared_code import ACTIVATIONS, NAMES
from convpolicy.translation.dialect import TargetClass, Writer
from convpolicy.translation.paddings import Padding, SamePad, require_mode, same_padding, word_or_number
from convpolicy.translation.reading import Request
from convpolicy.translation.values import code_of

LAYERS = {mode: f'nn.Pad1D([{{}}, {{}}], mode="{mode}")' for mode in ("reflect", "replicate", "circular")}
SAME = SamePad(name="{}Pad1D", base="nn.Layer", call="forward", pad="nn.functional.pad(x, [left, total - left])")


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


WRITER = Writer(
    classes=(
        TargetClass(
            code="nn.Conv1D",
            names={**NAMES, "bias": "bias_attr", "weight_init": "weight_attr", "bias_init": "bias_attr"},
            padding=padding,
        ),
    ),
    imports={"paddle": "import paddle", "nn": "from paddle import nn"},
    initial=initial,
    sequence="nn.Sequential({})",
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
