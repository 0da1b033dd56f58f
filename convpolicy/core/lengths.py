"""Input and output lengths of one layer, and whether it is causal: integers from its plan."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import attrs
import numpy as np
from numpy.typing import NDArray

from convpolicy.core.plan import ConvSpec, Plan, require_a_window
from convpolicy.errors import InvalidValueError

DOUBLINGS = 32  # of the shortest input without pads: if that gives too few outputs, none gives enough
PHASES = 8  # lengths modulo the stride at which causality is decided
WINDOW_ELEMENTS = 2**20  # of the table of taps computed at once


@attrs.frozen
class Lengths:
    """Input and output lengths of one layer.

    Args:
        plan: input length in samples -> `Plan`; raises InvalidValueError where the layer takes no such input.
        spec: the layer's sizes.
    """

    plan: Callable[[int], Plan]
    spec: ConvSpec

    def of_output(self, length: int) -> int:
        """Return the output length, 0 where no window fits or the padding mode does not reach."""
        try:
            return self.plan(length).length_out
        except InvalidValueError:
            return 0

    def shortest(self, outputs: int) -> int:
        """Return the fewest samples that give ``outputs`` outputs or more; see `Chain.shortest_length`.

        Raises:
            InvalidValueError: no input gives as many, or the rule refuses these sizes.
        """
        low, high = 0, (outputs - 1) * self.spec.stride + self.spec.effective_kernel
        for _ in range(DOUBLINGS):
            if self._suffices(high, outputs):
                break
            low, high = high + 1, 2 * high
        else:
            self.plan(high)  # a rule that refuses these sizes says so itself
            raise InvalidValueError(f"length_out must be one that some input gives, got {outputs}, which none gives; pass less.")
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if self._suffices(middle, outputs) else (middle + 1, high)
        return low

    def _suffices(self, length: int, outputs: int) -> bool:
        """Whether this length, or one up to a stride shorter, gives enough; a rule may refuse all but multiples of the stride."""
        return any(self.of_output(length - less) >= outputs for less in range(min(self.spec.stride, length + 1)))

    def is_causal(self, length: int | None = None) -> bool:
        """Return whether no output depends on a sample after its own hop, for one input length or for several.

        Raises:
            InvalidValueError: the input holds no window.
        """
        stride = self.spec.stride
        if length is not None:
            return late_output([require_a_window(self.plan(length))], stride) is None
        lengths = lengths_to_try(self.shortest(1), self.spec.effective_kernel, stride)
        return all(late_output([self.plan(n)], stride) is None for n in lengths if self.of_output(n))


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
            read = [before[np.where(share == 0, -1, sources)].max(axis=1) for share, sources in plan.window_terms(outputs)]
            latest[outputs] = np.max(read, axis=0)
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
