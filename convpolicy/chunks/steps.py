"""`Streaming`: a layer that takes its input in chunks, with an explicit state."""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import attrs

from convpolicy.arithmetic import integer
from convpolicy.chunks.columns import columns_of, state_from
from convpolicy.chunks.live import Live
from convpolicy.chunks.stage import Stage, State
from convpolicy.errors import InvalidTypeError, InvalidValueError, shown


class Streaming:
    """A layer that takes its input in chunks. `convpolicy.streaming` builds it.

    Joined, the outputs of all steps and of `flush` are those of the layer on the whole input.

    Attributes:
        delay: the number of input samples that an output waits for after the end of its hop. A causal layer has 0.
        multiple: the smallest chunk length whose multiples give the same number of outputs at each step.
        state_shapes: mapping from the name of each array of the state to its largest shape. The batch is the text ``"batch"``.
    """

    def __init__(self, stage: Stage, stride: Fraction) -> None:
        self._stage = stage
        self._stride = stride
        self.multiple = stride.numerator
        self.state_shapes = stage.shapes()
        self._channels = stage.channels()
        self._arrays = tuple(_Array.of(name, shape, stage) for name, shape in self.state_shapes.items())
        self.delay = self._waits(1, self._stride)

    def _waits(self, chunk: int, hop: Fraction) -> int:
        """Return the largest number of samples that come after the sample ``ceil(output * stride + hop)`` before an output is returned."""
        stride, outputs, latest, came = self._stride, 0, 0, 0
        while outputs < 4 * stride.denominator or came < 4 * (stride.numerator + chunk):
            came += chunk
            complete = self._stage.outputs(came)
            if complete > outputs:  # of the outputs of one chunk, the first has waited longest
                latest = max(latest, came - math.ceil(outputs * stride + hop))
            outputs = complete
        return latest

    def latency(self, samples: int) -> int:
        """Return the latency for chunks of one length: the largest number of samples that come after an output's first sample.

        Args:
            samples: length of the chunks, 1 or more.

        Returns:
            The number of samples that the stream received after sample ``floor(output * stride)`` when it returns the output.
        """
        chunk = integer("samples", samples, 1)
        return max(self._waits(chunk, Fraction(0)) - 1, 0)

    def _repr_html_(self) -> str:
        from convpolicy.pictures.table import table  # here: only to show it

        facts = f"delay {self.delay}; with chunks of a multiple of {self.multiple}, steps return the same number of outputs"
        rows = [(name, ", ".join(map(str, shape))) for name, shape in self.state_shapes.items()]
        return table(("array of the state", "largest shape"), rows, facts)

    def initial_state(self, batch: int = 1) -> State:
        """Return the state before the first sample.

        Args:
            batch: number of rows.

        Returns:
            A dictionary of named arrays of the framework, whose first axis is the batch. You can save, move and index them.
        """
        return self._stage.initial(integer("batch", batch, 0))

    def step(self, chunk: Any, state: Mapping[str, Any]) -> tuple[Any, State]:
        """Return the outputs that a chunk completes.

        Args:
            chunk: array (batch, channels, samples), or (batch, samples, channels) if the layer takes such data; 0 samples or more.
            state: the state that `initial_state` or the last step returned. It is not changed.

        Returns:
            The outputs, 0 or more, and the next state.

        Raises:
            InvalidTypeError, InvalidValueError: the chunk or the state does not belong to this layer.
        """
        self._stage.arrays.check(chunk, self._channels)
        self._check(state, chunk.shape[0], chunk)
        return self._stage.step(chunk, state)

    def flush(self, state: Mapping[str, Any]) -> Any:
        """Return the outputs that are left at the end of the input: those whose windows reach the padding on the right.

        Args:
            state: the state after the last step.

        Returns:
            The outputs, 0 or more.

        Raises:
            InvalidTypeError, InvalidValueError: the state does not belong to this layer, or the layer refuses an input of this length.
        """
        self._check(state, None)
        return self._stage.end(state)

    def start(self, batch: int = 1) -> Live:
        """Return a stream that keeps its state: call it with each chunk, then call ``flush``.

        Args:
            batch: number of rows.
        """
        return Live(self, self._stage, integer("batch", batch, 1))

    def state_from(self, columns: Any, convention: str | None = None, *, samples: int | None = None) -> State:
        """Return the state of a causal convolution whose stream another library started.

        Args:
            columns: the last samples of the input, oldest first, array (batch, channels, count). ``count`` is at least the effective kernel
                minus the stride.
            convention: the library that keeps these columns. None takes any number of columns.

                - ``"mamba"``: ``conv_state`` of Mamba, ``kernel_size`` columns
                - ``"causal-conv1d"``: ``initial_states`` of causal-conv1d, and vLLM, ``kernel_size - 1`` columns
                - ``"transformers"``: padding cache of a layer of a codec in transformers, and Moshi, effective kernel - ``stride`` columns
                - ``"nemo"``: cache of NeMo's CausalConv1D, ``kernel_size - 1`` columns
            samples: number of samples so far. Only for layers whose last outputs depend on it, such as Mimi's with a stride.

        Raises:
            InvalidTypeError, InvalidValueError: the layer has another state than its last samples, or the columns are not those of the
                convention.
        """
        return state_from(columns, self._stage, convention, samples)

    def columns(self, state: Mapping[str, Any], count: int | None = None, *, convention: str | None = None) -> Any:
        """Return the last samples of the input of a causal convolution, as other libraries keep them.

        Args:
            state: the state after the last step.
            count: number of samples, the oldest first. Zeros precede samples that the state no longer contains. None returns those that
                it contains.
            convention: the library that continues the stream, instead of ``count``; see `state_from`.

        Returns:
            An array (batch, channels, count).

        Raises:
            InvalidTypeError, InvalidValueError: the layer has another state than its last samples, ``count`` is smaller than these, or
                the library cannot continue here, since the samples so far are no multiple of the stride.
        """
        self._check(state, None)
        return columns_of(state, self._stage, count, convention)

    def _check(self, state: Any, batch: int | None, chunk: Any = None) -> None:
        if type(state) is not dict and not isinstance(state, Mapping):
            raise InvalidTypeError(f"state must be a dictionary of arrays, got {shown(state)}; pass initial_state(batch).")
        if state.keys() != self.state_shapes.keys():
            raise InvalidValueError(
                f"state must have the keys {', '.join(self.state_shapes) or 'of no array'}, got {', '.join(map(str, state)) or 'none'}; "
                f"pass initial_state(batch) of this layer."
            )
        for expected in self._arrays:
            array = state[expected.name]
            shape = getattr(array, "shape", ())
            if not expected.fits(shape):
                raise InvalidValueError(
                    f"state must be one of this layer, with {expected.name!r} of shape {expected}, got shape {tuple(shape)}; pass "
                    f"initial_state(batch) or the state that the last step returned."
                )
            if batch is not None and shape[0] != batch:  # type: ignore[misc]
                raise InvalidValueError(
                    f"state must have as many rows as the chunk, {batch}, got shape {tuple(shape)} in {expected.name!r}; pass "
                    f"initial_state({batch})."
                )
            if chunk is not None and expected.is_alike and not self._stage.arrays.goes_with(array, chunk):
                arrays = self._stage.arrays
                raise InvalidTypeError(
                    f"state must have the dtype and device of the chunk, {arrays.title(chunk)}, got {arrays.title(array)} in "
                    f"{expected.name!r}; convert one of them."
                )

    def __repr__(self) -> str:
        return f"Streaming(delay={self.delay}, multiple={self.multiple}, state={self.state_shapes})"


@attrs.frozen
class _Array:
    """What an array of the state must be.

    Args:
        name: its name.
        shape: its largest shape. A size that may be anything is a text.
        sizes: the axes whose size is fixed, with the size.
        axis: the axis along which it may be shorter, or None.
        most: its largest size along this axis.
        is_alike: True if it has the dtype and the device of the chunk.
    """

    name: str
    shape: tuple[str | int, ...]
    sizes: tuple[tuple[int, int], ...]
    axis: int | None
    most: Any
    is_alike: bool

    @classmethod
    def of(cls, name: str, shape: tuple[str | int, ...], stage: Stage) -> _Array:
        axis = stage.axes().get(name)
        sizes = tuple((place, size) for place, size in enumerate(shape) if isinstance(size, int) and place != axis)
        most = None if axis is None else shape[axis]
        return cls(name, shape, sizes, axis, most, name in stage.alike())

    def fits(self, shape: Any) -> bool:
        """Return True for the shape of such an array."""
        if len(shape) != len(self.shape):
            return False
        for place, size in self.sizes:
            if shape[place] != size:
                return False
        return self.axis is None or bool(shape[self.axis] <= self.most)

    def __str__(self) -> str:
        sizes = [f"at most {size}" if place == self.axis else str(size) for place, size in enumerate(self.shape)]
        return f"({', '.join(sizes)})"
