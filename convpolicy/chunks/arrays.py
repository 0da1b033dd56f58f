"""`Arrays`: what streaming needs from a framework, for one layer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convpolicy.errors import InvalidTypeError, InvalidValueError
from convpolicy.parts.side import Arithmetic, Side


class Arrays:
    """The arrays of one layer: how its framework joins and cuts them, and how the layer convolves without padding.

    A framework's room derives a class from this one. All arrays are data of the layer: (batch, channels, length), or (batch, length,
    channels) if ``channels_last``.

    Args:
        channels_last: True if the channels are the last axis of the layer's data.
    """

    name = "array"  # what an error calls the arrays that the layer takes

    def __init__(self, channels_last: bool = False) -> None:
        self.channels_last = channels_last
        self.axis = 1 if channels_last else 2  # of the length

    # -- what a room implements ----------------------------------------------------------------------------------------------------

    def zeros(self, shape: Sequence[int]) -> Any:
        """Return zeros in the dtype and on the device of the layer."""
        raise NotImplementedError

    def counter(self, batch: int) -> Any:
        """Return zeros (batch,) as 64-bit integers, or the largest integers that the framework has."""
        raise NotImplementedError

    def joined(self, parts: Sequence[Any], axis: int) -> Any:
        """Concatenate arrays along an axis."""
        raise NotImplementedError

    def arithmetic(self, data: Any) -> Arithmetic:
        """Return the functions that compute the elements of a `Side` from ``data``, for `filler`."""
        raise NotImplementedError

    def convolved(self, data: Any) -> Any:
        """Convolve data that is already padded, at least one window long. The bias is added."""
        raise NotImplementedError

    def scattered(self, data: Any) -> Any:
        """Return the full result of a transposed convolution, at least one sample long. No bias is added."""
        raise NotImplementedError

    def biased(self, data: Any) -> Any:
        """Add the bias of the layer to outputs."""
        raise NotImplementedError

    def is_array(self, value: Any) -> bool:
        """Return True if a value is an array of the framework."""
        raise NotImplementedError

    def title(self, value: Any) -> str:
        """Return what an error says of a value that is no array of the layer."""
        dtype = getattr(value, "dtype", None)
        return f"{type(value).__name__} of dtype {dtype}" if dtype is not None else type(value).__name__

    def of_numpy(self, data: NDArray[Any]) -> Any:
        """Return data of the layer with the values of a NumPy array (batch, channels, length)."""
        raise NotImplementedError

    # -- what all frameworks share, and a room may replace ---------------------------------------------------------------------------

    learned: Any = None  # the learned constant of the padding

    def owned(self, data: Any) -> Any:
        """Return an array that keeps nothing else in memory: a copy if ``data`` is a view."""
        return data

    def kept(self, data: Any, start: Any) -> Any:
        """Return the samples from ``start`` on, which is at most the length, as an array that keeps nothing else in memory."""
        return self.owned(self.cut(data, start))

    def goes_with(self, array: Any, chunk: Any) -> bool:
        """Return True if an array of the state has a dtype and a device that may be joined with those of a chunk."""
        return True

    def filler(self, side: Side) -> Callable[[Any], Any]:
        """Return the function that computes the elements of a side from data. What does not depend on data is computed here, once."""
        if not side.width:
            return lambda data: self.cut(data, 0, 0)
        return lambda data: side.added(self.arithmetic(data), self.learned if side.learned else None)

    def gradient(self, function: Callable[[Any], Any], data: Any, upstream: Any) -> Any:
        """Return the gradient of ``sum(function(data) * upstream)`` to data, or None if the framework has no gradients."""
        return None

    def rows(self, data: Any, places: NDArray[np.int64]) -> Any:
        """Return rows of a batch."""
        return data[places]

    def numbers(self, data: Any) -> NDArray[Any]:
        """Return an array as a NumPy array."""
        return np.asarray(data)

    def to_numpy(self, data: Any) -> NDArray[Any]:
        """Return data of the layer as a NumPy array (batch, channels, length); bfloat16 as float32."""
        numbers = self.numbers(data)
        if numbers.dtype.name == "bfloat16":
            numbers = numbers.astype(np.float32)
        return numbers.transpose(0, 2, 1) if self.channels_last else numbers

    def convolved_alike(self, data: Any) -> Any:
        """Convolve padded data as `convolved` does, in a way that was found to give each output the same bits in every call.

        None if there is no such way: then `convpolicy.chunks.same_bits` calls `convolved` with one shape only.
        """
        return None

    def shape(self, batch: Any, channels: int, length: int) -> tuple[Any, int, int]:
        """Return the shape of data in the axes of the layer."""
        return (batch, length, channels) if self.channels_last else (batch, channels, length)

    def length(self, data: Any) -> Any:
        """Return the length of data, in samples."""
        return data.shape[self.axis]

    def cut(self, data: Any, start: Any, stop: Any = None) -> Any:
        """Return the samples from ``start`` to ``stop``."""
        return data[:, start:stop] if self.channels_last else data[..., start:stop]

    def end_to_end(self, *parts: Any) -> Any:
        """Join data along the length. Empty parts cost nothing."""
        parts = tuple(part for part in parts if not _is_empty(self.length(part))) or parts[:1]
        return parts[0] if len(parts) == 1 else self.joined(parts, self.axis)

    def extended(self, kept: Any, chunk: Any) -> Any:
        """Join samples that a state keeps and a chunk with as many channels. Either may be empty."""
        return self.end_to_end(kept, chunk)

    def check(self, chunk: Any, channels: int, argument: str = "chunk") -> None:
        """Check a chunk, or another argument that is data of the layer.

        Raises:
            InvalidTypeError, InvalidValueError: it is no array of the framework, or has other axes or channels.
        """
        if not self.is_array(chunk):
            raise InvalidTypeError(f"{argument} must be a {self.name}, got {self.title(chunk)}; convert it first.")
        shape = chunk.shape
        if len(shape) != 3 or shape[3 - self.axis] != channels:
            axes = f"(batch, length, {channels})" if self.channels_last else f"(batch, {channels}, length)"
            raise InvalidValueError(
                f"{argument} must have shape {axes}, got {tuple(shape)}; keep the batch axis also for one row."
            )


def _is_empty(length: Any) -> bool:
    return isinstance(length, int) and length == 0
