"""Runs the real ``flax.linen.ConvTranspose`` with ``transpose_kernel=True``, for ``convpolicy verify``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from convpolicy.core.spec import ConvSpec
from convpolicy.frameworks.flax.native_linen_transposed import (
    LAYERS_IN_A_ROW,
    PADDINGS,
    build_with,
    give,
    parameters,
    run,
    seed,
    version,
)

__all__ = ["LAYERS_IN_A_ROW", "PADDINGS", "build", "give", "parameters", "run", "seed", "version"]


def build(spec: ConvSpec, arguments: Mapping[str, Any]) -> Any:
    return build_with(spec, arguments, transpose_kernel=True)
