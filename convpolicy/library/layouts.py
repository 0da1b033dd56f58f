"""The built-in layouts of weights and data, with the frameworks that use them."""

from __future__ import annotations

from convpolicy.parts.layout import Layout
from convpolicy.registry.marks import hookimpl


@hookimpl
def convpolicy_layouts() -> list[Layout]:
    """Return the built-in layouts."""
    return [
        Layout("OIW", "OIW", description="Weight (out, in/groups, kernel): torch, Paddle, ONNX."),
        Layout("OI1W", "OI1W", description="Weight (out, in/groups, 1, kernel): mindspore.nn.Conv1d, which uses a Conv2d."),
        Layout("WIO", "WIO", weight="kernel", description="Kernel (kernel, in/groups, out): TensorFlow, Keras, Flax."),
        Layout("OWI", "OWI", description="Weight (out, kernel, in/groups): MLX."),
        Layout("WIM", "WIM", weight="kernel", description="Kernel (kernel, in, multiplier): Keras DepthwiseConv1D."),
        Layout(
            "IOW",
            "IOW",
            transposed=True,
            fan_in="O",
            description="Weight (in, out/groups, kernel) of a transposed convolution: torch, Paddle, ONNX.",
        ),
        Layout(
            "WOI",
            "WOI",
            weight="kernel",
            transposed=True,
            fan_in="O",
            description="Kernel (kernel, out/groups, in) of a transposed convolution: Keras, and Flax with transpose_kernel=True.",
        ),
        Layout("NCW", "NCW", weight="", bias="", description="Data (batch, channels, length): torch, MindSpore, ONNX."),
        Layout("NWC", "NWC", weight="", bias="", description="Data (batch, length, channels): TensorFlow, Keras, Flax."),
    ]
