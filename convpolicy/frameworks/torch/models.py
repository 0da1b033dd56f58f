"""The 1-D convolutions of a ``torch.nn.Module``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from convpolicy.layers.whole_models import CALLED, Convolution, is_called_convolution, roles

CONVOLUTIONS = "torch.nn.modules.conv"  # module that defines torch's convolutions


def convolutions(model: Any, every_path: bool) -> Iterator[Convolution] | None:
    """List the layers of a model that are a Conv1d or a ConvTranspose1d, or are named like one.

    Returns:
        An iterator in the order of ``named_modules``, or None if ``model`` is not a ``torch.nn.Module``.
    """
    return _convolutions(model, every_path) if isinstance(model, nn.Module) else None


def _convolutions(model: nn.Module, every_path: bool) -> Iterator[Convolution]:
    inside = ""
    for path, module in model.named_modules(remove_duplicate=not every_path):
        if not (is_called_convolution(module) or _is_scripted_convolution(module)) or (inside and path.startswith(inside)):
            continue  # not a convolution, or a parametrization inside one
        if any(
            kind.__module__ == CONVOLUTIONS for kind in type(module).__mro__
        ):  # a wrapper has the name too, but contains the convolution
            inside = f"{path}."
        yield Convolution(path, module, roles(name for name, _value in module.named_parameters()))


def _is_scripted_convolution(module: nn.Module) -> bool:
    """Return True for a scripted module that was made from a class named like a convolution."""
    return isinstance(module, torch.jit.ScriptModule) and any(name in str(module.original_name) for name in CALLED)
