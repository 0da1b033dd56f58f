"""Runs the real ``keras.layers.Conv1DTranspose`` on the backend in KERAS_BACKEND, for ``convpolicy verify``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras

from convpolicy.core.spec import ConvSpec
from convpolicy.frameworks.keras.native import built, give, keywords, parameters, run, seed, version

OUTPUT_PADDINGS = (0, 1, 2)
__all__ = ["OUTPUT_PADDINGS", "build", "give", "parameters", "run", "seed", "version"]


def build(spec: ConvSpec, arguments: Mapping[str, Any]) -> Any:
    if spec.groups > 1:
        raise ValueError(f"groups must be 1, which is all that keras.layers.Conv1DTranspose has, got {spec.groups}; pass 1.")
    sizes = spec.out_channels, spec.kernel_size, spec.stride
    return built(keras.layers.Conv1DTranspose(*sizes, dilation_rate=spec.dilation, **keywords(arguments)), spec)
