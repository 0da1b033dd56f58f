"""Elements of the drawing of a transposed convolution: its outputs, what is cut, and what each input sample reaches."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from convpolicy.comparison.lines import EDGE, ZERO, label
from convpolicy.core.transposed_plan import CIRCULAR, TransposedPlan

CUT = "x"
ENDS = ("start", "end")


def _shown(plan: TransposedPlan) -> tuple[int, int]:
    """Return the numbers of cut elements left and right of the outputs; if nothing is left, all elements are on the left."""
    return plan.cut if plan.length_out else (plan.full_length, 0)


def axis(plan: TransposedPlan) -> list[str]:
    """Return one character per cell: what is cut on the left, an edge, the outputs, an edge, and what is cut on the right."""
    left, right = _shown(plan)
    outputs = [label(output) for output in range(plan.length_out)]
    for end, count in zip((slice(0, plan.appended[0]), slice(plan.length_out - plan.appended[1], None)), plan.appended):
        outputs[end] = [ZERO] * min(count, plan.length_out)
    before, after = range(-left, 0), range(plan.length_out, plan.length_out + right)
    return [*(_cut(plan, output) for output in before), EDGE, *outputs, EDGE, *(_cut(plan, output) for output in after)]


def _cut(plan: TransposedPlan, output: int) -> str:
    return label(output % plan.length_out) if plan.mode == CIRCULAR and plan.length_out else CUT


def reached(plan: TransposedPlan, sample: int) -> set[int]:
    """Return the cells to which an input sample adds a product; the two edges count as cells."""
    left, _right = _shown(plan)
    outputs = plan.position(sample, np.arange(plan.kernel_size)) + (0 if plan.length_out else plan.left - left)
    return {int(output) + left + (output >= 0) + (output >= plan.length_out) for output in outputs}


def remarks(plan: TransposedPlan) -> Iterator[str]:
    """Yield the lines below the drawing: what is cut, appended or reached by no sample."""
    verb = "added to the other end" if plan.mode == CIRCULAR else "cut away"
    for place, count in zip(("first", "last"), plan.cut):
        if count:
            yield f"{verb}: the {place} {count} of {plan.full_length} elements"
    for place, count in zip(ENDS, plan.appended):
        if count:
            yield f"appended: {count} at the {place}, which no sample reaches"
    if not plan.length_out:
        yield f"no output is left of {plan.full_length} elements"
