"""Runs the real ``paddle.nn.Conv1D``, for ``convpolicy verify``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import paddle

from convpolicy.core.spec import ConvSpec

seed = paddle.seed
PADDINGS = (0, 2)
PADDING_MODES = ("zeros", "reflect", "replicate", "circular")


def version() -> str:
    return str(paddle.__version__)


def own_arguments(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return Paddle's arguments: bias_attr, and a pair as a list."""
    renamed = {"bias_attr" if name == "bias" else name: value for name, value in arguments.items()}
    if renamed.get("bias_attr") is True:
        del renamed["bias_attr"]  # True is not a ParamAttr; a bias is the default
    if isinstance(renamed.get("padding"), tuple):
        renamed["padding"] = list(renamed["padding"])
    return renamed


def build(spec: ConvSpec, arguments: Mapping[str, Any]) -> Any:
    return built(paddle.nn.Conv1D, spec, arguments)


def built(kind: Any, spec: ConvSpec, arguments: Mapping[str, Any]) -> Any:
    """Build a layer of a class, of a convolution or of a transposed convolution."""
    return kind(
        spec.in_channels,
        spec.out_channels,
        spec.kernel_size,
        spec.stride,
        dilation=spec.dilation,
        groups=spec.groups,
        **own_arguments(arguments),
    )


def parameters(layer: Any) -> dict[str, Any]:
    return {name: value.numpy() for name, value in layer.state_dict().items()}


def give(layer: Any, values: Mapping[str, Any]) -> None:
    layer.set_state_dict({name: paddle.to_tensor(np.array(value)) for name, value in values.items()})


def run(layer: Any, data: Any) -> Any:
    return layer(paddle.to_tensor(np.array(data))).numpy()
