"""The 1-D convolutions of a ``mlx.nn.Module``, with paths as in ``save_weights``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import mlx.core as mx
from mlx import nn

from convpolicy.layers.whole_models import Convolution, roles, walk


def convolutions(model: Any, every_path: bool) -> Iterator[Convolution] | None:
    """List the layers of a model that are a Conv1d or ConvTranspose1d or are named like one.

    Like MLX, it looks in attributes that are modules, lists or dicts. It skips tuples and names with a leading underscore.

    Returns:
        An iterator in the order of the model's parameters, or None if ``model`` is not a ``mlx.nn.Module``.
    """
    if not isinstance(model, nn.Module):
        return None
    modules = walk(model, children, lambda module: isinstance(module, (nn.Conv1d, nn.ConvTranspose1d)), every_path)
    return (Convolution(path, module, roles(_names(module)), parents=parents) for path, module, parents in modules)


def children(module: Any) -> Iterator[tuple[str, Any]]:
    """Yield name and value of what MLX looks into for parameters, in order."""
    if isinstance(module, nn.Module):
        items: Any = ((name, child) for name, child in module.items() if not name.startswith("_"))
    else:
        items = enumerate(module) if isinstance(module, list) else module.items()
    return ((str(name), child) for name, child in items if isinstance(child, (dict, list)))


def _names(module: nn.Module) -> list[str]:
    return [name for name, value in module.items() if isinstance(value, mx.array)]
