"""What the tests of one Keras backend share: which backend this process has, and a layer of each kind."""

from __future__ import annotations

import keras
import numpy as np

import convpolicy as cp
from convpolicy.frameworks.keras.depthwise import NAMES
from convpolicy.frameworks.keras.layer import PaddedConv1D, PaddedDepthwiseConv1D
from convpolicy.frameworks.keras.plugin import RUNS_ON
from convpolicy.frameworks.keras.transposed_layer import CroppedConv1DTranspose

Choice = cp.Choice
RUNS = keras.config.backend()
NAME = next(name for name, framework in RUNS_ON.items() if framework == RUNS)
BACKEND = cp.backends()[NAME]
DEPTHWISE = NAMES[NAME]
EXACT_DTYPES = ("float32", "float64") if "float64" in BACKEND.dtypes else ("float32",)
CHANNELS = np.array([0.5, -1.0, 2.0, 3.0])
Conv1D, DepthwiseConv1D, Conv1DTranspose = keras.layers.Conv1D, keras.layers.DepthwiseConv1D, keras.layers.Conv1DTranspose

# those with a learned constant
LEARNED_LAYERS = {
    "learned": ({"padding": "causal", "padding_mode": Choice("constant", value=0.5, learned=True)}, PaddedConv1D),
    "learned, one side": (
        {"padding": (1, 2), "padding_mode": ("odd", Choice("constant", value=CHANNELS, learned=True)), "bias": True}, PaddedConv1D,
    ),
    "depthwise learned": (
        {"policy": DEPTHWISE, "groups": 4, "padding": 2, "padding_mode": Choice("constant", value=CHANNELS, learned=True)},
        PaddedDepthwiseConv1D,
    ),
}  # fmt: skip
# options of cp.Conv1d -> the class of the layer
LAYERS = {
    "valid": ({}, Conv1D),
    "causal": ({"padding": "causal", "stride": 2}, Conv1D),
    "same": ({"padding": "same"}, Conv1D),
    "same, stride": ({"padding": "same", "stride": 2}, Conv1D),
    "same_lower": ({"padding": "same_lower", "stride": 2}, PaddedConv1D),
    "pair": ({"padding": (3, 1)}, PaddedConv1D),
    "stride and dilation": ({"policy": "torch", "padding": 2, "stride": 2, "dilation": 2}, PaddedConv1D),
    "constant": ({"padding": "causal", "padding_mode": Choice("constant", value=1.5)}, PaddedConv1D),
    "reflect": ({"padding": (2, 1), "padding_mode": "reflect"}, PaddedConv1D),
    "symmetric": ({"padding": 2, "padding_mode": "symmetric"}, PaddedConv1D),
    "replicate by length": ({"padding": "same", "stride": 2, "padding_mode": "replicate"}, PaddedConv1D),
    "circular": ({"padding": 2, "padding_mode": "circular"}, PaddedConv1D),
    "cut by length": ({"padding": "chomp", "stride": 2}, PaddedConv1D),
    "cut": ({"padding": Choice("crop", left=1, right=2), "padding_mode": "replicate"}, PaddedConv1D),
    "zero-extended": ({"padding": (20, 1), "padding_mode": Choice("reflect", overflow="zero-extend")}, PaddedConv1D),
    "depthwise": ({"policy": DEPTHWISE, "groups": 4, "padding": "same", "stride": 2, "dilation": 2}, DepthwiseConv1D),
    "depthwise reflect": ({"policy": DEPTHWISE, "groups": 4, "padding": 2, "padding_mode": "reflect"}, PaddedDepthwiseConv1D),
    "per side": ({"padding": (2, 1), "padding_mode": ("reflect", Choice("constant", value=2.5))}, PaddedConv1D),
    "per channel": ({"padding": (2, 1), "padding_mode": Choice("constant", value=CHANNELS, left=-2.0)}, PaddedConv1D),
    "odd": ({"padding": (2, 1), "padding_mode": "odd"}, PaddedConv1D),
    "odd, folded": ({"padding": (20, 1), "padding_mode": Choice("odd", overflow="periodic")}, PaddedConv1D),
    "ramp by length": ({"padding": "same", "stride": 2, "padding_mode": Choice("linear_ramp", value=CHANNELS)}, PaddedConv1D),
    "sum, cut": ({"padding": Choice("crop", left=-1, right=2), "padding_mode": "extrapolate"}, PaddedConv1D),
    **LEARNED_LAYERS,
}
# options of cp.ConvTranspose1d -> the class of the layer
TRANSPOSED_LAYERS = {
    "transposed valid": ({"stride": 2}, Conv1DTranspose),
    "transposed same": ({"padding": "same", "stride": 2}, Conv1DTranspose),
    "transposed same, output_padding": ({"padding": "same", "output_padding": 2, "stride": 4}, Conv1DTranspose),
    "transposed pair": ({"padding": (0, 2), "stride": 2}, CroppedConv1DTranspose),
    "transposed, appended": ({"padding": (-2, -5), "stride": 2}, CroppedConv1DTranspose),
    "transposed, groups": ({"groups": 4, "stride": 3}, CroppedConv1DTranspose),
    "transposed, stride and dilation": ({"policy": "torch", "padding": 2, "stride": 2, "dilation": 3}, CroppedConv1DTranspose),
    "transposed circular": ({"padding": (1, 4), "stride": 2, "padding_mode": "circular"}, CroppedConv1DTranspose),
    "transposed by length": ({"padding": "by_length", "stride": 2}, CroppedConv1DTranspose),
}  # fmt: skip
# those that TensorFlow may compile with XLA before it knows the length
OF_ANY_LENGTH = {
    *("valid", "causal", "same", "same, stride", "pair", "stride and dilation", "constant", "reflect", "symmetric"),
    *("depthwise", "depthwise reflect", "per channel", "learned", "depthwise learned"),
    *(TRANSPOSED_LAYERS.keys() - {"transposed by length"}),
}


class ByLength:
    """A plugin with a crop rule that needs the length."""

    @cp.hookimpl
    def convpolicy_crop_rules(self):
        """Keep 8 samples more than the input has."""
        return [cp.CropRule("by_length", by_length, needs_length=True)]


def by_length(kernel, stride, dilation, length):
    """Cut all but length + 8 samples, one on the left."""
    return 1, (length - 1) * stride + (kernel - 1) * dilation - length - 8


cp.register(ByLength(), "by-length")


def built(options, **more):
    """A layer of 4 → 8 channels, kernel 3."""
    transposed = any(options is own for own, _kind in TRANSPOSED_LAYERS.values())
    factory = cp.ConvTranspose1d if transposed else cp.Conv1d
    return factory(4, 8, 3, **({"policy": NAME, "backend": NAME} | options | more))


def random(*shape, dtype="float32"):
    """Random data, the same at every call."""
    return np.random.default_rng(0).standard_normal(shape).astype(dtype)


def computed(layer, data):
    """The output for (batch, length, channels), as an array."""
    return np.array(keras.ops.convert_to_numpy(layer(data)))
