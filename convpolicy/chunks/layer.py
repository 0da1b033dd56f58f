"""`LayerStage`: what the stages of a convolution and of a transposed convolution have in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from convpolicy.chunks.arrays import Arrays
from convpolicy.errors import InvalidValueError

SEEN = "seen"  # array of a state: the number of samples so far, only if ``schedule.counts``


class LayerStage:
    """The stage of one layer.

    Args:
        arrays: the arrays of the layer.
        schedule: the integers of the layer, a `Schedule` or a `TransposedSchedule`.
    """

    def __init__(self, arrays: Arrays, schedule: Any) -> None:
        self.arrays = arrays
        self.schedule = schedule

    def with_arrays(self, arrays: Arrays) -> LayerStage:
        """Return the stage of a layer of the same sizes with other weights."""
        return type(self)(arrays, self.schedule)

    def channels(self) -> int:
        """Return the number of input channels."""
        channels: int = self.schedule.spec.in_channels
        return channels

    def outputs(self, length: int) -> int:
        """Return the number of outputs that were returned after ``length`` samples, before the end of the stream."""
        outputs: int = self.schedule.outputs(length)
        return outputs

    def axes(self) -> dict[str, int]:
        """Return the axis of the length of each array of the state that has one."""
        return dict.fromkeys(self.alike(), self.arrays.axis)

    def alike(self) -> tuple[str, ...]:
        """Return the names of the arrays that have the dtype of the chunk: all but the number of samples."""
        return tuple(name for name in self.shapes() if name != SEEN)

    def shapes(self) -> dict[str, tuple[str | int, ...]]:
        """Return the largest shape of each array of the state."""
        raise NotImplementedError

    def _shapes(self, lengths: Mapping[str, int], channels: int) -> dict[str, tuple[str | int, ...]]:
        shapes: dict[str, tuple[str | int, ...]] = {
            name: self.arrays.shape("batch", channels, length) for name, length in lengths.items()
        }
        return shapes | ({SEEN: ("batch",)} if self.schedule.counts else {})

    def _zeros(self, batch: int, length: int = 0) -> Any:
        """Return outputs that are 0."""
        return self.arrays.zeros(self.arrays.shape(batch, self.schedule.spec.out_channels, length))

    def _seen(self, state: Mapping[str, Any]) -> int:
        """Return the number of samples so far.

        Raises:
            InvalidValueError: rows have different numbers of samples.
        """
        seen: list[int] = sorted(set(self.arrays.numbers(state[SEEN]).tolist()))
        if len(seen) != 1:
            raise InvalidValueError(
                f"state must have rows of one length, got {seen}; flush rows of different lengths one by one."
            )
        return seen[0]
