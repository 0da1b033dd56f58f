"""Ranges of positions ``(first, end)``, with ``end`` not included, in lists that are sorted and do not overlap."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Range: TypeAlias = "tuple[int, int]"


def runs(positions: NDArray[np.int64]) -> list[Range]:
    """Return sorted positions, each once, as the fewest ranges."""
    if not positions.size:
        return []
    breaks = np.flatnonzero(np.diff(positions) > 1)
    firsts, lasts = positions[np.append(0, breaks + 1)], positions[np.append(breaks, positions.size - 1)]
    return [(int(first), int(last) + 1) for first, last in zip(firsts, lasts)]


def union(ranges: Iterable[Range]) -> list[Range]:
    """Return the fewest ranges with the positions of all ranges. Empty ranges are left out."""
    merged: list[Range] = []
    for first, end in sorted(each for each in ranges if each[0] < each[1]):
        if merged and first <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(merged[-1][1], end)
        else:
            merged.append((first, end))
    return merged


def without(ranges: Iterable[Range], removed: Iterable[Range]) -> list[Range]:
    """Return what is left of ranges when the positions of others are removed."""
    left, others = [], union(removed)
    for first, end in ranges:
        here = first
        for start, stop in others:
            if stop > here and start < end:
                left.append((here, start))
                here = stop
        left.append((here, end))
    return [each for each in left if each[0] < each[1]]


def count(ranges: Iterable[Range]) -> int:
    """Return the number of positions in ranges."""
    return sum(end - first for first, end in ranges)
