"""Input and output lengths of one layer, and whether it is causal: integers from its plan."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from convpolicy import arithmetic
from convpolicy.core.plan import ConvSpec, Plan
from convpolicy.errors import InvalidValueError

DOUBLINGS = 32  # of the shortest input without pads: if that gives too few outputs, none gives enough
PHASES = 8  # lengths modulo the stride at which causality is decided
WINDOW_ELEMENTS = 2**20  # of the table of taps computed at once
Planner = Callable[[int], Plan]  # input length in samples -> plan; raises InvalidValueError where the layer takes no such input


def length_out(plan: Planner, length: int) -> int:
    """Return the output length, 0 where no window fits or the padding mode does not reach."""
    try:
        return plan(length).length_out
    except InvalidValueError:
        return 0


def shortest_length(plan: Planner, spec: ConvSpec, outputs: int) -> int:
    """Return the fewest samples that give ``outputs`` outputs or more; see `Chain.shortest_length`.

    Raises:
        InvalidValueError: no input gives as many, or the rule refuses these sizes.
    """
    low, high = 0, (outputs - 1) * spec.stride + arithmetic.effective_kernel(spec.kernel_size, spec.dilation)
    for _ in range(DOUBLINGS):
        if _suffices(plan, spec.stride, high, outputs):
            break
        low, high = high + 1, 2 * high
    else:
        plan(high)  # a rule that refuses these sizes says so itself
        raise InvalidValueError(f"length_out must be one that some input gives, got {outputs}, which none gives; pass less.")
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if _suffices(plan, spec.stride, middle, outputs) else (middle + 1, high)
    return low


def _suffices(plan: Planner, stride: int, length: int, outputs: int) -> bool:
    """Whether this length, or one up to a stride shorter, gives enough; a rule may refuse all but multiples of the stride."""
    return any(length_out(plan, length - less) >= outputs for less in range(min(stride, length + 1)))


def latest_samples(plans: Sequence[Plan]) -> NDArray[np.int64]:
    """Return (outputs,): the last input position on which each output of layers in a row depends, -1 for none.

    Args:
        plans: of the layers, from the input on; each takes as many samples as the one before it gives.
    """
    latest = np.arange(plans[0].length)
    for plan in plans:
        before = np.append(latest, -1)  # what reads the constant depends on no sample
        latest = np.empty(plan.length_out, np.int64)
        step = max(WINDOW_ELEMENTS // plan.kernel_size, 1)
        for start in range(0, plan.length_out, step):
            outputs = np.arange(start, min(start + step, plan.length_out))
            latest[outputs] = before[plan.window_sources(outputs)].max(axis=1)
    return latest


def late_output(plans: Sequence[Plan], stride: int) -> int | None:
    """Return the first output that depends on a sample after its own hop, or None.

    Args:
        plans: of the layers, from the input on.
        stride: of all of them together; output i has the hop that ends at ``(i + 1) * stride - 1``.
    """
    latest = latest_samples(plans)
    late = np.flatnonzero(latest >= (np.arange(len(latest)) + 1) * stride)
    return int(late[0]) if late.size else None


def lengths_to_try(shortest: int, receptive_field: int, stride: int) -> list[int]:
    """Return the input lengths at which causality is decided: the shortest, several phases of the stride, and longer ones."""
    phases = range(min(stride, PHASES))
    return [start + phase for start in (shortest, shortest + 2 * receptive_field + stride) for phase in phases]
