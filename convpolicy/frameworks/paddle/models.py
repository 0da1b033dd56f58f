"""The 1-D convolutions of a ``paddle.nn.Layer``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from paddle import nn

from convpolicy.layers.whole_models import Convolution, roles, walk


def convolutions(model: Any, every_path: bool) -> Iterator[Convolution] | None:
    """List the layers of a model that are a Conv1D or a Conv1DTranspose, or are named like one.

    Returns:
        An iterator in the order of ``named_sublayers``, or None if ``model`` is not a ``paddle.nn.Layer``.
    """
    if not isinstance(model, nn.Layer):
        return None
    layers = walk(model, _children, lambda layer: isinstance(layer, (nn.Conv1D, nn.Conv1DTranspose)), every_path)
    return (Convolution(path, layer, roles(_names(layer)), parents=parents) for path, layer, parents in layers)


def _children(layer: nn.Layer) -> Iterator[tuple[str, Any]]:
    return ((name, child) for name, child in layer._sub_layers.items() if child is not None)


def _names(layer: nn.Layer) -> list[str]:
    return [name for name, value in layer.named_parameters() if value is not None]
