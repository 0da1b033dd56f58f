"""Nodes of a model, and the nodes before a Conv that pad: Pad, Gather, or nodes that compute the added samples."""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto, helper

from convpolicy import Arithmetic, LayerRequest, Plan, Side

Array: TypeAlias = "NDArray[Any]"

# (padding mode, overflow rule) -> the mode of ONNX's Pad that gives the same result for every valid plan
PAD_MODES = {
    ("zeros", None): "constant",
    ("constant", None): "constant",
    ("reflect", "error"): "reflect",
    ("replicate", "error"): "edge",
    ("circular", "error"): "wrap",
    ("circular", "periodic"): "wrap",
}
ORDER = ("wrap", "reflect", "edge", "constant")  # order of two Pads: the one that reads more of the input comes first
SIDES = ("left", "right")


class SidePad(NamedTuple):
    """The padding of one side, when it does not depend on the length.

    Attributes:
        mode: mode of ONNX's Pad.
        value: the constant, or constants per channel, which Pad cannot add; None for other modes.
    """

    mode: str
    value: float | tuple[float, ...] | None


class Value:
    """A tensor of the graph; adding or multiplying two of them appends a node."""

    def __init__(self, name: str, nodes: Nodes) -> None:
        self.name, self._nodes = name, nodes

    def __add__(self, other: Value) -> Value:
        return self._nodes.call("Add", self, other)

    def __mul__(self, other: Value) -> Value:
        return self._nodes.call("Mul", self, other)


class Nodes:
    """Nodes of a model, and the constant tensors that they read.

    Attributes:
        nodes: the nodes, in execution order.
        tensors: ``name -> array``.
        input: the input of the model.
        end: the tensor that the Conv reads.
    """

    def __init__(self) -> None:
        self.nodes: list[NodeProto] = []
        self.tensors: dict[str, Array] = {}
        self.end = self.input = Value("input", self)

    def stored(self, name: str, values: Array) -> Value:
        """Store a constant tensor under this name, or this name and a number; return it."""
        unique = _numbered(name, self.tensors)
        self.tensors[unique] = values
        return Value(unique, self)

    def call(self, operator: str, *inputs: Value, output: str = "", **attributes: Any) -> Value:
        """Append a node and return its output."""
        name = _numbered(operator.lower(), {node.name for node in self.nodes})
        output = output or f"{name}_output"
        self.nodes.append(helper.make_node(operator, [value.name for value in inputs], [output], name=name, **attributes))
        return Value(output, self)

    def expanded(self, numbers: Value, width: int) -> Value:
        """Repeat numbers (1 or channels, width) for every item of the batch."""
        shape = self.call("Concat", self.call("Shape", self.input, end=2), self.stored("width", np.array([width])), axis=0)
        return self.call("Expand", numbers, shape)

    def finished(self, name: str) -> tuple[list[NodeProto], dict[str, Array]]:
        """Return nodes and tensors; the last output gets the name."""
        if self.nodes:
            self.nodes[-1].output[0] = name
        return self.nodes, self.tensors


def _numbered(name: str, others: Any) -> str:
    number = sum(other.partition("_")[0] == name for other in others)
    return f"{name}_{number + 1}" if number else name


def side_pads(request: LayerRequest, pads: tuple[int, int]) -> list[SidePad] | None:
    """Return the padding of both sides, or None where it depends on the length or ONNX has no such mode."""
    modes = request.policy.modes()
    sides = []
    for side, width, (mode, arguments) in zip(SIDES, pads, (modes[0], modes[-1])):
        name = PAD_MODES.get((mode.name, arguments.get("overflow"))) if width > 0 else "constant"
        if name is None or width < 0:
            return None
        sides.append(SidePad(name, _constant(arguments, side) if name == "constant" and width else None))
    return sides


def _constant(arguments: Any, side: str) -> float | tuple[float, ...]:
    value = arguments.get(side)
    value = arguments.get("value", 0.0) if value is None else value
    return float(value) if isinstance(value, (int, float)) else tuple(value.array.tolist())


def front(request: LayerRequest, pads: tuple[int, int], plan: Plan | None) -> tuple[list[NodeProto], dict[str, Array]]:
    """Return the nodes that compute ``padded`` from ``input``, and their tensors; none when the Conv itself pads.

    Args:
        request: the layer's request.
        pads: ``(left, right)`` in samples; negative numbers crop.
        plan: the plan for the only length of the model, or None for a model of any length.
    """
    nodes, sides = Nodes(), side_pads(request, pads)
    if sides is None:
        assert plan is not None
        _by_length(nodes, plan)
    elif any(side.value not in (0.0, None) or side.mode != "constant" for side in sides):
        _by_pads(nodes, pads, sides)
    return nodes.finished("padded")


def _by_pads(nodes: Nodes, pads: tuple[int, int], sides: list[SidePad]) -> None:
    """Append a Pad for each kind of padding, and a Concat for constants per channel."""
    kinds = sorted({side for side, width in zip(sides, pads) if width}, key=lambda side: ORDER.index(side.mode))
    for kind in kinds:
        if not isinstance(kind.value, tuple):
            left, right = (width * (side == kind) for side, width in zip(sides, pads))
            inputs = [nodes.stored("pads", axis_pads(left, right))]
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
    if (sources < 0).any():  # the constant is appended after the last sample
        inputs = nodes.stored("pads", axis_pads(0, 1)), nodes.stored("value", np.array(plan.value, np.float32))
        nodes.end = nodes.call("Pad", nodes.input, *inputs, output="extended", mode="constant")
    index = nodes.stored("sources", np.where(sources < 0, plan.length, sources))
    nodes.end = nodes.call("Gather", nodes.end, index, axis=2)


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


def axis_pads(left: int, right: int) -> Array:
    """Return the pads of three axes in ONNX's order: all begins, then all ends."""
    return np.array([0, 0, left, 0, 0, right], np.int64)
