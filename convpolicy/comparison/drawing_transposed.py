"""Draws the plan of a transposed convolution as text: the full result, and what each input sample reaches."""

from __future__ import annotations

from convpolicy.comparison.drawn_rows import EDGE, ELISION, TAP, elided, ends
from convpolicy.core.transposed_plan import CIRCULAR, TransposedPlan

OUTPUT, CUT, NOTHING = "o", "x", "0"


def draw_transposed(plan: TransposedPlan, width: int = 72, rows: int = 8) -> str:
    """Draw the full result of a transposed convolution, and below it the positions that each input sample reaches.

    In the first line, ``o`` is an output, ``x`` is cut away, and ``0`` is an output that no sample reaches. The outputs are between
    the two ``|``. Every ``^`` is a position to which a sample adds its product with one kernel tap.

    Args:
        plan: the plan.
        width: number of columns of the drawing, 24 or more; a longer result has a gap in the middle.
        rows: largest number of samples to draw, 2 or more: the first and the last ones.

    Returns:
        The lines of the drawing, joined by newlines.
    """
    first, last = plan.cut
    samples = ends(plan.length, rows)
    margin = len(f"sample {plan.length - 1}") + 2 if samples else 0
    cells = first + plan.length_out + last + 2  # all positions, and the two edges
    edges = (first, first + plan.length_out + 1)
    parts = elided(cells, width - margin)

    def row(mark: dict[int, str]) -> str:
        return ELISION.join("".join(EDGE if cell in edges else mark.get(cell, " ") for cell in part) for part in parts)

    def cell_of(position: int) -> int:
        return position + first + (position >= 0) + (position >= plan.length_out)

    shown = {cell for part in parts for cell in part}
    marks = {}
    for position in range(-first, plan.length_out + last):
        if (cell := cell_of(position)) in shown:
            inside = 0 <= position < plan.length_out
            marks[cell] = CUT if not inside else OUTPUT if plan.reads(position) else NOTHING
    lines, previous = [" " * margin + row(marks)], -1
    for sample in samples:
        if sample != previous + 1:
            lines.append(ELISION.strip())
        taps = {cell_of(plan.position(sample, tap)): TAP for tap in range(plan.kernel_size)}
        lines.append(f"sample {sample}".ljust(margin) + row(taps).rstrip())
        previous = sample
    if not plan.length_out:
        lines.append(f"everything of a full result of {plan.full_length} samples is cut away")
    elif plan.mode == CIRCULAR and any(plan.cut):
        lines.append(f"{CUT} is added to the other end")
    return "\n".join(lines)
