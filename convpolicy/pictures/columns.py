"""What stands in each column of a picture: samples, added elements, samples that are cut away; and what one plan has otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

GAP = "…"


class Column(NamedTuple):
    """One element.

    Attributes:
        kind: ``"sample"``, ``"cut"``, ``"copy"``, ``"constant"`` or ``"sum"``.
        text: what is written into it: the number of a sample from 1 on, or a constant.
        terms: coefficients and input positions, -1 for the constant.
    """

    kind: str
    text: str
    terms: tuple[tuple[float, int], ...] = ()

    def formula(self) -> str:
        """Return the sum in numbers of samples from 1 on: ``2·1 - 3``."""
        text = ""
        for coefficient, source in self.terms:
            sign = ("-" if coefficient < 0 else "") if not text else (" - " if coefficient < 0 else " + ")
            factor = "" if abs(coefficient) == 1 else f"{abs(coefficient):.3g}·"
            text += f"{sign}{factor}{'c' if source < 0 else source + 1}"
        return text


def columns(plan: Any) -> dict[int, Column]:
    """Return position -> `Column` of a `Plan`; below 0 and from the length on stand the added elements."""
    first, last = plan.cut
    found = {
        position: Column("sample" if first <= position < plan.length - last else "cut", str(position + 1), ((1.0, position),))
        for position in range(plan.length)
    }
    for side, start in zip(plan.sides, (-plan.left, plan.length)):
        if side.width:
            found |= {start + place: _added(side, place) for place in range(side.width)}
    return found


def _added(side: Any, place: int) -> Column:
    terms = tuple(
        (float(np.broadcast_to(term.coefficient, side.width)[place]), term.sources[place])
        for term in side.terms
        if np.broadcast_to(term.coefficient, side.width)[place]
    )
    if not terms or all(source < 0 for _coefficient, source in terms):
        return Column("constant", constant(side) if terms else "0")
    if len(terms) == 1 and terms[0][0] == 1.0:
        return Column("copy", str(terms[0][1] + 1), terms)
    return Column("sum", "Σ", terms)


def constant(side: Any) -> str:
    """Return the constant of a side as it fits a cell: one number, ``c`` for one per channel, ``w`` for a learned one."""
    if side.learned:
        return "w"
    return "c" if isinstance(side.value, tuple) else f"{side.value:.3g}"


def kept(positions: Sequence[int], most: int) -> list[int | None]:
    """Return the positions that are shown, the first and the last of many, None for what is left out between them."""
    if len(positions) <= most:
        return list(positions)
    half = (most - 1) // 2
    return [*positions[:half], None, *positions[len(positions) - half :]]
