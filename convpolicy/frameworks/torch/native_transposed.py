"""Runs the real ``torch.nn.ConvTranspose1d``, for ``convpolicy verify``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from convpolicy.core.spec import ConvSpec
from convpolicy.frameworks.torch import native

seed, version, parameters, give, run = native.seed, native.version, native.parameters, native.give, native.run
PADDINGS = (0, 1, 2)
OUTPUT_PADDINGS = (0, 1, 2)


def build(spec: ConvSpec, arguments: Mapping[str, Any]) -> Any:
    return torch.nn.ConvTranspose1d(
        spec.in_channels,
        spec.out_channels,
        spec.kernel_size,
        spec.stride,
        dilation=spec.dilation,
        groups=spec.groups,
        **arguments,
    )
