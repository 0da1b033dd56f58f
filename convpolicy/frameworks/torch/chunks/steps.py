"""The steps of a streamed model: what one node of its graph does with a chunk."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeAlias

from torch import Tensor

from convpolicy.chunks.stage import Stage, State
from convpolicy.errors import InvalidValueError
from convpolicy.frameworks.torch.chunks.arrays import TensorArrays
from convpolicy.frameworks.torch.chunks.values import BATCH, TIME, Stream

# chunks of a step's streams -> positional and keyword arguments of the node
Arguments: TypeAlias = "Callable[[Sequence[Tensor]], tuple[tuple[Any, ...], dict[str, Any]]]"
Call: TypeAlias = "Callable[[Sequence[Tensor], Arguments], Any]"  # chunks, arguments -> results of the node
Shapes: TypeAlias = "dict[str, tuple[str | int, ...]]"


class Step(Protocol):
    """What one node does with the chunks of its inputs."""

    def initial(self, batch: int) -> State:
        """Return the state before the first sample."""

    def advance(self, chunks: Sequence[Tensor], state: Mapping[str, Any], last: bool, arguments: Arguments) -> tuple[Any, State]:
        """Return the outputs that chunks complete, and the next state.

        Args:
            chunks: tensors of the streams that the node reads.
            state: the state.
            last: True at the end of the stream. Then all outputs that are left are returned.
            arguments: gives the arguments of the node for chunks.
        """

    def outputs(self, counts: Sequence[int]) -> int:
        """Return the number of samples that were returned after ``counts`` samples of the inputs, before the end."""

    def shapes(self) -> Shapes:
        """Return the largest shape of each array of the state."""

    def axes(self) -> dict[str, int]:
        """Return the axis of each array of the state along which it may be shorter. An array without one is left out."""


class Stateless:
    """A step without memory."""

    def initial(self, batch: int) -> State:
        """Return no state."""
        return {}

    def shapes(self) -> Shapes:
        """Return nothing."""
        return {}

    def axes(self) -> dict[str, int]:
        """Return nothing."""
        return {}


def called(function: Callable[..., Any]) -> Call:
    """Return a function as the call of a step."""

    def call(chunks: Sequence[Tensor], arguments: Arguments) -> Any:
        positional, keywords = arguments(chunks)
        return function(*positional, **keywords)

    return call


class Pointwise(Stateless):
    """A call that computes each sample of its result from the same sample of its inputs, which all have one clock."""

    def __init__(self, call: Call) -> None:
        self.call = call

    def advance(self, chunks: Sequence[Tensor], state: Mapping[str, Any], last: bool, arguments: Arguments) -> tuple[Any, State]:
        """Return the result for the chunks."""
        return self.call(chunks, arguments), {}

    def outputs(self, counts: Sequence[int]) -> int:
        """Return the number of samples."""
        return counts[0]


class Join:
    """A call on streams with different delays. The samples of each wait for those of the others.

    Args:
        call: call on samples at the same time.
        streams: its inputs.
        module: the model.
        title: what an error calls the function.
        longest: the largest number of samples of each input that wait.
    """

    def __init__(self, call: Call, streams: Sequence[Stream], module: Any, title: str, longest: Sequence[int]) -> None:
        self.call = call
        self.streams = tuple(streams)
        self.title = title
        self.longest = tuple(longest)
        self.batches = tuple(stream.axes.index(BATCH) for stream in streams)
        rows = [_batch_first(stream.axes) for stream in streams]
        self.rows = tuple(rows)
        self.arrays = tuple(TensorArrays(module, axes.index(TIME)) for axes in rows)

    def initial(self, batch: int) -> State:
        """Return empty arrays."""
        return {
            f"waiting{number}": arrays.zeros([batch if axis == BATCH else 0 if axis == TIME else int(axis) for axis in axes])
            for number, (arrays, axes) in enumerate(zip(self.arrays, self.rows))
        }

    def advance(self, chunks: Sequence[Tensor], state: Mapping[str, Any], last: bool, arguments: Arguments) -> tuple[Any, State]:
        """Return the result for the samples that all inputs have."""
        joined = [
            arrays.extended(state[f"waiting{number}"], chunk.movedim(batch, 0))
            for number, (arrays, chunk, batch) in enumerate(zip(self.arrays, chunks, self.batches))
        ]
        lengths = [arrays.length(data) for arrays, data in zip(self.arrays, joined)]
        count = min(lengths)
        if last and max(lengths) > count:
            raise InvalidValueError(
                f"branches must have equal lengths, got inputs of {self.title} that differ by {max(lengths) - count} samples at the "
                f"end; cut the longer one, or pad the shorter one."
            )
        ready = [arrays.cut(data, 0, count).movedim(0, batch) for arrays, data, batch in zip(self.arrays, joined, self.batches)]
        new = {f"waiting{number}": arrays.kept(data, count) for number, (arrays, data) in enumerate(zip(self.arrays, joined))}
        return self.call(ready, arguments), new

    def outputs(self, counts: Sequence[int]) -> int:
        """Return the smallest number of samples."""
        return min(counts)

    def shapes(self) -> Shapes:
        """Return the largest shapes."""
        return {
            f"waiting{number}": tuple(most if axis == TIME else axis for axis in axes)
            for number, (axes, most) in enumerate(zip(self.rows, self.longest))
        }

    def axes(self) -> dict[str, int]:
        """Return the axes of the time."""
        return {f"waiting{number}": axes.index(TIME) for number, axes in enumerate(self.rows)}


def _batch_first(axes: Sequence[str | int]) -> list[str | int]:
    return [BATCH, *(axis for axis in axes if axis != BATCH)]


class Staged:
    """A stage of a layer, on a stream of any axes: all axes but the batch and the time are its channels.

    Args:
        stage: the stage.
        axes: axes of the input.
        after: function of the outputs, in the axes of the input.
    """

    def __init__(self, stage: Stage, axes: Sequence[str | int], after: Callable[[Tensor], Any] | None = None) -> None:
        self.stage = stage
        self.after = after
        others = [place for place, axis in enumerate(axes) if isinstance(axis, int)]
        order = [axes.index(BATCH), *others, axes.index(TIME)]
        self.sizes = [int(axes[place]) for place in others]
        self.order = None if order == [0, 1, 2] else order
        self.back = [order.index(place) for place in range(len(order))]

    def _rows(self, data: Tensor) -> Tensor:
        if self.order is None:
            return data
        data = data.permute(self.order)
        return data.reshape(data.shape[0], math.prod(self.sizes), data.shape[-1])

    def _from_rows(self, data: Tensor) -> Tensor:
        if self.order is None:
            return data
        return data.reshape(data.shape[0], *self.sizes, data.shape[-1]).permute(self.back)

    def of(self, arguments: Arguments, chunks: Sequence[Tensor]) -> Any:
        """Return the stage for the arguments of a call."""
        return self.stage

    def initial(self, batch: int) -> State:
        """Return the state of the stage."""
        return self.stage.initial(batch)

    def advance(self, chunks: Sequence[Tensor], state: Mapping[str, Any], last: bool, arguments: Arguments) -> tuple[Any, State]:
        """Return the outputs of the stage."""
        stage = self.of(arguments, chunks)
        outputs, new = stage.step(self._rows(chunks[0]), state)
        if last:
            outputs = stage.arrays.end_to_end(outputs, stage.end(new))
        outputs = self._from_rows(outputs)
        return (outputs if self.after is None else self.after(outputs)), new

    def outputs(self, counts: Sequence[int]) -> int:
        """Return the number of samples of the stage."""
        return self.stage.outputs(counts[0])

    def shapes(self) -> Shapes:
        """Return the shapes of the stage."""
        return self.stage.shapes()

    def axes(self) -> dict[str, int]:
        """Return the axes of the stage."""
        return self.stage.axes()
