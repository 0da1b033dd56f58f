"""Pieces that are drawn in order and computed in threads."""

from __future__ import annotations

import numpy as np
import pytest

from convpolicy.bits import pieces


@pytest.mark.parametrize("cores", [1, 3])
@pytest.mark.parametrize("count", [0, 5, 10, 1003])
def test_pieces_are_drawn_in_order(monkeypatch, cores, count):
    """Each element gets its own number, drawn once and in order, on one core and on several."""
    monkeypatch.setattr(pieces.os, "cpu_count", lambda: cores)
    drawn, values = [], np.full(count, -1)

    def draw(size):
        start = sum(drawn)
        drawn.append(size)
        return np.arange(start, start + size)

    def work(part, numbers):
        values[part] = numbers

    pieces.in_order(draw, work, count, 10)
    assert np.array_equal(values, np.arange(count))
    assert sum(drawn) == count


@pytest.mark.parametrize("cores", [1, 3])
def test_an_error_in_a_piece_is_raised(monkeypatch, cores):
    """Whichever thread it happens in."""
    monkeypatch.setattr(pieces.os, "cpu_count", lambda: cores)

    def work(part, _numbers):
        if part.start == 900:
            raise MemoryError(part.start)

    with pytest.raises(MemoryError, match="900"):
        pieces.in_order(np.arange, work, 1003, 10)
