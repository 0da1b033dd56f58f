"""`Schedule`: the integers of a stream through a convolution, derived from the plans of its policy."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

import attrs

from convpolicy.core.plan import Plan
from convpolicy.core.spec import ConvSpec
from convpolicy.errors import InvalidValueError
from convpolicy.parts.side import CONSTANT, Side

MOST_PHASES = 64  # input lengths modulo the stride at which plans are compared


@attrs.frozen
class Schedule:
    """Which outputs of a convolution are complete after each sample, and which samples the next outputs and the end need.

    Args:
        spec: sizes of the layer.
        plan: function from an input length to the plan of the layer.
        left: samples that are added on the left. A negative number removes samples.
        before: the added elements on the left. They read the first ``first`` samples.
        first: number of samples that must have come before the left padding is known.
        held: number of samples by which an output waits because the end of the input may remove samples.
        last: number of samples before the end that the right padding may read.
        after: the right padding if it does not depend on the samples or their number, else None.
        right: the right padding in samples if it does not depend on the input length, else None.
    """

    spec: ConvSpec
    plan: Callable[[int], Plan]
    left: int
    before: Side
    first: int
    held: int
    last: int
    after: Side | None
    right: int | None

    @property
    def window(self) -> int:
        """The number of samples that must have come before an output is returned, counted from the first that it reads."""
        return self.spec.effective_kernel + self.held

    @property
    def counts(self) -> bool:
        """True if the end of the stream must know the number of samples.

        It is False only if all padding is constant and any input of one sample or more has outputs.
        """
        is_whole = self.right is not None and self.left + self.right == self.spec.effective_kernel - 1
        return self.after is None or not is_whole

    @property
    def keeps_tail(self) -> bool:
        """True if the right padding may read samples that no later output reads."""
        pending = max(self.window - self.spec.stride, 0) if self.left >= 0 else 0  # samples that surely wait for the next output
        return self.last > pending

    @property
    def longest(self) -> int:
        """The largest number of padded samples that wait for the next output."""
        return max(self.left + self.first, self.window - 1, self.spec.stride - 1)

    def outputs(self, length: int) -> int:
        """Return the number of outputs that were returned after ``length`` samples, before the end of the stream."""
        room = self.left + length - self.window
        return room // self.spec.stride + 1 if room >= 0 and length >= max(self.first, 1) else 0


def schedule(policy: Any, spec: ConvSpec) -> Schedule:
    """Return the schedule of a convolution.

    Args:
        policy: a `Policy`.
        spec: checked sizes.

    Raises:
        InvalidValueError: the first outputs depend on the end of the input. The message says why and what to use instead.
    """
    plan = partial(policy.planned, spec)
    pads = policy.static_pads(spec.kernel_size, spec.stride, spec.dilation)
    widest = sum(map(abs, pads)) if pads is not None else spec.effective_kernel + spec.stride
    long = 2 * (widest + spec.effective_kernel + spec.stride) + 2
    plans = _plans(plan, _lengths(long, spec.stride))
    _require_known_start(policy, spec, plans)
    _require_local_end(policy, plans)
    left, before, constant = plans[0].left, plans[0].sides[0], all(_is_constant(each.sides) for each in plans)
    if pads is not None and constant:
        first, last = max(-left, 0), 0
    else:
        stable = _shortest_with(plan, left, before, long, min(spec.stride, MOST_PHASES))
        first = max(stable if stable > 1 else 0, 1 + max(_sources(before), default=-1), -left)
        last = max(each.length - min(_sources(each.sides[1]), default=each.length) for each in plans)
        last = max(last, stable) if last else 0
    rights = {each.right for each in plans}
    held = max(-min(rights), 0)
    if left >= spec.effective_kernel + held:  # a window of padding alone: the first sample decides that there are outputs
        first = max(first, 1)
    return Schedule(
        spec=spec,
        plan=plan,
        left=left,
        before=before,
        first=first,
        held=held,
        last=last,
        after=plans[0].sides[1] if constant and len(rights) == 1 else None,
        right=plans[0].right if pads is not None else None,
    )


def _lengths(long: int, stride: int) -> list[int]:
    phases = min(stride, MOST_PHASES)
    return [*range(long, long + 2 * phases + 1), 3 * long + 1]


def _plans(plan: Callable[[int], Any], lengths: list[int]) -> list[Any]:
    """Return the plans of the lengths that the layer does not refuse."""
    plans = []
    for length in lengths:
        with suppress(InvalidValueError):
            plans.append(plan(length))
    return plans or [plan(lengths[0])]  # which raises the layer's own refusal


def _sources(side: Side) -> list[int]:
    return [source for term in side.terms for source in term.sources if source != CONSTANT]


def _is_constant(sides: tuple[Side, Side]) -> bool:
    return not any(map(_sources, sides))


def _shortest_with(plan: Callable[[int], Plan], left: int, before: Side, long: int, phases: int) -> int:
    """Return the shortest length from which on the left padding is the one of long inputs, by bisection.

    A length that the layer refuses counts as the next one that it does not: a stream of such a length is refused at its end.
    """

    def has(length: int) -> bool:
        for each in range(length, length + phases):
            with suppress(InvalidValueError):
                planned = plan(each)
                return planned.left == left and planned.sides[0] == before
        return True

    low, high = 1, long
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if has(middle) else (middle + 1, high)
    return low


def _require_known_start(policy: Any, spec: ConvSpec, plans: list[Plan]) -> None:
    first = plans[0]
    other = next((each for each in plans if each.left != first.left), None)
    if other is not None:
        raise InvalidValueError(
            f"padding {str(policy.padding)!r} cannot be streamed with kernel_size {spec.kernel_size}, stride {spec.stride} and dilation "
            f"{spec.dilation}, since the padding before the first sample depends on the length of the whole input: {first.left} for "
            f"{first.length} samples, {other.left} for {other.length}; use padding=({first.left}, {first.right}), 'causal', or "
            f"stride 1."
        )
    if any(each.sides[0] != first.sides[0] for each in plans):
        raise InvalidValueError(_far(policy, "before the first sample reads the end of the input"))


def _require_local_end(policy: Any, plans: list[Plan]) -> None:
    for each in plans:
        read = _sources(each.sides[1])
        if read and min(read) < each.length // 2:
            raise InvalidValueError(_far(policy, "after the last sample reads the start of the input"))


def _far(policy: Any, reason: str) -> str:
    return (
        f"padding_mode {str(policy.padding_mode)!r} cannot be streamed, since the padding {reason}; use 'zeros', 'reflect' or "
        f"'replicate'."
    )
