"""Runs the real ``mlx.nn.Conv1d``, for ``convpolicy verify``."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping
from typing import Any

import mlx.core as mx
import numpy as np
from mlx import nn

from convpolicy import ConvSpec

seed = mx.random.seed
PADDINGS = (0, 2)


def version() -> str:
    """Return the version of the installed MLX."""
    return importlib.metadata.version("mlx")


def build(spec: ConvSpec, words: Mapping[str, Any]) -> Any:
    """Return MLX's own layer of these sizes, with ``padding`` and ``bias`` as a user writes them."""
    return nn.Conv1d(
        spec.in_channels, spec.out_channels, spec.kernel_size, spec.stride, dilation=spec.dilation, groups=spec.groups, **words
    )


def parameters(layer: Any) -> dict[str, Any]:
    """Return weight (out, kernel, in/groups) and bias (out,) as NumPy arrays."""
    return {name: np.array(value) for name, value in layer.parameters().items()}


def give(layer: Any, values: Mapping[str, Any]) -> None:
    """Write NumPy arrays to weight (out, kernel, in/groups) and bias (out,)."""
    layer.update({name: mx.array(np.array(value)) for name, value in values.items()})


def run(layer: Any, data: Any) -> Any:
    """Run the layer on a NumPy array (batch, length, channels) and return its output as one."""
    return np.array(layer(mx.array(np.array(data))))
