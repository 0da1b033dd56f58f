"""Modules with windows but no weights, as layers of a sharded model: paddings and poolings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import torch.nn.functional as F  # noqa: N812 - torch's own convention
from torch import nn

from convpolicy.core.named import policy
from convpolicy.core.spec import ConvSpec
from convpolicy.errors import InvalidValueError
from convpolicy.frameworks.torch.chunks.modules import PADS, sides_of
from convpolicy.frameworks.torch.chunks.windows import WindowArrays, mode_of
from convpolicy.layers.capture import one

Window: TypeAlias = "tuple[WindowArrays, Any, ConvSpec]"  # arrays, policy and sizes


def _padding(module: Any, channels: int) -> Window:
    mode = mode_of(PADS[type(module)], getattr(module, "value", 0))
    rule = policy("torch").evolve(padding=sides_of(module), padding_mode=mode)
    return WindowArrays(module, lambda data: data), rule, ConvSpec.of(channels, channels, 1, 1, 1, channels)


def _pool(function: Callable[..., Any], module: Any, channels: int) -> Window:
    kernel, stride, padding = one(module.kernel_size), one(module.stride), one(module.padding)
    if module.ceil_mode or getattr(module, "return_indices", False) or one(getattr(module, "dilation", 1)) != 1:
        raise InvalidValueError("ceil_mode, return_indices and dilation are not supported; leave them out.")
    if padding and not getattr(module, "count_include_pad", False):
        raise InvalidValueError(f"its padding of {padding} samples is not read as 0; pad the input before.")
    spec = ConvSpec.of(channels, channels, kernel, stride, 1, channels)
    return (
        WindowArrays(module, lambda data: function(data, kernel, stride)),
        policy("torch").evolve(padding=(padding, padding)),
        spec,
    )


WINDOWS: dict[type, Callable[[Any, int], Window]] = dict.fromkeys(PADS, _padding) | {
    nn.AvgPool1d: lambda module, channels: _pool(F.avg_pool1d, module, channels),
    nn.MaxPool1d: lambda module, channels: _pool(F.max_pool1d, module, channels),
}
