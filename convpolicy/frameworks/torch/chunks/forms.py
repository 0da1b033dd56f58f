"""A module with a `StreamingForm` as a step."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from convpolicy.chunks.stage import State
from convpolicy.frameworks.torch.chunks.steps import Arguments, Shapes
from convpolicy.frameworks.torch.chunks.values import BATCH, TIME, Stream


class Form:
    """A step of a module that another package knows how to stream.

    Args:
        form: the object that `StreamingForm.build` returned.
        stream: what is known of its chunks.
    """

    PROBE = (2, 16)  # batch and samples of the data on which a form is tried

    def __init__(self, form: Any, stream: Stream) -> None:
        self._form = form
        self._batch, self._time = stream.axes.index(BATCH), stream.time
        self._shapes: Shapes = {}
        self.packed: Callable[[list[Any]], Any] = _first  # from results to what the module returns

    def probe(self, stream: Stream, device: Any) -> list[Any]:
        """Return axes, dtype and number of samples of each result for random data, or None for a result of None."""
        batch, samples = self.PROBE
        with torch.no_grad():
            before = self._form.initial(batch)
            result, _state = self._whole(stream.probe(batch, samples, device), before, last=True)
            _result, after = self._form.step(stream.probe(batch, samples, device), before)
        self._shapes = {
            name: (
                "batch",
                *(int(size) if size == array.shape[axis] else "samples" for axis, size in enumerate(after[name].shape[1:], 1)),
            )
            for name, array in before.items()
        }
        results: list[Any] = []
        names = list(result) if isinstance(result, dict) else []
        self.packed = (lambda values: dict(zip(names, values))) if names else tuple if isinstance(result, tuple) else _first
        for each in _several(result):
            if each is None:
                results.append(None)
                continue
            axes = [axis if axis in (BATCH, TIME) else int(size) for axis, size in zip(stream.axes, each.shape)]
            results.append((axes, each.dtype, each.shape[self._time]))
        return results

    def initial(self, batch: int) -> State:
        """Return the state of the form."""
        return dict(self._form.initial(batch))

    def advance(self, chunks: Sequence[Tensor], state: Mapping[str, Any], last: bool, arguments: Arguments) -> tuple[Any, State]:
        """Return the outputs of the form."""
        return self._whole(chunks[0], state, last)

    def _whole(self, chunk: Tensor, state: Mapping[str, Any], last: bool) -> tuple[Any, State]:
        outputs, new = self._form.step(chunk, state)
        if last:
            outputs = _joined([outputs, self._form.end(new)], self._time)
        return outputs, dict(new)

    def outputs(self, counts: Sequence[int]) -> int:
        """Return the number of samples."""
        own = getattr(self._form, "outputs", None)
        return counts[0] if own is None else int(own(counts[0]))

    def shapes(self) -> Shapes:
        """Return the shapes of the state. A size that changes is the text ``"samples"``."""
        return self._shapes

    def axes(self) -> dict[str, int]:
        """Return nothing: a size that changes may be anything."""
        return {}


class AlikeForm(Form):
    """A form that gets one sample of one row at a time, so that the bits of a result do not depend on the chunks."""

    def _whole(self, chunk: Tensor, state: Mapping[str, Any], last: bool) -> tuple[Any, State]:
        batch, count = chunk.shape[self._batch], chunk.shape[self._time]
        if not batch or not (count or last):
            return super()._whole(chunk, state, last)
        rows, states = [], []
        for row in range(batch):
            own: State = {name: _part(array, 0, row) for name, array in state.items()}
            outputs = []
            for sample in range(count):
                output, own = self._form.step(_part(_part(chunk, self._batch, row), self._time, sample), own)
                outputs.append(output)
            if last:
                outputs.append(self._form.end(own))
            rows.append(_joined(outputs, self._time))
            states.append(own)
        return _joined(rows, self._batch), {name: torch.cat([own[name] for own in states]) for name in state}


def _part(data: Tensor, axis: int, place: int) -> Tensor:
    return data.narrow(axis, place, 1).clone(memory_format=torch.contiguous_format)


def _joined(results: Sequence[Any], axis: int) -> Any:
    """Join tensors, or tuples or dictionaries of tensors and None."""
    first = results[0]
    joined = [None if each[0] is None else torch.cat(list(each), axis) for each in zip(*map(_several, results))]
    if isinstance(first, dict):
        return dict(zip(first, joined))
    return tuple(joined) if isinstance(first, tuple) else joined[0]


def _first(results: list[Any]) -> Any:
    return results[0]


def _several(results: Any) -> Sequence[Any]:
    """Return the results of a form as a sequence."""
    if isinstance(results, dict):
        return list(results.values())
    return results if isinstance(results, tuple) else (results,)
