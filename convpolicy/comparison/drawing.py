"""Draws a plan as text: the padded input and the samples that each window reads, or the outputs that each sample reaches."""

from __future__ import annotations

from collections.abc import Iterator

from convpolicy.arithmetic import SIDES, integer
from convpolicy.comparison.lines import EDGE, ZERO, drawn, label
from convpolicy.comparison.transposed_drawing import axis, reached, remarks
from convpolicy.core.plan import Plan, values_text
from convpolicy.core.transposed_plan import TransposedPlan
from convpolicy.parts.side import Side
from convpolicy.pictures.columns import formula

OTHER_CONSTANT = "*"
SUM = "+"
MOST_SUMS = 4  # sums that are written out for each side
NARROWEST = 24


def draw(plan: Plan | TransposedPlan, width: int = 72, rows: int = 8) -> str:
    """Draw the padded input of a plan, and the windows of its outputs below it.

    Samples are labelled 1 to 9, then a to z, then again from 1. An added element has one of these labels:

    - the label of the sample that it copies, e.g. ``32|1234|32``
    - ``0`` for zero, ``*`` for another constant
    - ``+`` for a sum, which is written out below

    Every ``^`` is one element that an output reads.

    The drawing of a transposed convolution has the outputs on its first line, and one line per input sample. Every ``^`` is one
    element of the full result to which the sample adds. What is cut is outside the edges and has one of these labels:

    - ``x`` if it is dropped
    - the label of the output to which it is added, if the padding mode is ``"circular"``

    An appended output is ``0``.

    Args:
        plan: the plan.
        width: number of columns of the drawing, 24 or more; a longer input has a gap in the middle.
        rows: largest number of windows or samples to draw, 2 or more: the first and the last ones.

    Returns:
        The lines of the drawing, joined by newlines.

    Raises:
        InvalidTypeError, InvalidValueError: ``width`` or ``rows`` is not an integer, or too small.
    """
    integer("width", width, NARROWEST)
    integer("rows", rows, 2)
    if isinstance(plan, TransposedPlan):
        cells = axis(plan)
        samples = ("input", plan.length, lambda sample: reached(plan, sample))
        return "\n".join([*drawn(cells, *samples, width, rows), *remarks(plan)])
    cells = [_element(plan, cell) for cell in range(sum(plan.added) + plan.length + 2)]  # with removed ones and the two edges
    outputs = ("output", plan.length_out, lambda output: set(_taps(plan, output)))
    return "\n".join([*drawn(cells, *outputs, width, rows), *_remarks(plan)])


def _taps(plan: Plan, output: int) -> Iterator[int]:
    """Yield the cells that one output reads; the two edges count as cells."""
    first, _last = plan.receptive_interval(output)
    for tap in range(plan.kernel_size):
        position = first + tap * plan.dilation
        yield position + plan.added[0] + (position >= 0) + (position >= plan.length)


def _is_edge(plan: Plan, cell: int) -> bool:
    return cell in (plan.added[0], plan.added[0] + plan.length + 1)


def _element(plan: Plan, cell: int) -> str:
    if _is_edge(plan, cell):
        return EDGE
    position = cell - plan.added[0] - 1
    if cell < plan.added[0]:
        return _added(plan.sides[0], cell)
    if position > plan.length:
        return _added(plan.sides[1], position - plan.length - 1)
    return label(position)


def _source(source: int) -> str:
    return OTHER_CONSTANT if source < 0 else label(source)


def _added(side: Side, element: int) -> str:
    parts = side.element(element)
    if not parts:
        return ZERO
    if len(parts) > 1 or parts[0][0] != 1:
        return SUM
    return _source(parts[0][1])


def _sums(plan: Plan) -> Iterator[str]:
    for name, side in zip(SIDES, plan.sides):
        sums = [formula(side.element(element), _source) for element in range(side.width) if _added(side, element) == SUM]
        if sums:
            more = ", …" if len(sums) > MOST_SUMS else ""
            yield f"{SUM} on the {name}: {', '.join(sums[:MOST_SUMS])}{more}"


def _remarks(plan: Plan) -> Iterator[str]:
    for side, count in zip(("first", "last"), plan.cut):
        if count:
            yield f"cut away: the {side} {count} samples"
    yield from _sums(plan)
    sides = tuple(side for side in plan.sides if side.has_constant and side.has_value)
    if sides:
        yield f"{OTHER_CONSTANT} is {values_text(sides)}"
    if not plan.length_out:
        yield f"no window of {plan.effective_kernel} fits into {plan.padded_length} samples"
        return
    unread = plan.padded_length - (plan.length_out - 1) * plan.stride - plan.effective_kernel
    if unread:
        yield f"read by no window: the last {unread} of {plan.padded_length} padded samples"
