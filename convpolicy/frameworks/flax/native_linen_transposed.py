"""Runs the real ``flax.linen.ConvTranspose`` as a top-level module with ``jax.random.key(seed)``, for ``convpolicy verify``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
from flax import linen

from convpolicy.core.spec import ConvSpec
from convpolicy.frameworks.flax.native_linen import LAYERS_IN_A_ROW, _keys, give, parameters, run, seed, version
from convpolicy.frameworks.flax.native_nnx_transposed import PADDINGS, flax_arguments, require_no_groups

__all__ = ["LAYERS_IN_A_ROW", "PADDINGS", "build", "give", "parameters", "run", "seed", "version"]


def build(spec: ConvSpec, arguments: Mapping[str, Any]) -> Any:
    return build_with(spec, arguments, transpose_kernel=False)


def build_with(spec: ConvSpec, arguments: Mapping[str, Any], *, transpose_kernel: bool) -> Any:
    """Build a module with a value of ``transpose_kernel``, and its variables."""
    require_no_groups(spec)
    module = linen.ConvTranspose(spec.out_channels, transpose_kernel=transpose_kernel, **flax_arguments(spec, arguments))
    length = spec.effective_kernel  # long enough for every padding
    return {"module": module, "variables": module.init(_keys[0], jnp.zeros((1, length, spec.in_channels)))}
