"""A transposed convolution as a stage of a stream: results of chunks overlap and are added."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import attrs

from convpolicy.chunks.layer import SEEN, LayerStage
from convpolicy.chunks.schedule import MOST_PHASES
from convpolicy.chunks.stage import State
from convpolicy.core.plan import require_a_window
from convpolicy.core.spec import ConvSpec
from convpolicy.core.transposed_plan import CIRCULAR, TransposedPlan
from convpolicy.errors import InvalidValueError

PARTIAL, CUT, WAITING = "partial", "cut", "waiting"


@attrs.frozen
class TransposedSchedule:
    """Which outputs of a transposed convolution are complete after each sample.

    Args:
        spec: sizes of the layer.
        plan: function from an input length to the plan of the layer.
        left: samples that are cut at the start of the full result. A negative number adds zeros.
        held: number of complete samples that wait because the end of the input may cut them.
        right: samples that are cut at the end if this does not depend on the input length, else None.
    """

    spec: ConvSpec
    plan: Callable[[int], TransposedPlan]
    left: int
    held: int
    right: int | None

    @property
    def overlap(self) -> int:
        """The number of samples of the full result that later input samples still change."""
        return max(self.spec.effective_kernel - self.spec.stride, 0)

    @property
    def counts(self) -> bool:
        """True if the end of the stream must know the number of samples."""
        right = self.right
        return right is None or min(self.left, right) < 0 or self.left + right >= self.spec.effective_kernel

    @property
    def waits(self) -> int:
        """The largest number of complete samples that wait."""
        return max(self.held, -self.left)

    def outputs(self, length: int) -> int:
        """Return the number of outputs that were returned after ``length`` samples, before the end of the stream."""
        return max(length * self.spec.stride - self.left - self.held, 0) if length else 0


def transposed_schedule(policy: Any, spec: ConvSpec) -> TransposedSchedule:
    """Return the schedule of a transposed convolution.

    Args:
        policy: a `TransposedPolicy`.
        spec: checked sizes.

    Raises:
        InvalidValueError: what is cut at the start depends on the end of the input. The message says what to use instead.
    """
    plan = partial(policy.planned, spec)
    if policy.padding_mode.name == CIRCULAR:
        raise InvalidValueError(
            f"padding_mode {CIRCULAR!r} cannot be streamed, since samples at the end of the output are added to its start; use 'zeros'."
        )
    pads = policy.static_pads(spec.kernel_size, spec.stride, spec.dilation)
    lengths = range(spec.effective_kernel + 1, spec.effective_kernel + 2 + 2 * min(spec.stride, MOST_PHASES))
    cuts = [pads] if pads is not None else [(each.left, each.right) for each in map(plan, [1, 2, *lengths])]
    lefts = {left for left, _right in cuts}
    if len(lefts) > 1:
        raise InvalidValueError(
            f"padding {str(policy.padding)!r} cannot be streamed, since what is cut before the first output depends on the length of the "
            f"whole input: {min(lefts)} to {max(lefts)} samples; use a pair (left, right)."
        )
    most = max(right for _left, right in cuts)
    held = max(most + spec.stride - spec.effective_kernel, 0)
    return TransposedSchedule(spec, plan, cuts[0][0], held, None if pads is None else pads[1])


class TransposedStage(LayerStage):
    """A transposed convolution whose input comes in chunks.

    The arrays of the state:

    - ``partial``: sums that later samples still change, without bias.
    - ``cut``: the outputs that were cut at the start. Only if any are cut.
    - ``waiting``: complete sums that the end may cut, without bias. Only if it may.
    - ``seen``: the number of samples so far. Only if the end or the shortest input depends on it.

    Args:
        arrays: the arrays of the layer.
        schedule: the integers of the layer.
    """

    def shapes(self) -> dict[str, tuple[str | int, ...]]:
        """Return the largest shape of each array of the state."""
        plan = self.schedule
        lengths = {PARTIAL: plan.overlap, CUT: max(plan.left, 0), WAITING: plan.waits}
        return self._shapes(
            {name: length for name, length in lengths.items() if length or name == PARTIAL}, plan.spec.out_channels
        )

    def initial(self, batch: int) -> State:
        """Return the state before the first sample."""
        plan = self.schedule
        state = {PARTIAL: self._zeros(batch, plan.overlap)}
        if plan.left > 0:
            state[CUT] = self._zeros(batch, 0)
        if plan.waits:
            state[WAITING] = self._zeros(batch, max(-plan.left, 0))
        if plan.counts:
            state[SEEN] = self.arrays.counter(batch)
        return state

    def step(self, chunk: Any, state: Mapping[str, Any]) -> tuple[Any, State]:
        """Return the outputs that a chunk completes, and the next state."""
        arrays, plan = self.arrays, self.schedule
        samples = arrays.length(chunk)
        if samples == 0:
            return self._zeros(chunk.shape[0], 0), dict(state)
        new: State = {SEEN: state[SEEN] + samples} if plan.counts else {}
        complete, new[PARTIAL] = self._overlapped(chunk, state[PARTIAL], samples * plan.spec.stride)
        if plan.left > 0:
            room = plan.left - arrays.length(state[CUT])
            new[CUT] = arrays.owned(arrays.end_to_end(state[CUT], arrays.cut(complete, 0, room)))
            complete = arrays.cut(complete, min(room, arrays.length(complete)))
        if plan.waits:
            complete = arrays.extended(state[WAITING], complete)
            ready = max(arrays.length(complete) - plan.held, 0)
            new[WAITING] = arrays.kept(complete, ready)
            complete = arrays.cut(complete, 0, ready)
        return arrays.biased(complete), new

    def _overlapped(self, chunk: Any, partial: Any, complete: Any) -> tuple[Any, Any]:
        """Return the complete sums and those that later samples still change."""
        arrays, overlap = self.arrays, self.schedule.overlap
        full = arrays.scattered(chunk)
        if not overlap:
            missing = self.schedule.spec.stride - self.schedule.spec.effective_kernel
            return (arrays.end_to_end(full, self._zeros(chunk.shape[0], missing)) if missing else full), partial
        full = arrays.end_to_end(arrays.cut(full, 0, overlap) + partial, arrays.cut(full, overlap))
        return arrays.cut(full, 0, complete), arrays.kept(full, complete)

    def end(self, state: Mapping[str, Any]) -> Any:
        """Return the outputs that are left at the end of the stream.

        Raises:
            InvalidValueError: the layer refuses an input of this length.
        """
        arrays, plan, partial = self.arrays, self.schedule, state[PARTIAL]
        right = plan.right
        if plan.counts:
            seen = self._seen(state)
            if not seen:
                return self._zeros(partial.shape[0])
            planned = require_a_window(plan.plan(seen))
            if planned.left != plan.left or planned.right + plan.spec.stride - plan.spec.effective_kernel > plan.held:
                raise InvalidValueError(
                    f"length must be one for which the cut at the start is that of other lengths, got {seen}, which cuts "
                    f"({planned.left}, {planned.right}); run the layer on the whole input."
                )
            right = planned.right
        assert right is not None
        rest = arrays.end_to_end(state[WAITING], partial) if plan.waits else partial
        surplus = right + max(plan.spec.stride - plan.spec.effective_kernel, 0)
        if surplus < 0:
            rest = arrays.end_to_end(rest, self._zeros(partial.shape[0], -surplus))
        first = plan.left - arrays.length(state[CUT]) if plan.left > 0 else 0
        return arrays.biased(arrays.cut(rest, first, arrays.length(rest) - max(surplus, 0)))
