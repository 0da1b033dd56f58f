"""Runs the real ``torch.nn.ConvTranspose1d``, for ``convpolicy verify``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from convpolicy.core.spec import ConvSpec
from convpolicy.frameworks.torch.native import built, give, parameters, run, seed, version

__all__ = ["OUTPUT_PADDINGS", "PADDINGS", "build", "give", "parameters", "run", "seed", "version"]

PADDINGS = (0, 1, 2)
OUTPUT_PADDINGS = (0, 1, 2)


def build(spec: ConvSpec, arguments: Mapping[str, Any]) -> Any:
    return built(torch.nn.ConvTranspose1d, spec, arguments)
