"""Runs the real ``mlx.nn.ConvTranspose1d``, for ``convpolicy verify``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mlx import nn

from convpolicy import ConvSpec
from convpolicy_mlx.native import PADDINGS, give, parameters, run, seed, version

__all__ = ["OUTPUT_PADDINGS", "PADDINGS", "build", "give", "parameters", "run", "seed", "version"]

OUTPUT_PADDINGS = (1, 2)


def build(spec: ConvSpec, words: Mapping[str, Any]) -> Any:
    """Return MLX's own layer of these sizes, with ``padding``, ``output_padding`` and ``bias`` as a user writes them.

    Raises:
        ValueError: several groups, which the layer does not have.
    """
    if spec.groups > 1:
        raise ValueError(f"mlx.nn.ConvTranspose1d has no groups, got groups={spec.groups}.")
    return nn.ConvTranspose1d(spec.in_channels, spec.out_channels, spec.kernel_size, spec.stride, dilation=spec.dilation, **words)
