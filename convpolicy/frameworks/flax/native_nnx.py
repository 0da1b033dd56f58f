"""``flax.nnx.Conv`` with one ``nnx.Rngs(seed)``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import flax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from convpolicy.core.plan import ConvSpec

PADDINGS = (0, 2, (2, 1))
_rngs = [nnx.Rngs(0)]


def version() -> str:
    return str(flax.__version__)


def seed(number: int) -> None:
    _rngs[0] = nnx.Rngs(number)


def own_words(words: Mapping[str, Any]) -> dict[str, Any]:
    """Return the words under flax's names; a pair is one for each spatial axis."""
    own = {"use_bias" if name == "bias" else name: value for name, value in words.items()}
    if isinstance(own.get("padding"), tuple):
        own["padding"] = [own["padding"]]
    return own


def build(spec: ConvSpec, words: Mapping[str, Any]) -> Any:
    return nnx.Conv(
        spec.in_channels,
        spec.out_channels,
        (spec.kernel_size,),
        strides=spec.stride,
        kernel_dilation=spec.dilation,
        feature_group_count=spec.groups,
        rngs=_rngs[0],
        **own_words(words),
    )


def parameters(layer: Any) -> dict[str, Any]:
    found = {"kernel": layer.kernel, "bias": layer.bias}
    return {name: np.asarray(value.value) for name, value in found.items() if value is not None}


def give(layer: Any, values: Mapping[str, Any]) -> None:
    for name, value in values.items():
        getattr(layer, name).value = jnp.asarray(value)


def run(layer: Any, data: Any) -> Any:
    return np.asarray(layer(jnp.asarray(data)))
