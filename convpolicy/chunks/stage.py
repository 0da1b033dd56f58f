"""`Stage`: one step of a stream. A layer is a stage, and so is a row of layers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, TypeAlias

State: TypeAlias = "dict[str, Any]"


class Stage(Protocol):
    """What takes chunks of data and returns the outputs that are complete, with an explicit state of named arrays."""

    arrays: Any  # the `Arrays` of its input, and of its outputs unless it has `output_arrays`

    def channels(self) -> int:
        """Return the number of input channels."""

    def initial(self, batch: int) -> State:
        """Return the state before the first sample."""

    def step(self, chunk: Any, state: Mapping[str, Any]) -> tuple[Any, State]:
        """Return the outputs that a chunk completes, and the next state."""

    def end(self, state: Mapping[str, Any]) -> Any:
        """Return the outputs that are left at the end of the stream."""

    def outputs(self, length: int) -> int:
        """Return the number of outputs that were returned after ``length`` samples, before the end of the stream."""

    def shapes(self) -> dict[str, tuple[str | int, ...]]:
        """Return the shape of each array of the state for the longest state; the batch is the text ``"batch"``."""

    def axes(self) -> dict[str, int]:
        """Return the axis of each array of the state along which it may be shorter. An array without one is left out."""

    def alike(self) -> tuple[str, ...]:
        """Return the names of the arrays of the state that have the dtype and the device of the chunk."""


def output_arrays(stage: Stage) -> Any:
    """Return the `Arrays` of the outputs of a stage."""
    return getattr(stage, "output_arrays", stage.arrays)
