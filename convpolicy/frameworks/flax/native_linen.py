"""Runs the real ``flax.linen.Conv`` as a top-level module with ``jax.random.key(seed)``, for ``convpolicy verify``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen

from convpolicy.core.spec import ConvSpec
from convpolicy.frameworks.flax.native_nnx import PADDINGS, flax_arguments, version

LAYERS_IN_A_ROW = 1  # for a top-level module; the key of a module inside another depends on its path
__all__ = ["PADDINGS", "build", "give", "parameters", "run", "seed", "version"]

_keys = [jax.random.key(0)]


def seed(number: int) -> None:
    _keys[0] = jax.random.key(number)


def build(spec: ConvSpec, arguments: Mapping[str, Any]) -> Any:
    module = linen.Conv(
        spec.out_channels,
        (spec.kernel_size,),
        strides=spec.stride,
        kernel_dilation=spec.dilation,
        feature_group_count=spec.groups,
        **flax_arguments(arguments),
    )
    length = spec.effective_kernel  # long enough for every padding
    return {"module": module, "variables": module.init(_keys[0], jnp.zeros((1, length, spec.in_channels)))}


def parameters(layer: Any) -> dict[str, Any]:
    return {name: np.asarray(value) for name, value in layer["variables"]["params"].items()}


def give(layer: Any, values: Mapping[str, Any]) -> None:
    layer["variables"] = {"params": {name: jnp.asarray(value) for name, value in values.items()}}


def run(layer: Any, data: Any) -> Any:
    return np.asarray(layer["module"].apply(layer["variables"], jnp.asarray(data)))
