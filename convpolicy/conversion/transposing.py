"""Copy transposed views tile by tile."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convpolicy.conversion.tensors import Piece, in_pieces

TILE = 256  # elements per axis that are transposed at once, small enough for the cache
BLOCK = 1 << 22  # bytes of the result that are made at once


def packed_pieces(view: NDArray[Any]) -> Iterator[Piece]:
    """Yield the bytes of a transposed view in C order; the memory of a piece is used again for later ones."""
    count = max(TILE, BLOCK // max(1, view[:1].nbytes)) if view.ndim > 1 else 0
    if count == 0 or count >= len(view):
        yield from in_pieces(_fill(np.empty(view.shape, view.dtype), view))
        return
    blocks = np.empty((2, count, *view.shape[1:]), view.dtype)
    with ThreadPoolExecutor(1) as thread:  # which makes a block while the one before is written
        parts = [view[at : at + count] for at in range(0, len(view), count)]
        made = thread.submit(_fill, blocks[0], parts[0])
        for number in range(len(parts)):
            rows = made.result()
            if number + 1 < len(parts):
                made = thread.submit(_fill, blocks[(number + 1) % 2], parts[number + 1])
            yield from in_pieces(rows)


def _fill(block: NDArray[Any], view: NDArray[Any]) -> NDArray[Any]:
    """Copy a view into the first rows of a block, and return these."""
    copy = block[: len(view)] if view.ndim else block
    for corner in np.ndindex(*(-(-length // TILE) for length in view.shape)):
        tile = tuple(slice(at * TILE, (at + 1) * TILE) for at in corner)
        copy[tile] = view[tile].copy(order="K")  # first in its own order: rows far apart are in conflict in a cache
    return copy
