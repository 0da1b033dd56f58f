"""The columns of a picture: samples, added elements and removed samples."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

GAP = "…"


class Column(NamedTuple):
    """One sample or added element of a picture.

    Attributes:
        kind: ``"sample"``, ``"cut"``, ``"copy"``, ``"constant"`` or ``"sum"``.
        text: text of the cell: the number of a sample, from 1, or a constant.
        terms: pairs of a coefficient and an input position, -1 for the constant.
    """

    kind: str
    text: str
    terms: tuple[tuple[float, int], ...] = ()

    def formula(self) -> str:
        """Return the sum as text, with samples numbered from 1, for example ``2·1 - 3``."""
        return formula(self.terms, lambda source: "c" if source < 0 else str(source + 1))


def formula(terms: Iterable[tuple[float, int]], name: Callable[[int], str]) -> str:
    """Return a sum as text.

    Args:
        terms: pairs of a coefficient and an input position, -1 for the constant.
        name: function from an input position to text.
    """
    text = ""
    for coefficient, source in terms:
        sign = ("-" if coefficient < 0 else "") if not text else (" - " if coefficient < 0 else " + ")
        factor = "" if abs(coefficient) == 1 else f"{abs(coefficient):.3g}·"
        text += f"{sign}{factor}{name(source)}"
    return text


def extent(plan: Any) -> range:
    """Return the positions of all columns of a `Plan`: the input, added elements below 0, and those at ``length`` and above."""
    left, right = plan.added
    return range(-left, plan.length + right)


def columns(plan: Any, positions: Iterable[int] | None = None) -> dict[int, Column]:
    """Return position -> `Column` of a `Plan`, for some positions of its `extent`, or for all if None."""
    return {position: _column(plan, position) for position in (extent(plan) if positions is None else positions)}


def _column(plan: Any, position: int) -> Column:
    if position < 0:
        return _added(plan.sides[0], position + plan.added[0])
    if position >= plan.length:
        return _added(plan.sides[1], position - plan.length)
    first, last = plan.cut
    kind = "sample" if first <= position < plan.length - last else "cut"
    return Column(kind, str(position + 1), ((1.0, position),))


def _added(side: Any, place: int) -> Column:
    terms = side.element(place)
    if all(source < 0 for _coefficient, source in terms) and (text := constant(side, sum(share for share, _source in terms))):
        return Column("constant", text)
    if len(terms) == 1 and terms[0][0] == 1.0:
        return Column("copy", str(terms[0][1] + 1), terms)
    return Column("sum", "Σ", terms)


def constant(side: Any, share: float = 1.0) -> str:
    """Return a share of a side's constant as text for a cell.

    The text is a number, ``c`` for one constant per channel, or ``w`` for a learned constant. It is empty if the share is not 1
    and the constant is not one number.
    """
    if not share:
        return "0"
    if side.learned or isinstance(side.value, tuple):
        return ("w" if side.learned else "c") if share == 1 else ""
    return f"{share * side.value:.3g}"


def kept(positions: Sequence[int], most: int) -> list[int | None]:
    """Return at most ``most`` positions to show: the first and the last ones, with None for the gap between them."""
    if len(positions) <= most:
        return list(positions)
    half = (most - 1) // 2
    return [*positions[:half], None, *positions[len(positions) - half :]]
