"""Runs the real ``paddle.nn.Conv1DTranspose``, for ``convpolicy verify``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import paddle

from convpolicy.core.spec import ConvSpec
from convpolicy.frameworks.paddle.native import built, give, parameters, run, seed, version

__all__ = ["OUTPUT_PADDINGS", "PADDINGS", "build", "give", "parameters", "run", "seed", "version"]

PADDINGS = (0, 2, (1, 2))
OUTPUT_PADDINGS = (0, 1)


def build(spec: ConvSpec, arguments: Mapping[str, Any]) -> Any:
    return built(paddle.nn.Conv1DTranspose, spec, arguments)
