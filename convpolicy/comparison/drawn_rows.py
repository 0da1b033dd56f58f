"""Rows of a text drawing: marks, and what is left out of a long drawing."""

from __future__ import annotations

EDGE = "|"
TAP = "^"
ELISION = " … "
NARROWEST = 24


def ends(count: int, most: int) -> list[int]:
    """Return at most ``most`` of ``count`` indices: the first and the last ones."""
    if count <= most:
        return list(range(count))
    last = most // 2
    return [*range(most - last), *range(count - last, count)]


def elided(cells: int, width: int) -> list[range]:
    """Return the cells that fit into a width: all of them, or the first and the last ones with room for `ELISION` between."""
    if cells <= width:
        return [range(cells)]
    half = (width - len(ELISION)) // 2
    return [range(half), range(cells - half, cells)]
