"""A whole model as a stage of a stream."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs
from torch import Tensor, fx, nn

from convpolicy.chunks.stage import State
from convpolicy.errors import placed
from convpolicy.frameworks.torch.chunks.arrays import TensorArrays
from convpolicy.frameworks.torch.chunks.building import Item, counted
from convpolicy.frameworks.torch.chunks.steps import Shapes, Staged, Step
from convpolicy.frameworks.torch.chunks.values import Stream, attribute, substituted

ROWS = "rows"  # the only array of the state of a model without memory


@attrs.frozen
class Slot:
    """The place of a value in a run."""

    number: int


@attrs.frozen(eq=False)
class Action:
    """One node, ready to run without its graph, which torch.compile does not read.

    Args:
        kind: ``"input"``, ``"attribute"``, ``"call"`` or ``"step"``.
        name: path of the node, or of the attribute.
        function: what a call calls.
        step: the step.
        inputs: places of the chunks that the step reads.
        positional, keywords: the arguments, with a `Slot` for each value.
        arrays: names of the arrays of the state of the step.
    """

    kind: str
    name: str
    function: Any
    step: Step | None
    inputs: tuple[int, ...]
    positional: Any
    keywords: Any
    arrays: tuple[str, ...]


def _actions(items: Sequence[Item]) -> list[Action]:
    numbers = {item.node: number for number, item in enumerate(items)}
    actions = []
    for item in items:
        node = item.node
        kind = "step" if item.step is not None else {"placeholder": "input", "get_attr": "attribute"}.get(node.op, "call")
        positional, keywords = (substituted(each, lambda other: Slot(numbers[other])) for each in (node.args, node.kwargs))
        name = str(node.target) if kind == "attribute" else item.name
        arrays = () if item.step is None else tuple(item.step.shapes())
        inputs = tuple(numbers[each] for each in item.inputs)
        actions.append(Action(kind, name, item.function, item.step, inputs, positional, keywords, arrays))
    return actions


def _filled(tree: Any, values: Sequence[Any]) -> Any:
    """Return nested arguments with each `Slot` replaced by its value."""
    if isinstance(tree, Slot):
        return values[tree.number]
    if isinstance(tree, tuple):
        return tuple([_filled(each, values) for each in tree])
    if isinstance(tree, list):
        return [_filled(each, values) for each in tree]
    if isinstance(tree, dict):
        return {name: _filled(each, values) for name, each in tree.items()}
    if isinstance(tree, slice):
        return slice(_filled(tree.start, values), _filled(tree.stop, values), _filled(tree.step, values))
    return tree


class ModelStage:
    """A model whose input comes in chunks. An array of the state has the path of its module in its name.

    Args:
        root: the module that was traced.
        items: the nodes of its graph in order.
        source: its input.
        result: the node of its output.
        output: its output.
    """

    def __init__(self, root: nn.Module, items: Sequence[Item], source: Stream, result: fx.Node, output: Stream) -> None:
        self._root = root
        self._items = tuple(items)
        self._actions = tuple(_actions(items))
        self._result = result
        self._last = next(number for number, item in enumerate(items) if item.node is result)
        self._channels = int(source.axes[1])
        self.arrays = TensorArrays(root)
        self.output_arrays = TensorArrays(root, output.time)
        self._is_stateless = not any(action.arrays for action in self._actions)

    def channels(self) -> int:
        """Return the number of input channels."""
        return self._channels

    def outputs(self, length: int) -> int:
        """Return the number of outputs that were returned after ``length`` samples, before the end of the stream."""
        return counted(self._items, length)[self._result]

    def shapes(self) -> Shapes:
        """Return the largest shape of each array of the state."""
        shapes: Shapes = {ROWS: ("batch", 0)} if self._is_stateless else {}
        for action in self._actions:
            if action.step is not None:
                shapes |= {f"{action.name}.{name}": shape for name, shape in action.step.shapes().items()}
        return shapes

    def axes(self) -> dict[str, int]:
        """Return the axis of each array of the state along which it may be shorter."""
        steps = [(action.name, action.step) for action in self._actions if action.step is not None]
        return {f"{path}.{name}": axis for path, step in steps for name, axis in step.axes().items()}

    def alike(self) -> tuple[str, ...]:
        """Return the names of the arrays that have the dtype of the chunk: those of the layers that read it."""
        first = next(number for number, action in enumerate(self._actions) if action.kind == "input")
        readers = [(action.name, action.step) for action in self._actions if action.inputs == (first,)]
        return tuple(f"{path}.{name}" for path, step in readers if isinstance(step, Staged) for name in step.axes())

    def initial(self, batch: int) -> State:
        """Return the state before the first sample."""
        state: State = {ROWS: self.arrays.zeros((batch, 0))} if self._is_stateless else {}
        for action in self._actions:
            if action.step is not None:
                state |= {f"{action.name}.{name}": array for name, array in action.step.initial(batch).items()}
        return state

    def step(self, chunk: Any, state: Mapping[str, Any]) -> tuple[Any, State]:
        """Return the outputs that a chunk completes, and the next state."""
        return self._run(chunk, state, last=False)

    def end(self, state: Mapping[str, Any]) -> Any:
        """Return the outputs that are left: each node gets those of the nodes before, and ends.

        Raises:
            InvalidValueError: a layer refuses an input of this length. The message contains its path.
        """
        batch = next(iter(state.values())).shape[0]
        return self._run(self.arrays.zeros((batch, self._channels, 0)), state, last=True)[0]

    def _run(self, chunk: Tensor, state: Mapping[str, Any], *, last: bool) -> tuple[Any, State]:
        values: list[Any] = []
        new: State = {ROWS: state[ROWS]} if self._is_stateless else {}
        for action in self._actions:
            if action.kind == "step":
                value, after = _advanced(action, values, state, last)
                for name in action.arrays:
                    new[f"{action.name}.{name}"] = after[name]
            elif action.kind == "call":
                value = action.function(*_filled(action.positional, values), **_filled(action.keywords, values))
            else:
                value = chunk if action.kind == "input" else attribute(self._root, action.name)
            values.append(value)
        return values[self._last], new


def _advanced(action: Action, values: list[Any], state: Mapping[str, Any], last: bool) -> tuple[Any, State]:
    """Return the result of a step, and its next state."""

    def arguments(chunks: Sequence[Tensor]) -> tuple[Any, Any]:
        own = list(values)
        for place, chunk in zip(action.inputs, chunks):
            own[place] = chunk
        return _filled(action.positional, own), _filled(action.keywords, own)

    step = action.step
    assert step is not None
    own = {name: state[f"{action.name}.{name}"] for name in action.arrays}
    chunks = [values[place] for place in action.inputs]
    if not last:
        return step.advance(chunks, own, last, arguments)
    with placed(action.name):
        return step.advance(chunks, own, last, arguments)
