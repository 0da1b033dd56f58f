"""Runs the real ``flax.nnx.ConvTranspose`` with ``transpose_kernel=True``, for ``convpolicy verify``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from convpolicy.core.spec import ConvSpec
from convpolicy.frameworks.flax.native_nnx_transposed import PADDINGS, build_with, give, parameters, run, seed, version

__all__ = ["PADDINGS", "build", "give", "parameters", "run", "seed", "version"]


def build(spec: ConvSpec, arguments: Mapping[str, Any]) -> Any:
    return build_with(spec, arguments, transpose_kernel=True)
