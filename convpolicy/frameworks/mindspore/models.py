"""The 1-D convolutions of a ``mindspore.nn.Cell``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mindspore import mint, nn

from convpolicy.layers.whole_models import Convolution, roles, walk

KINDS = (nn.Conv1d, nn.Conv1dTranspose, mint.nn.Conv1d)


def convolutions(model: Any, every_path: bool) -> Iterator[Convolution] | None:
    """List the layers of a model that are a Conv1d or a Conv1dTranspose, or are named like one.

    Returns:
        An iterator in the order of ``cells_and_names``, or None if ``model`` is not a Cell.
    """
    if not isinstance(model, nn.Cell):
        return None
    cells = walk(model, _children, lambda cell: isinstance(cell, KINDS), every_path)
    return (
        Convolution(path, cell, roles(cell._params), layout="OIW" if isinstance(cell, mint.nn.Conv1d) else "", parents=parents)
        for path, cell, parents in cells
    )


def _children(cell: nn.Cell) -> Iterator[tuple[str, Any]]:
    return ((name, child) for name, child in cell._cells.items() if child is not None)
