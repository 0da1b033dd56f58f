"""``keras.layers.Conv1D`` on the backend that KERAS_BACKEND names."""

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
    sizes = spec.out_channels, spec.kernel_size, spec.stride
    return built(keras.layers.Conv1D(*sizes, dilation_rate=spec.dilation, groups=spec.groups, **keywords(words)), spec)


def keywords(words: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keywords of a policy as Keras spells them."""
    return {"use_bias" if name == "bias" else name: value for name, value in words.items()}


def built(layer: Any, spec: ConvSpec) -> Any:
    """Return a layer with its weights."""
    layer.build((None, None, spec.in_channels))
    return layer


def parameters(layer: Any) -> dict[str, Any]:
    return {weight.name: keras.ops.convert_to_numpy(weight.value) for weight in layer.weights}


def give(layer: Any, values: Mapping[str, Any]) -> None:
    layer.set_weights([np.array(values[weight.name]) for weight in layer.weights])


def run(layer: Any, data: Any) -> Any:
    return keras.ops.convert_to_numpy(layer(np.array(data)))
