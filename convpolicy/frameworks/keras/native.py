"""Runs the real ``keras.layers.Conv1D`` on the backend in KERAS_BACKEND, for ``convpolicy verify``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from convpolicy.core.spec import ConvSpec

seed = keras.utils.set_random_seed


def version() -> str:
    return str(keras.__version__)


def build(spec: ConvSpec, arguments: Mapping[str, Any]) -> Any:
    sizes = spec.out_channels, spec.kernel_size, spec.stride
    return built(keras.layers.Conv1D(*sizes, dilation_rate=spec.dilation, groups=spec.groups, **keywords(arguments)), spec)


def keywords(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return arguments under Keras's names."""
    return {"use_bias" if name == "bias" else name: value for name, value in arguments.items()}


def built(layer: Any, spec: ConvSpec) -> Any:
    """Build a layer's weights and return it."""
    layer.build((None, None, spec.in_channels))
    return layer


def parameters(layer: Any) -> dict[str, Any]:
    return {weight.name: keras.ops.convert_to_numpy(weight.value) for weight in layer.weights}


def give(layer: Any, values: Mapping[str, Any]) -> None:
    layer.set_weights([np.array(values[weight.name]) for weight in layer.weights])


def run(layer: Any, data: Any) -> Any:
    return keras.ops.convert_to_numpy(layer(np.array(data)))
