"""What a picture shows of a `Plan` or a `TransposedPlan`: cells, bars below them, and words."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from convpolicy.pictures.columns import GAP, Column, columns, extent, kept

MOST_DESCRIBED = 10  # elements of each side that the text alternative lists


class PlanView:
    """A `Plan`: the cells are the padded input, and a bar is the window of one output."""

    bar: ClassVar[str] = "output"
    dot: ClassVar[str] = "window of one output, a dot at each tap"
    words: ClassVar[dict[str, str]] = {
        "sample": "sample of the input, numbered from 1",
        "copy": "copy of the sample with this number",
        "sum": "sum of samples",
        "constant": "constant",
        "cut": "cut away, not read",
    }

    def __init__(self, plan: Any) -> None:
        self.plan = plan
        self.bars = range(plan.length_out)
        self.length = plan.length  # cells between the two edges

    def extent(self) -> range:
        """Return the positions of all cells."""
        return extent(self.plan)

    def cells(self, positions: Iterable[int]) -> dict[int, Column]:
        """Return position -> `Column`."""
        return columns(self.plan, positions)

    def taps(self, number: int) -> list[int]:
        """Return the positions of the dots of a bar."""
        return [self.plan.position(number, tap) for tap in range(self.plan.kernel_size)]

    def nothing(self) -> str:
        """Return the text for a plan without outputs."""
        return f"no window of {self.plan.effective_kernel} fits"

    def described(self) -> Iterable[str]:
        """Yield sentences for screen readers."""
        positions_of_plan = extent(self.plan)
        before, after = range(positions_of_plan.start, 0), range(self.length, positions_of_plan.stop)
        for side, positions in (("left", before), ("right", after)):
            shown = kept(positions, MOST_DESCRIBED)
            cells = self.cells([position for position in shown if position is not None])
            texts = [GAP if p is None else cells[p].formula() if cells[p].kind == "sum" else cells[p].text for p in shown]
            if texts:
                yield f"Added on the {side}: {', '.join(texts)}."
        for output in dict.fromkeys(self.bars[:1]) | dict.fromkeys(self.bars[-1:]):
            first, last = self.plan.receptive_interval(output)
            yield f"Output {output} reads positions {first + 1} to {last + 1}."


class TransposedView:
    """A `TransposedPlan`: the cells are the full result, and a bar is what one input sample reaches."""

    bar: ClassVar[str] = "sample"
    dot: ClassVar[str] = "what one input sample reaches, a dot at each tap"
    words: ClassVar[dict[str, str]] = {
        "sample": "output, numbered from 1",
        "copy": "added to the output with this number",
        "constant": "output that no sample reaches: 0, plus the bias",
        "cut": "cut away",
    }

    def __init__(self, plan: Any) -> None:
        self.plan = plan
        self.bars = range(plan.length if plan.length_out else 0)
        self.length = plan.length_out

    def extent(self) -> range:
        """Return the positions of all cells; output 0 is at position 0."""
        first, last = self.plan.cut
        return range(-first, self.length + last)

    def cells(self, positions: Iterable[int]) -> dict[int, Column]:
        """Return position -> `Column`."""
        return {position: self._cell(position) for position in positions}

    def _cell(self, position: int) -> Column:
        inside = 0 <= position < self.length
        if not inside and self.plan.mode != "circular":
            return Column("cut", "")
        output = position % self.length
        if not inside:
            return Column("copy", str(output + 1), ((1.0, output),))
        return Column("sample" if self.plan.reads(output) else "constant", str(output + 1))

    def taps(self, number: int) -> list[int]:
        """Return the positions of the dots of a bar."""
        return [self.plan.position(number, tap) for tap in range(self.plan.kernel_size)]

    def nothing(self) -> str:
        """Return the text for a plan without outputs."""
        return "everything is cut away"

    def described(self) -> Iterable[str]:
        """Yield sentences for screen readers."""
        for number in dict.fromkeys(self.bars[:1]) | dict.fromkeys(self.bars[-1:]):
            taps = self.taps(number)
            yield f"Sample {number + 1} reaches positions {taps[0] + 1} to {taps[-1] + 1}."
