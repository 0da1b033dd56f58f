"""A convolution as a stage of a stream. The lengths of the arrays in its state say where the stream is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from convpolicy.chunks.arrays import Arrays
from convpolicy.chunks.layer import SEEN, LayerStage
from convpolicy.chunks.schedule import Schedule
from convpolicy.chunks.stage import State
from convpolicy.core.plan import require_a_window
from convpolicy.errors import InvalidValueError

PENDING, START, TAIL = "pending", "start", "tail"


class ConvolutionStage(LayerStage):
    """A convolution whose input comes in chunks.

    The arrays of the state:

    - ``pending``: padded samples from the start of the next output's window on.
    - ``start``: the first samples, while the left padding waits for them and after that. Only if the left padding reads samples.
    - ``tail``: the last samples. Only if the right padding reads samples that no later output reads.
    - ``seen``: the number of samples so far. Only if the right padding or the shortest input depends on it.

    Args:
        arrays: the arrays of the layer.
        schedule: the integers of the layer.
    """

    def __init__(self, arrays: Arrays, schedule: Schedule) -> None:
        super().__init__(arrays, schedule)
        self._before = arrays.filler(schedule.before)
        # read in every step
        self._stride, self._window = schedule.spec.stride, schedule.window
        self._counts, self._keeps_tail = schedule.counts, schedule.keeps_tail
        self._is_plain = self.shapes().keys() <= {PENDING, SEEN} and not schedule.held and self._window >= self._stride

    def shapes(self) -> dict[str, tuple[str | int, ...]]:
        """Return the largest shape of each array of the state."""
        plan = self.schedule
        lengths = (
            {PENDING: plan.longest} | ({START: plan.first} if plan.first else {}) | ({TAIL: plan.last} if plan.keeps_tail else {})
        )
        return self._shapes(lengths, self.channels())

    def initial(self, batch: int) -> State:
        """Return the state before the first sample."""
        arrays, plan, empty = self.arrays, self.schedule, self.arrays.zeros(self.arrays.shape(batch, self.channels(), 0))
        state = {PENDING: empty if plan.first else arrays.owned(self._before(empty))}
        if plan.first:
            state[START] = empty
        if plan.keeps_tail:
            state[TAIL] = empty
        if plan.counts:
            state[SEEN] = arrays.counter(batch)
        return state

    def step(self, chunk: Any, state: Mapping[str, Any]) -> tuple[Any, State]:
        """Return the outputs that a chunk completes, and the next state."""
        if self._is_plain:
            output, after = self._plain(chunk, state[PENDING])
            return output, (after | {SEEN: state[SEEN] + self.arrays.length(chunk)} if self._counts else after)
        arrays, plan, length = self.arrays, self.schedule, self.arrays.length
        new: State = {}
        if self._counts:
            new[SEEN] = state[SEEN] + length(chunk)
        if self._keeps_tail:
            tail = arrays.extended(state[TAIL], chunk)
            new[TAIL] = arrays.kept(tail, max(length(tail) - plan.last, 0))
        pending = state[PENDING]
        done = self._windows(length(pending), self._window)
        if plan.first:
            start = state[START]
            if length(start) < plan.first:
                start, chunk = self._begun(start, chunk)
                if length(start) == plan.first:
                    pending = arrays.end_to_end(self._before(start), arrays.cut(start, max(-plan.left, 0)))
            new[START] = start
        joined = arrays.extended(pending, chunk)
        count = self._windows(length(joined), self._window)
        sure = arrays.cut(joined, 0, max(length(joined) - plan.held, 0)) if plan.held else joined
        output = self._between(sure, done, count)
        hops = count if self._window >= self._stride else length(joined) // self._stride
        new[PENDING] = arrays.kept(joined, hops * self._stride)
        return output, new

    def _plain(self, chunk: Any, pending: Any) -> tuple[Any, State]:
        """Return what `step` returns for a layer that has computed all complete windows, and keeps no other samples."""
        arrays, joined = self.arrays, self.arrays.extended(pending, chunk)
        length = arrays.length(joined)
        count = self._windows(length, self._window)
        output = self._convolved(joined) if count else self._zeros(chunk.shape[0])
        return output, {PENDING: arrays.kept(joined, count * self._stride)}

    def _begun(self, start: Any, chunk: Any) -> tuple[Any, Any]:
        """Return the first samples so far, and what is left of the chunk."""
        arrays, room = self.arrays, self.schedule.first - self.arrays.length(start)
        return (
            arrays.owned(arrays.end_to_end(start, arrays.cut(chunk, 0, room))),
            arrays.cut(chunk, min(room, arrays.length(chunk))),
        )

    def _windows(self, length: Any, window: int) -> Any:
        return (length - window) // self._stride + 1 if length >= window else 0

    def _between(self, padded: Any, done: Any, count: Any) -> Any:
        """Return the outputs from ``done`` to ``count``, whose windows start in ``padded``."""
        if count <= done:
            return self._zeros(padded.shape[0])
        # what follows the last whole window is left to the convolution, which does not read it
        return self._convolved(self.arrays.cut(padded, done * self._stride) if done else padded)

    def _convolved(self, padded: Any) -> Any:
        return self.arrays.convolved(padded)

    def end(self, state: Mapping[str, Any]) -> Any:
        """Return the outputs that are left at the end of the stream.

        Raises:
            InvalidValueError: the layer refuses an input of this length.
        """
        arrays, plan, pending = self.arrays, self.schedule, state[PENDING]
        if plan.first and arrays.length(state[START]) < plan.first:
            return self._whole(state[START])
        if plan.counts:
            seen = self._seen(state)
            if not seen:
                return self._zeros(pending.shape[0])
            after, right = self._end_of(seen, arrays.length(state[TAIL if plan.keeps_tail else PENDING]))
        else:
            assert plan.after is not None
            assert plan.right is not None
            after, right = plan.after, plan.right
        done = self._windows(arrays.length(pending), self._window)
        if right >= 0:
            padded = arrays.end_to_end(pending, arrays.filler(after)(state[TAIL] if plan.keeps_tail else pending))
        else:
            padded = arrays.cut(pending, 0, max(arrays.length(pending) + right, 0))
        return self._between(padded, done, self._windows(arrays.length(padded), plan.spec.effective_kernel))

    def _end_of(self, length: int, kept: int) -> tuple[Any, int]:
        """Return the right padding of an input length, reading from the last ``kept`` samples."""
        plan = require_a_window(self.schedule.plan(length))
        if plan.left != self.schedule.left or plan.sides[0] != self.schedule.before or plan.right < -self.schedule.held:
            raise InvalidValueError(
                f"length must be one for which the padding at the start is that of other lengths, got {length}, whose padding is "
                f"({plan.left}, {plan.right}); run the layer on the whole input."
            )
        after = plan.sides[1].part(0, plan.added[1], kept - length)
        if any(
            source < 0
            for term, old in zip(after.terms, plan.sides[1].terms)
            for source, was in zip(term.sources, old.sources)
            if was >= 0
        ):
            raise InvalidValueError(
                f"length must be one whose padding at the end reads the last {kept} samples, got {length}; run the layer on the whole "
                f"input."
            )
        return after, plan.right

    def _whole(self, data: Any) -> Any:
        """Return the outputs of an input that ends before the left padding was known."""
        arrays, length = self.arrays, self.arrays.length(data)
        if not length:
            return self._zeros(data.shape[0])
        plan = require_a_window(self.schedule.plan(length))
        before, after = (arrays.filler(side)(data) for side in plan.sides)
        first, last = plan.cut
        padded = arrays.end_to_end(before, data, after)
        return self._between(arrays.cut(padded, first, arrays.length(padded) - last), 0, plan.length_out)
