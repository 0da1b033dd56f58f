"""The 1-D convolutions of a ``mlx.nn.Module``, under the names that ``save_weights`` gives them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import mlx.core as mx
from mlx import nn

from convpolicy.layers.whole_models import Convolution, roles, walk


def convolutions(model: Any, every_path: bool) -> Iterator[Convolution] | None:
    """Return an iterator of what is or is called a Conv1d in a model, in the order of its parameters; None for another object.

    MLX looks for parameters in attributes that are modules, lists or dicts, and neither in tuples nor behind a leading underscore.
    """
    if not isinstance(model, nn.Module):
        return None
    modules = walk(model, _children, lambda module: isinstance(module, nn.Conv1d), every_path)
    return (Convolution(path, module, roles(_names(module))) for path, module in modules)


def _children(module: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(module, nn.Module):
        items: Any = ((name, child) for name, child in module.items() if not name.startswith("_"))
    else:
        items = enumerate(module) if isinstance(module, list) else module.items()
    return ((str(name), child) for name, child in items if isinstance(child, (dict, list)))


def _names(module: nn.Module) -> list[str]:
    return [name for name, value in module.items() if isinstance(value, mx.array)]
