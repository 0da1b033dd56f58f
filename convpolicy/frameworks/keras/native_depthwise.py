"""Runs the real ``keras.layers.DepthwiseConv1D`` on the backend in KERAS_BACKEND, for ``convpolicy verify``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras

from convpolicy.core.spec import ConvSpec
from convpolicy.frameworks.keras.native import built, give, keywords, parameters, run, seed, version

__all__ = ["build", "give", "parameters", "run", "seed", "version"]


def build(spec: ConvSpec, arguments: Mapping[str, Any]) -> Any:
    if spec.groups != spec.in_channels:
        raise ValueError(
            f"groups must be in_channels={spec.in_channels} for a depthwise convolution, got {spec.groups}; pass groups=in_channels."
        )
    multiplier = spec.out_channels // spec.in_channels
    sizes = spec.kernel_size, spec.stride
    layer = keras.layers.DepthwiseConv1D(*sizes, depth_multiplier=multiplier, dilation_rate=spec.dilation, **keywords(arguments))
    return built(layer, spec)
