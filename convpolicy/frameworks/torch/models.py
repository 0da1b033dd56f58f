"""The Conv1d layers of a ``torch.nn.Module``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from convpolicy.layers.whole_models import CALLED, Convolution, is_called_convolution, roles

CONVOLUTIONS = "torch.nn.modules.conv"  # where torch's own are defined


def convolutions(model: Any, every_path: bool) -> Iterator[Convolution] | None:
    """Return an iterator of what is or is called a Conv1d in a model, in the order of ``named_modules``; None for another object."""
    return _listed(model, every_path) if isinstance(model, nn.Module) else None


def _listed(model: nn.Module, every_path: bool) -> Iterator[Convolution]:
    inside = ""
    for path, module in model.named_modules(remove_duplicate=not every_path):
        if not (is_called_convolution(module) or _was_called(module)) or (inside and path.startswith(inside)):
            continue  # no convolution, or a part of one: a parametrization
        if any(kind.__module__ == CONVOLUTIONS for kind in type(module).__mro__):  # a wrapper is called so too, and contains one
            inside = f"{path}."
        yield Convolution(path, module, roles(name for name, _value in module.named_parameters()))


def _was_called(module: nn.Module) -> bool:
    """Whether a scripted module was made of what is called a convolution."""
    return isinstance(module, torch.jit.ScriptModule) and any(word in str(module.original_name) for word in CALLED)
