"""`Cuts`: which rank owns which samples of a sequence."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import Any, TypeAlias

import attrs
import numpy as np

from convpolicy.arithmetic import integer
from convpolicy.core.ranges import Range
from convpolicy.errors import InvalidTypeError, InvalidValueError, shown

Transfer: TypeAlias = "tuple[int, int, int]"  # a rank, and the range (first, end) of positions that it sends or gets
CONTIGUOUS, ZIGZAG = "contiguous", "zigzag"
# order -> chunks per rank, and the rank of each chunk
ORDERS: dict[str, tuple[int, Callable[[int], list[int]]]] = {
    CONTIGUOUS: (1, lambda ranks: list(range(ranks))),
    ZIGZAG: (2, lambda ranks: [*range(ranks), *reversed(range(ranks))]),
}


@attrs.frozen(cache_hash=True)
class Cuts:
    """A sequence cut into chunks, each owned by one rank.

    Args:
        borders: the first position of each chunk, and the end of the last one.
        ranks: the rank that owns each chunk.
    """

    borders: tuple[int, ...]
    ranks: tuple[int, ...]

    @property
    def count(self) -> int:
        """The number of ranks."""
        return max(self.ranks) + 1

    def by_rank(self) -> list[tuple[Range, ...]]:
        """Return, for each rank, the range of each chunk that it owns, by position."""
        owned: list[list[Range]] = [[] for _ in range(self.count)]
        for rank, first, end in zip(self.ranks, self.borders, self.borders[1:]):
            owned[rank].append((first, end))
        return [tuple(ranges) for ranges in owned]

    def owners(self, ranges: Iterable[Range]) -> list[Transfer]:
        """Return ranges, cut where the owner changes, each with the rank that owns it."""
        owned = []
        for first, end in ranges:
            here, chunk = first, bisect_right(self.borders, first) - 1
            while here < end:
                stop = min(end, self.borders[chunk + 1])
                if stop > here:
                    owned.append((self.ranks[chunk], here, stop))
                here, chunk = stop, chunk + 1
        return owned

    def mapped(self, function: Callable[[int], int]) -> Cuts:
        """Return cuts with each border replaced by a function of it."""
        return Cuts(tuple(map(function, self.borders)), self.ranks)


def cuts_of(length: int, parts: Any, order: Any = CONTIGUOUS) -> Cuts:
    """Return the cuts that a caller asks for.

    Args:
        length: length of the sequence, checked.
        parts: the number of ranks, or the borders of the chunks, from 0 to ``length``. A number of ranks gives chunks of
            ``ceil(length / chunks)`` samples, and what is left to the last ones, as ``torch.chunk`` and DTensor cut.
        order: ``"contiguous"``: one chunk for each rank. ``"zigzag"``: rank r of n owns chunks r and 2n-1-r.

    Raises:
        InvalidTypeError, InvalidValueError: an argument is not allowed. The message names it.
    """
    if not isinstance(order, str) or order not in ORDERS:
        raise InvalidValueError(f"order must be one of {', '.join(ORDERS)}, got {shown(order)}; pick one.")
    each, ranks_of = ORDERS[order]
    if isinstance(parts, (Sequence, np.ndarray)) and not isinstance(parts, (str, bytes)):
        borders = borders_of("parts", parts, length)
        if (len(borders) - 1) % each:
            raise InvalidValueError(
                f"parts must have the borders of {each} chunks for each rank in {order} order, got {len(borders) - 1} chunks; pass an "
                f"even number of chunks."
            )
        ranks = (len(borders) - 1) // each
    else:
        ranks = integer("parts", parts, 1)
        size = -(-length // (ranks * each))
        borders = tuple(min(chunk * size, length) for chunk in range(ranks * each + 1))
    return Cuts(borders, tuple(ranks_of(ranks)))


def borders_of(argument: str, values: Any, length: int, *, empty: bool = True) -> tuple[int, ...]:
    """Check the borders of chunks or documents.

    Args:
        argument: name of the argument, for the message.
        values: borders from 0 to ``length``.
        length: length of the sequence.
        empty: True if a chunk may have no samples.

    Raises:
        InvalidTypeError, InvalidValueError: they are no such integers. The message names the argument.
    """
    if isinstance(values, (str, bytes)) or not isinstance(values, (Sequence, np.ndarray)):
        raise InvalidTypeError(
            f"{argument} must be a list of borders from 0 to the length {length}, got {shown(values)}; pass for example [0, {length}]."
        )
    borders = tuple(integer(f"{argument}[{place}]", value) for place, value in enumerate(values))
    if len(borders) < 2 or borders[0] != 0 or borders[-1] != length:
        raise InvalidValueError(
            f"{argument} must be borders from 0 to the length {length}, got {shown(list(borders))}; pass for example [0, {length}]."
        )
    wrong = [pair for pair in pairwise(borders) if pair[1] < pair[0] or (pair[1] == pair[0] and not empty)]
    if wrong:
        raise InvalidValueError(
            f"{argument} must be borders that {'do not decrease' if empty else 'increase'}, got {wrong[0][1]} after {wrong[0][0]}; sort "
            f"them."
        )
    return borders
