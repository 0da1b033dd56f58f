"""Pieces that are drawn in order, and pieces that are computed in threads."""

from __future__ import annotations

import numpy as np
import pytest

from convpolicy.bits import pieces
from convpolicy.frameworks.mindspore import stream


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


@pytest.mark.parametrize(("cores", "count", "size"), [(1, 1003, 7), (2, 1003, 100), (2, 299, 7), (2, 0, 7)])
def test_many_pieces_are_computed_in_threads_and_few_in_smaller_ones(monkeypatch, cores, count, size):
    """Slices of 100 for each thread if there are four of them, otherwise slices of 7; together they are all elements, once."""
    monkeypatch.setattr(pieces.os, "cpu_count", lambda: cores)
    parts = []
    pieces.in_threads(parts.append, count, 100, alone=7)
    assert sorted(parts, key=lambda part: part.start) == pieces.chunks(count, size)


@pytest.mark.parametrize("law", ["uniform", "normal"])
def test_numbers_do_not_depend_on_their_pieces(monkeypatch, law):
    """MindSpore's numbers in threads, in small pieces of one thread, and at once are the same."""
    drawn = []
    for size, alone in ((64, 8), (1 << 20, 8), (1 << 20, 1 << 20)):
        monkeypatch.setattr(stream, "CHUNK", size)
        monkeypatch.setattr(stream, "ALONE", alone)
        drawn.append(getattr(stream.MindsporeStream(5), law)((1003,), 0.0, 1.0))
    for other in drawn[1:]:
        np.testing.assert_array_equal(other, drawn[0])
