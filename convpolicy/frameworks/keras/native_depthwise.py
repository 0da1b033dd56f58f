"""``keras.layers.DepthwiseConv1D`` on the backend that KERAS_BACKEND names, for ``convpolicy verify``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from convpolicy.core.plan import ConvSpec

seed = keras.utils.set_random_seed


def version() -> str:
    return str(keras.__version__)


def build(spec: ConvSpec, words: Mapping[str, Any]) -> Any:
    if spec.groups != spec.in_channels:
        raise ValueError(
            f"groups must be in_channels={spec.in_channels} for a depthwise convolution, got {spec.groups}; pass it."
        )
    own = {"use_bias" if name == "bias" else name: value for name, value in words.items()}
    multiplier = spec.out_channels // spec.in_channels
    layer = keras.layers.DepthwiseConv1D(
        spec.kernel_size, spec.stride, depth_multiplier=multiplier, dilation_rate=spec.dilation, **own
    )
    layer.build((None, None, spec.in_channels))
    return layer


def parameters(layer: Any) -> dict[str, Any]:
    return {weight.name: keras.ops.convert_to_numpy(weight.value) for weight in layer.weights}


def give(layer: Any, values: Mapping[str, Any]) -> None:
    layer.set_weights([np.array(values[weight.name]) for weight in layer.weights])


def run(layer: Any, data: Any) -> Any:
    return keras.ops.convert_to_numpy(layer(np.array(data)))
