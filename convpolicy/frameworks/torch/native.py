"""Runs the real ``torch.nn.Conv1d``, for ``convpolicy verify``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from convpolicy.core.spec import ConvSpec

seed = torch.manual_seed
PADDINGS = (0, 2)
PADDING_MODES = ("zeros", "reflect", "replicate", "circular")


def version() -> str:
    return str(torch.__version__).partition("+")[0]


def build(spec: ConvSpec, arguments: Mapping[str, Any]) -> Any:
    return built(torch.nn.Conv1d, spec, arguments)


def built(kind: Any, spec: ConvSpec, arguments: Mapping[str, Any]) -> Any:
    """Build a layer of a class, of a convolution or of a transposed convolution."""
    return kind(
        spec.in_channels,
        spec.out_channels,
        spec.kernel_size,
        spec.stride,
        dilation=spec.dilation,
        groups=spec.groups,
        **arguments,
    )


def parameters(layer: Any) -> dict[str, Any]:
    return {name: value.detach().numpy() for name, value in layer.named_parameters()}


def give(layer: Any, values: Mapping[str, Any]) -> None:
    layer.load_state_dict({name: torch.from_numpy(np.array(value)) for name, value in values.items()})


def run(layer: Any, data: Any) -> Any:
    with torch.no_grad():
        return layer(torch.from_numpy(np.array(data))).numpy()
