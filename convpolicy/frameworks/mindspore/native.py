"""Runs the real ``mindspore.nn.Conv1d``, for ``convpolicy verify``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import mindspore
import numpy as np

from convpolicy.core.spec import ConvSpec

seed = mindspore.set_seed
PADDINGS = (0, 2)


def version() -> str:
    return str(mindspore.__version__)


def own_arguments(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return MindSpore's arguments: has_bias, pad_mode and padding."""
    own = {"has_bias" if name == "bias" else name: value for name, value in arguments.items()}
    if isinstance(own.get("padding"), str):
        own["pad_mode"] = own.pop("padding")
    elif "padding" in own:
        own["pad_mode"] = "pad"
    return own


def build(spec: ConvSpec, arguments: Mapping[str, Any]) -> Any:
    return built(mindspore.nn.Conv1d, spec, arguments)


def built(kind: Any, spec: ConvSpec, arguments: Mapping[str, Any]) -> Any:
    """Build a layer of a class, of a convolution or of a transposed convolution."""
    return kind(
        spec.in_channels,
        spec.out_channels,
        spec.kernel_size,
        spec.stride,
        dilation=spec.dilation,
        group=spec.groups,
        **own_arguments(arguments),
    )


def parameters(layer: Any) -> dict[str, Any]:
    return {name: value.asnumpy() for name, value in layer.parameters_dict().items()}


def give(layer: Any, values: Mapping[str, Any]) -> None:
    for name, parameter in layer.parameters_dict().items():
        parameter.set_data(mindspore.Tensor(np.array(values[name])))


def run(layer: Any, data: Any) -> Any:
    return layer(mindspore.Tensor(np.array(data))).asnumpy()
