"""`Live`: a stream that keeps its state, with rows that may be reset alone and get chunks of different lengths."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from convpolicy.arithmetic import integer
from convpolicy.chunks.stage import Stage, State, output_arrays
from convpolicy.errors import InvalidValueError


class _Group(NamedTuple):
    """Rows at the same place of a stream, with their common state."""

    rows: NDArray[np.int64]
    state: State


class Live:
    """A stream that keeps its state. `Streaming.start` builds it.

    Call it with each chunk, then call `flush`. Rows that were reset, or that got chunks of different lengths, are at different
    places. They run apart until they are at the same place again.

    Attributes:
        lengths: the number of outputs of each row in the last call, an int64 array (batch,). Outputs beyond it are 0.
    """

    def __init__(self, streaming: Any, stage: Stage, batch: int) -> None:
        self._streaming = streaming
        self._stage = stage
        self._batch = batch
        self._groups = [_Group(np.arange(batch), stage.initial(batch))]
        self._ended = np.zeros(batch, bool)
        self.lengths = np.zeros(batch, np.int64)

    def __call__(self, chunk: Any, lengths: Any = None) -> Any:
        """Return the outputs that a chunk completes.

        Args:
            chunk: array (batch, channels, samples), or (batch, samples, channels) if the layer takes such data.
            lengths: number of samples of each row, integers (batch,). Samples beyond it are not read. None takes all.

        Returns:
            The outputs. If the rows have different numbers of outputs, 0 follows after the last; see ``lengths``.

        Raises:
            InvalidTypeError, InvalidValueError: the chunk has another batch or other axes, a length is out of range, or a row was
                flushed and not reset.
        """
        self._stage.arrays.check(chunk, self._stage.channels())
        if chunk.shape[0] != self._batch:
            raise InvalidValueError(
                f"chunk must have {self._batch} rows, got {chunk.shape[0]}; start another stream for another batch."
            )
        self._streaming._check(self._groups[0].state, None, chunk)
        samples = self._stage.arrays.length(chunk)
        if lengths is None and len(self._groups) == 1 and not self._ended.any():  # the usual case, at little cost
            output, state = self._stage.step(chunk, self._groups[0].state)
            self._groups = [_Group(self._groups[0].rows, state)]
            self.lengths = np.full(self._batch, output_arrays(self._stage).length(output))
            return output
        counts = np.full(self._batch, samples) if lengths is None else self._counts(lengths, samples)
        ended = np.flatnonzero(self._ended & (counts > 0))
        if len(ended):
            raise InvalidValueError(
                f"chunk must not follow a flush, got one for row {ended[0]}, whose stream has ended; call reset() first, or pass 0 in "
                f"lengths for rows that have ended."
            )
        outputs, groups = [], []
        for group in self._split(counts):
            part = self._part(chunk, group.rows, counts[group.rows[0]], samples)
            output, state = self._stage.step(part, group.state)
            outputs.append((group.rows, output))
            groups.append(_Group(group.rows, state))
        self._groups = self._merged(groups)
        return self._together(outputs)

    def flush(self) -> Any:
        """Return the outputs that are left at the end of the input, of all rows that have not ended.

        Raises:
            InvalidValueError: all rows have ended, or the layer refuses an input as short as that of a row.
        """
        if self._ended.all():
            raise InvalidValueError("flush must be called once, got a second call; call reset() to start again.")
        open_rows = [self._only(group, ~self._ended[group.rows]) for group in self._groups if not self._ended[group.rows].all()]
        outputs = [(group.rows, self._stage.end(group.state)) for each in open_rows for group in self._by_count(each)]
        self._ended[:] = True
        return self._together(outputs)

    def reset(self, mask: Any = None) -> None:
        """Start rows anew.

        Args:
            mask: True for each row that starts anew, booleans (batch,). None resets all rows.
        """
        chosen = np.ones(self._batch, bool) if mask is None else np.asarray(mask)
        if chosen.dtype != bool or chosen.shape != (self._batch,):
            raise InvalidValueError(
                f"mask must be {self._batch} booleans, got {chosen.dtype} of shape {chosen.shape}; pass one per row."
            )
        rows = np.flatnonzero(chosen)
        groups = [self._only(group, ~chosen[group.rows]) for group in self._groups if not chosen[group.rows].all()]
        if len(rows):
            groups.append(_Group(rows, self._stage.initial(len(rows))))
        self._ended[rows] = False
        self._groups = self._merged(groups)

    def states(self) -> list[State]:
        """Return the state of each row, as `Streaming.initial_state` of one row. You can save them; see `load`."""
        states: list[State] = [{} for _ in range(self._batch)]
        for group in self._groups:
            for place, row in enumerate(group.rows):
                states[row] = self._rows(group.state, np.array([place]))
        return states

    def load(self, states: Sequence[Mapping[str, Any]]) -> None:
        """Continue from the states of rows that `states` returned."""
        if len(states) != self._batch:
            raise InvalidValueError(
                f"states must have one state per row, {self._batch}, got {len(states)}; pass one for each row."
            )
        for state in states:
            self._streaming._check(state, 1)
        self._ended[:] = False
        self._groups = self._merged([_Group(np.array([row]), dict(state)) for row, state in enumerate(states)])

    # -- groups of rows ------------------------------------------------------------------------------------------------------------

    def _counts(self, lengths: Any, samples: int) -> NDArray[np.int64]:
        values = [integer("lengths", value, 0, samples) for value in np.asarray(self._stage.arrays.numbers(lengths)).tolist()]
        if len(values) != self._batch:
            raise InvalidValueError(
                f"lengths must have one number per row, {self._batch}, got {len(values)}; pass one for each row."
            )
        return np.array(values, np.int64)

    def _rows(self, state: Mapping[str, Any], places: NDArray[np.int64]) -> State:
        return {name: self._stage.arrays.rows(array, places) for name, array in state.items()}

    def _only(self, group: _Group, chosen: NDArray[np.bool_]) -> _Group:
        if chosen.all():
            return group
        return _Group(group.rows[chosen], self._rows(group.state, np.flatnonzero(chosen)))

    def _split(self, counts: NDArray[np.int64]) -> list[_Group]:
        return [
            self._only(group, counts[group.rows] == count) for group in self._groups for count in np.unique(counts[group.rows])
        ]

    def _by_count(self, group: _Group) -> list[_Group]:
        """Return parts of a group whose rows have seen the same number of samples."""
        counters = [self._stage.arrays.numbers(array) for array in group.state.values() if len(array.shape) == 1]
        if not counters:
            return [group]
        places = np.stack(counters, axis=1)
        return [self._only(group, (places == place).all(axis=1)) for place in np.unique(places, axis=0)]

    def _part(self, chunk: Any, rows: NDArray[np.int64], count: int, samples: int) -> Any:
        arrays = self._stage.arrays
        part = chunk if len(rows) == self._batch else arrays.rows(chunk, rows)
        return part if count == samples else arrays.cut(part, 0, int(count))

    def _merged(self, groups: list[_Group]) -> list[_Group]:
        """Join groups whose states have the same shapes: they are at the same place."""
        places: dict[Any, list[_Group]] = {}
        for group in groups:
            place = tuple((name, tuple(array.shape[1:])) for name, array in group.state.items())
            places.setdefault(place, []).append(group)
        return [self._one(each) for each in places.values()]

    def _one(self, groups: list[_Group]) -> _Group:
        if len(groups) == 1:
            return groups[0]
        rows = np.concatenate([group.rows for group in groups])
        order, arrays = np.argsort(rows), self._stage.arrays
        state = {name: arrays.joined([group.state[name] for group in groups], 0) for name in groups[0].state}
        return _Group(rows[order], self._rows(state, order))

    def _together(self, outputs: list[tuple[NDArray[np.int64], Any]]) -> Any:
        arrays = output_arrays(self._stage)
        self.lengths = np.zeros(self._batch, np.int64)
        for rows, output in outputs:
            self.lengths[rows] = arrays.length(output)
        if len(outputs) == 1 and len(outputs[0][0]) == self._batch:
            return outputs[0][1]
        most, parts, order = int(self.lengths.max()), [], []
        for rows, output in outputs:
            parts.append(self._filled(output, most))
            order.append(rows)
        absent = np.setdiff1d(np.arange(self._batch), np.concatenate(order))  # rows that have ended
        if len(absent):
            parts.append(arrays.rows(parts[0], np.zeros(len(absent), np.int64)) * 0)
            order.append(absent)
        return arrays.rows(arrays.joined(parts, 0), np.argsort(np.concatenate(order)))

    def _filled(self, output: Any, length: int) -> Any:
        arrays = output_arrays(self._stage)
        missing = length - arrays.length(output)
        if not missing:
            return output
        shape = list(output.shape)
        shape[arrays.axis] = missing
        return arrays.end_to_end(output, arrays.zeros(shape))
