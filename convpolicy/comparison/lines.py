"""Lines of a drawing: an axis, and below it one line of marks per output or input sample."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence

LABELS = "123456789abcdefghijklmnopqrstuvwxyz"  # labels of the samples, repeated for a longer input
ZERO = "0"
EDGE = "|"
TAP = "^"
ELISION = " … "


def label(position: int) -> str:
    """Return the label of a sample."""
    return LABELS[position % len(LABELS)]


def drawn(
    axis: Sequence[str], name: str, count: int, marked: Callable[[int], Collection[int]], width: int, rows: int
) -> Iterator[str]:
    """Yield the line of the axis and the lines of marks.

    Args:
        axis: one character per cell, with `EDGE` at both edges.
        name: what a line of marks is, ``"output"`` or ``"input"``.
        count: number of outputs or samples.
        marked: ``index -> cells`` with a mark.
        width: number of columns; a longer axis has a gap in the middle.
        rows: largest number of lines of marks: the first and the last ones.
    """
    indices = _ends(count, rows)
    margin = len(f"{name} {count - 1}") + 2 if indices else 0
    cells = len(axis)
    if margin + cells <= width:
        parts = [range(cells)]
    else:
        half = (width - margin - len(ELISION)) // 2
        parts = [range(half), range(cells - half, cells)]
    yield " " * margin + ELISION.join("".join(axis[cell] for cell in part) for part in parts)
    previous = -1
    for index in indices:
        if index != previous + 1:
            yield ELISION.strip()
        marks = marked(index)
        line = ELISION.join("".join(_mark(axis[cell], cell in marks) for cell in part) for part in parts)
        yield f"{name} {index}".ljust(margin) + line.rstrip()
        previous = index


def _mark(element: str, is_marked: bool) -> str:
    if element == EDGE:
        return EDGE
    return TAP if is_marked else " "


def _ends(count: int, most: int) -> list[int]:
    """Return at most ``most`` of ``count`` indices: the first and the last ones."""
    if count <= most:
        return list(range(count))
    last = most // 2
    return [*range(most - last), *range(count - last, count)]
