"""Runs the real ``mindspore.nn.Conv1dTranspose``, for ``convpolicy verify``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import mindspore

from convpolicy.core.spec import ConvSpec
from convpolicy.frameworks.mindspore.native import built, give, parameters, run, seed, version

__all__ = ["PADDINGS", "build", "give", "parameters", "run", "seed", "version"]

PADDINGS = (0, 2)


def build(spec: ConvSpec, arguments: Mapping[str, Any]) -> Any:
    return built(mindspore.nn.Conv1dTranspose, spec, arguments)
