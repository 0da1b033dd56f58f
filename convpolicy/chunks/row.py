"""Layers in a row as one stage of a stream."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from convpolicy.chunks.stage import Stage, State, output_arrays
from convpolicy.errors import placed


class RowStage:
    """Stages in a row: the outputs of each are the chunk of the next. An array of the state has the number of its stage in its name."""

    def __init__(self, stages: Sequence[Stage]) -> None:
        self.stages = tuple(stages)
        self.arrays = self.stages[0].arrays
        self.output_arrays = output_arrays(self.stages[-1])

    def channels(self) -> int:
        """Return the number of input channels."""
        return self.stages[0].channels()

    def outputs(self, length: int) -> int:
        """Return the number of outputs that were returned after ``length`` samples."""
        for stage in self.stages:
            length = stage.outputs(length)
        return length

    def shapes(self) -> dict[str, tuple[str | int, ...]]:
        """Return the largest shape of each array of the state."""
        return {f"{number}.{name}": shape for number, stage in enumerate(self.stages) for name, shape in stage.shapes().items()}

    def axes(self) -> dict[str, int]:
        """Return the axis of the length of each array of the state that has one."""
        return {f"{number}.{name}": axis for number, stage in enumerate(self.stages) for name, axis in stage.axes().items()}

    def alike(self) -> tuple[str, ...]:
        """Return the names of the arrays that have the dtype of the chunk: those of the first stage."""
        return tuple(f"0.{name}" for name in self.stages[0].alike())

    def initial(self, batch: int) -> State:
        """Return the state before the first sample."""
        return {
            f"{number}.{name}": array for number, stage in enumerate(self.stages) for name, array in stage.initial(batch).items()
        }

    def step(self, chunk: Any, state: Mapping[str, Any]) -> tuple[Any, State]:
        """Return the outputs that a chunk completes, and the next state."""
        new: State = {}
        for number, stage in enumerate(self.stages):
            chunk, after = stage.step(chunk, self._of(number, state))
            new |= {f"{number}.{name}": array for name, array in after.items()}
        return chunk, new

    def end(self, state: Mapping[str, Any]) -> Any:
        """Return the outputs that are left: each stage gets those of the stage before, and ends."""
        left = None
        for number, stage in enumerate(self.stages):
            own, arrays = self._of(number, state), output_arrays(stage)
            with placed(f"layer {number}"):
                if left is None:
                    left = stage.end(own)
                else:
                    outputs, own = stage.step(left, own)
                    left = arrays.end_to_end(outputs, stage.end(own))
        return left

    def _of(self, number: int, state: Mapping[str, Any]) -> State:
        prefix = f"{number}."
        return {name.removeprefix(prefix): array for name, array in state.items() if name.startswith(prefix)}
