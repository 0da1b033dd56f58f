"""What stands in front of a Conv: Pad nodes, a Gather, or nodes that compute what is added."""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto, helper

from convpolicy import Arithmetic, LayerRequest, Plan, Side

Array: TypeAlias = "NDArray[Any]"

# (padding mode, overflow rule) -> the mode of ONNX's Pad that does the same at any length that a plan allows
PAD_MODES = {
    ("zeros", None): "constant",
    ("constant", None): "constant",
    ("reflect", "error"): "reflect",
    ("replicate", "error"): "edge",
    ("circular", "error"): "wrap",
    ("circular", "periodic"): "wrap",
}
ORDER = ("wrap", "reflect", "edge", "constant")  # of two Pads: one that reads more of the input is before one that reads less
SIDES = ("left", "right")


class SidePad(NamedTuple):
    """What is added on one side, where it does not depend on the length.

    Attributes:
        mode: of ONNX's Pad.
        value: for ``constant`` a number, or one per channel, which no Pad can add; else None.
    """

    mode: str
    value: float | tuple[float, ...] | None


class Value:
    """A tensor of a graph that is being written; sums and products of it are nodes."""

    def __init__(self, name: str, nodes: Nodes) -> None:
        self.name, self._nodes = name, nodes

    def __add__(self, other: Value) -> Value:
        return self._nodes.call("Add", self, other)

    def __mul__(self, other: Value) -> Value:
        return self._nodes.call("Mul", self, other)


class Nodes:
    """The nodes in front of a Conv, and the tensors that they need.

    Attributes:
        nodes: in their order.
        tensors: name -> array.
        end: the tensor that is convolved.
    """

    def __init__(self) -> None:
        self.nodes: list[NodeProto] = []
        self.tensors: dict[str, Array] = {}
        self.end = self.input = Value("input", self)

    def stored(self, name: str, values: Array) -> Value:
        """Return a tensor that the model holds, under this name or one with a number."""
        own = _numbered(name, self.tensors)
        self.tensors[own] = values
        return Value(own, self)

    def call(self, operator: str, *inputs: Value, output: str = "", **attributes: Any) -> Value:
        """Append a node and return its output."""
        name = _numbered(operator.lower(), {node.name for node in self.nodes})
        output = output or f"{name}_output"
        self.nodes.append(helper.make_node(operator, [value.name for value in inputs], [output], name=name, **attributes))
        return Value(output, self)

    def expanded(self, numbers: Value, width: int) -> Value:
        """Return numbers (1 or channels, width) for every item of the batch."""
        shape = self.call("Concat", self.call("Shape", self.input, end=2), self.stored("width", np.array([width])), axis=0)
        return self.call("Expand", numbers, shape)

    def finished(self) -> tuple[list[NodeProto], dict[str, Array]]:
        """Return nodes and tensors, the last output under the name ``padded``."""
        if self.nodes:
            self.nodes[-1].output[0] = "padded"
        return self.nodes, self.tensors


def _numbered(name: str, others: Any) -> str:
    number = sum(other.partition("_")[0] == name for other in others)
    return f"{name}_{number + 1}" if number else name


def side_pads(request: LayerRequest, pads: tuple[int, int]) -> list[SidePad] | None:
    """Return what each side adds, or None where that depends on the length or is nothing that ONNX has a mode for."""
    modes = request.policy.modes()
    found = []
    for side, width, (mode, arguments) in zip(SIDES, pads, (modes[0], modes[-1])):
        name = PAD_MODES.get((mode.name, arguments.get("overflow"))) if width > 0 else "constant"
        if name is None or width < 0:
            return None
        found.append(SidePad(name, _constant(arguments, side) if name == "constant" and width else None))
    return found


def _constant(arguments: Any, side: str) -> float | tuple[float, ...]:
    value = arguments.get(side)
    value = arguments.get("value", 0.0) if value is None else value
    return float(value) if isinstance(value, (int, float)) else tuple(value.array.tolist())


def front(request: LayerRequest, pads: tuple[int, int], plan: Plan | None) -> tuple[list[NodeProto], dict[str, Array]]:
    """Return the nodes that make ``padded`` of ``input``, and their tensors; none where the Conv itself pads.

    Args:
        request: what the layer does.
        pads: samples on the left and on the right, below 0 where some are cut away.
        plan: of the only length that the model takes, or None.
    """
    nodes, sides = Nodes(), side_pads(request, pads)
    if sides is None:
        assert plan is not None
        _by_length(nodes, plan)
    elif any(side.value not in (0.0, None) or side.mode != "constant" for side in sides):
        _by_pads(nodes, pads, sides)
    return nodes.finished()


def _by_pads(nodes: Nodes, pads: tuple[int, int], sides: list[SidePad]) -> None:
    """Pad both sides, together where they are alike; what no Pad can add is put beside at the end."""
    kinds = sorted({side for side, width in zip(sides, pads) if width}, key=lambda side: ORDER.index(side.mode))
    for kind in kinds:
        if not isinstance(kind.value, tuple):
            left, right = (width * (side == kind) for side, width in zip(sides, pads))
            inputs = [nodes.stored("pads", _axis_pads(left, right))]
            if kind.value is not None:
                inputs.append(nodes.stored("value", np.array(kind.value, np.float32)))
            nodes.end = nodes.call("Pad", nodes.end, *inputs, mode=kind.mode)
    before, after = (
        [nodes.expanded(nodes.stored("numbers", np.array(side.value, np.float32)[:, None].repeat(width, 1)), width)]
        if isinstance(side.value, tuple)
        else []
        for side, width in zip(sides, pads)
    )
    if before or after:
        nodes.end = nodes.call("Concat", *before, nodes.end, *after, axis=2)


def _by_length(nodes: Nodes, plan: Plan) -> None:
    if not plan.copies:
        _computed(nodes, plan)
        return
    sources = np.array(plan.positions, np.int64)
    if (sources < 0).any():  # the constant stands behind the last sample
        inputs = nodes.stored("pads", _axis_pads(0, 1)), nodes.stored("value", np.array(plan.value, np.float32))
        nodes.end = nodes.call("Pad", nodes.input, *inputs, output="extended", mode="constant")
    gathered = nodes.stored("sources", np.where(sources < 0, plan.length, sources))
    nodes.end = nodes.call("Gather", nodes.end, gathered, axis=2)


def _computed(nodes: Nodes, plan: Plan) -> None:
    before, after = ([_added(nodes, side)] if side.width else [] for side in plan.sides)
    if before or after:
        nodes.end = nodes.call("Concat", *before, nodes.end, *after, axis=2)
    (first, last), width = plan.cut, sum(plan.added) + plan.length
    if first or last:
        ends = (nodes.stored(name, np.array([at])) for name, at in (("first", first), ("last", width - last), ("axis", 2)))
        nodes.end = nodes.call("Slice", nodes.end, *ends)


def _added(nodes: Nodes, side: Side) -> Value:
    arithmetic = Arithmetic(
        take=lambda samples: nodes.call("Gather", nodes.input, nodes.stored("samples", samples), axis=2),
        array=lambda numbers: nodes.stored("numbers", numbers.astype(np.float32)),
        where=lambda reads, part: nodes.call(
            "Where", nodes.stored("reads", reads), part, nodes.stored("zero", np.array(0, np.float32))
        ),
        broadcast=lambda numbers: nodes.expanded(numbers, side.width),
    )
    value: Value = side.added(arithmetic)
    return value


def _axis_pads(left: int, right: int) -> Array:
    """Return the pads of three axes, all begins, then all ends, as ONNX has them."""
    return np.array([0, 0, left, 0, 0, right], np.int64)
