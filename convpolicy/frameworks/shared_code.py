"""Source code that the dialects of several frameworks share."""

from __future__ import annotations

from collections.abc import Mapping

from convpolicy.translation.meaning import SAMPLES, Meaning
from convpolicy.translation.reading import REQUIRED, literal, size, word
from convpolicy.translation.values import Expression, Value

MODES = ("zeros", "reflect", "replicate", "circular")
SIZES: Mapping[str, Value] = {"in_channels": REQUIRED, "out_channels": REQUIRED, "kernel_size": REQUIRED, "stride": 1}
WITH_MODE: Mapping[str, Value] = {"padding": 0, "dilation": 1, "groups": 1, "bias": True, "padding_mode": "zeros"}
WITH_OUTPUT_PADDING: Mapping[str, Value] = {  # of a transposed convolution, in torch's order
    "padding": 0, "output_padding": 0, "groups": 1, "bias": True, "dilation": 1, "padding_mode": "zeros",
}  # fmt: skip
NAMES = {"stride": "stride", "dilation": "dilation", "groups": "groups", "bias": "bias", "dtype": "dtype"}
ACTIVATIONS = {
    "relu": "nn.ReLU()",
    "relu6": "nn.ReLU6()",
    "sigmoid": "nn.Sigmoid()",
    "tanh": "nn.Tanh()",
    "elu": "nn.ELU()",
}
PAD_LAYERS = {
    "zeros": "nn.ConstantPad1d(({}, {}), 0.0)",
    "reflect": "nn.ReflectionPad1d(({}, {}))",
    "replicate": "nn.ReplicationPad1d(({}, {}))",
}


def number_or_word(arguments: Mapping[str, Value]) -> Meaning:
    """Read ``padding``, which is a number or a name, and ``padding_mode``."""
    mode = word("padding_mode", arguments["padding_mode"], MODES)
    padding = size("padding", arguments["padding"])
    if isinstance(padding, Expression):
        literal("padding", padding if mode != "zeros" else 0, f"padding_mode is {mode!r}")
        return Meaning(padding=padding, notes=(SAMPLES,))
    if isinstance(padding, str):
        word("padding", padding, ("same", "valid"))
    return Meaning(policy={"padding": padding, "padding_mode": mode})
