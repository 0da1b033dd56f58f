"""Runs the real ``flax.nnx.Conv`` with one ``nnx.Rngs(seed)``, for ``convpolicy verify``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import flax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from convpolicy.core.spec import ConvSpec

PADDINGS = (0, 2, (2, 1))
_rngs = [nnx.Rngs(0)]


def version() -> str:
    return str(flax.__version__)


def seed(number: int) -> None:
    _rngs[0] = nnx.Rngs(number)


def flax_arguments(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return arguments under Flax's names, with a pair of pads in a list of spatial axes."""
    renamed = {"use_bias" if name == "bias" else name: value for name, value in arguments.items()}
    if isinstance(renamed.get("padding"), tuple):
        renamed["padding"] = [renamed["padding"]]
    return renamed


def build(spec: ConvSpec, arguments: Mapping[str, Any]) -> Any:
    return nnx.Conv(
        spec.in_channels,
        spec.out_channels,
        (spec.kernel_size,),
        strides=spec.stride,
        kernel_dilation=spec.dilation,
        feature_group_count=spec.groups,
        rngs=_rngs[0],
        **flax_arguments(arguments),
    )


def parameters(layer: Any) -> dict[str, Any]:
    variables = {"kernel": layer.kernel, "bias": layer.bias}
    return {name: np.asarray(value.value) for name, value in variables.items() if value is not None}


def give(layer: Any, values: Mapping[str, Any]) -> None:
    for name, value in values.items():
        getattr(layer, name).value = jnp.asarray(value)


def run(layer: Any, data: Any) -> Any:
    return np.asarray(layer(jnp.asarray(data)))
