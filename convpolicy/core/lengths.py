"""Computes input and output lengths of one layer, and whether it is causal."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from convpolicy.core.plan import require_a_window
from convpolicy.core.spec import ConvSpec
from convpolicy.errors import InvalidValueError

DOUBLINGS = 32  # of the shortest input without padding, before `Lengths.shortest` gives up
PHASES = 8  # lengths modulo the stride at which causality is tested
WINDOW_ELEMENTS = 2**20  # taps computed at once


@attrs.frozen
class Lengths:
    """Input and output lengths of one layer.

    Args:
        plan: function from an input length in samples to a plan; it raises InvalidValueError if the layer refuses this input.
        spec: the layer's sizes.
    """

    plan: Callable[[int], Any]
    spec: ConvSpec

    def of_output(self, length: int) -> int:
        """Return the output length, 0 if no window fits or the layer refuses the input."""
        try:
            length_out: int = self.plan(length).length_out
        except InvalidValueError:
            return 0
        return length_out

    def shortest(self, outputs: int) -> int:
        """Return the shortest input length in samples with at least ``outputs`` outputs; see `Chain.shortest_length`.

        Raises:
            InvalidValueError: no input has so many outputs, or the rule refuses these sizes.
        """
        low, high = 0, (outputs - 1) * self.spec.stride + self.spec.effective_kernel
        for _ in range(DOUBLINGS):
            if self._suffices(high, outputs):
                break
            low, high = high + 1, 2 * high
        else:
            self.plan(high)  # raises the error of a rule that refuses these sizes
            raise InvalidValueError(f"length_out must be the output length of some input, got {outputs}; pass less.")
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if self._suffices(middle, outputs) else (middle + 1, high)
        return low

    def _suffices(self, length: int, outputs: int) -> bool:
        """Return True if this length, or one shorter by less than the stride, has enough outputs.

        Shorter lengths count because a rule may refuse all lengths but the multiples of the stride.
        """
        return any(self.of_output(length - offset) >= outputs for offset in range(min(self.spec.stride, length + 1)))

    def is_causal(self, length: int | None = None) -> bool:
        """Return True if no output depends on a sample after its hop; see `late_output`.

        Args:
            length: input length in samples; None tests several lengths.

        Raises:
            InvalidValueError: the input is too short for one window.
        """
        spec = self.spec
        stride = Fraction(1, spec.stride) if spec.transposed else Fraction(spec.stride)
        if length is not None:
            return late_output([require_a_window(self.plan(length))], stride) is None
        lengths = lengths_to_try(self.shortest(1), spec.effective_kernel, spec.stride)
        return all(late_output([self.plan(n)], stride) is None for n in lengths if self.of_output(n))


def latest_samples(plans: Sequence[Any]) -> NDArray[np.int64]:
    """Return the last input position on which each output of a stack of layers depends, int64 (outputs,), -1 for none.

    Args:
        plans: plans of the layers, the first layer first; the input length of each is the output length of the previous one.
    """
    latest = np.arange(plans[0].length)
    for plan in plans:
        before = np.append(latest, -1)  # position -1, the constant, depends on no sample
        latest = np.empty(plan.length_out, np.int64)
        step = max(WINDOW_ELEMENTS // plan.kernel_size, 1)
        for start in range(0, plan.length_out, step):
            outputs = np.arange(start, min(start + step, plan.length_out))
            read = [before[np.where(share == 0, -1, sources)].max(axis=1) for share, sources in plan.window_terms(outputs)]
            latest[outputs] = np.max(read, axis=0)
    return latest


def hop_end(output: Any, stride: int | Fraction) -> Any:
    """Return the last input sample of the hop of an output, ``ceil((output + 1) * stride) - 1``.

    Args:
        output: index of an output, or an array of indices.
        stride: stride of the whole stack, in input samples; a `Fraction` if the stack upsamples.
    """
    ratio = Fraction(stride)
    return -(-(output + 1) * ratio.numerator // ratio.denominator) - 1


def late_output(plans: Sequence[Any], stride: int | Fraction) -> int | None:
    """Return the index of the first output that depends on a sample after its hop, or None; see `hop_end`.

    Args:
        plans: plans of the layers, the first layer first.
        stride: stride of the whole stack, in input samples.
    """
    latest = latest_samples(plans)
    late = np.flatnonzero(latest > hop_end(np.arange(len(latest)), stride))
    return int(late[0]) if late.size else None


def lengths_to_try(shortest: int, receptive_field: int, stride: int) -> list[int]:
    """Return the input lengths at which causality is tested: short and long ones, each with several phases of the stride."""
    phases = range(min(stride, PHASES))
    return [start + phase for start in (shortest, shortest + 2 * receptive_field + stride) for phase in phases]
