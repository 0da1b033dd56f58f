"""Reading of the Pad nodes before a Conv: one, or several consecutive ones that form one padding mode per side."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from convpolicy import Choice, InvalidValueError, Policy
from convpolicy_onnx.padding import SIDES, Array

# mode of Pad -> padding mode; wrap repeats the input as often as necessary
MODES = {"reflect": Choice("reflect"), "edge": Choice("replicate"), "wrap": Choice("circular", overflow="periodic")}
ZEROS = Choice("zeros")
ADDS_UP = ("zeros", "constant", "replicate")  # two pads of such a mode on one side equal one wider pad
LENGTH_AXIS = 2


class Added(NamedTuple):
    """The padding of one side.

    Attributes:
        mode: convpolicy's padding mode.
        width: in samples.
        node: the last Pad node that adds to this side, or None.
    """

    mode: Choice
    width: int
    node: NodeProto | None


NOTHING = Added(ZEROS, 0, None)


def with_pads(policy: Policy, chain: list[NodeProto], constants: Mapping[str, TensorProto], length: int | None) -> Policy:
    """Return the policy with the pads and modes of the Pad nodes before a Conv.

    Args:
        policy: the policy of the Conv, which must not pad.
        chain: the Pad nodes, in execution order.
        constants: the constant tensors of the model.
        length: input length of the first node in samples, or None if the model accepts several.

    Raises:
        InvalidValueError: a node pads other axes, has computed pads, or reads samples that another node added; the message contains
            the node.
    """
    left = right = NOTHING
    for node in chain:
        widths, mode = _widths(node, constants), _mode(node, constants)
        left, right = (
            _together(node, side, current, other, Added(mode, width, node), length)
            for side, current, other, width in zip(SIDES, (left, right), (right, left), widths)
        )
    if policy.static_pads(1, 1, 1) != (0, 0) or policy.padding.name not in ("valid", "explicit"):
        raise refused(chain[-1], f"must precede a Conv without pads, got padding {policy.padding}; merge the two.")
    return policy.evolve(padding=(left.width, right.width), padding_mode=_of_both(left, right))


def _widths(node: NodeProto, constants: Mapping[str, TensorProto]) -> tuple[int, int]:
    pads = stored(node, 1, constants)
    if len(node.input) > 3 and node.input[3]:
        axes = stored(node, 3, constants)
        whole = [0] * 6
        for axis, before, after in zip(axes % 3, pads, pads[len(axes) :]):
            whole[axis], whole[axis + 3] = before, after
    else:
        whole = pads.tolist()
    left, right = whole[LENGTH_AXIS], whole[LENGTH_AXIS + 3]
    if any(whole[:LENGTH_AXIS] + whole[3 : LENGTH_AXIS + 3]) or min(left, right) < 0:
        raise refused(node, f"must add samples to the length only, got pads {whole}; read the Conv without it.")
    return int(left), int(right)


def _mode(node: NodeProto, constants: Mapping[str, TensorProto]) -> Choice:
    mode = next(
        (helper.get_attribute_value(attribute).decode() for attribute in node.attribute if attribute.name == "mode"), "constant"
    )
    if mode != "constant":
        return MODES[mode]
    value = float(stored(node, 2, constants)) if len(node.input) > 2 and node.input[2] else 0.0
    return Choice("constant", value=value) if value else ZEROS


def _together(node: NodeProto, side: str, current: Added, other: Added, new: Added, length: int | None) -> Added:
    """Return the padding of one side after another Pad; refuse a Pad that reads samples that earlier ones added."""
    if not new.width:
        return current
    if current.width and (current.mode != new.mode or new.mode.name not in ADDS_UP):
        raise refused(
            node,
            f"must be the only Pad of its side, got {new.mode.name} on the {side} after Pad node {_name(current.node)!r}, which adds "
            f"{current.mode.name} there; merge the two.",
        )
    reads_far = new.mode.name == "circular"
    reads_near = new.mode.name == "reflect" and (length is None or length <= new.width)
    if other.width and (reads_far or reads_near):
        when = "" if reads_far else f" if the input has {new.width} samples or fewer"
        fix = "put it first" if reads_far else "put it first, or give the input of the model a fixed length"
        raise refused(
            node,
            f"must read samples of the input only, got {new.mode.name} on the {side}, which repeats samples of Pad node "
            f"{_name(other.node)!r}{when}; {fix}.",
        )
    return Added(new.mode, current.width + new.width, node)


def _of_both(left: Added, right: Added) -> Any:
    """Return the padding mode of both sides; a side without pads has the mode of the other one."""
    modes = [added.mode for added in (left, right) if added.width] or [ZEROS]
    if modes[0] == modes[-1]:
        return modes[0]
    if all(mode.name in ("zeros", "constant") for mode in modes):
        return Choice("constant", **{side: dict(mode.params).get("value", 0.0) for side, mode in zip(SIDES, modes)})
    return tuple(modes)


def before(conv: NodeProto, nodes: Iterable[NodeProto]) -> list[NodeProto]:
    """Return the consecutive Pad nodes before a Conv, in execution order."""
    makers = {node.output[0]: node for node in nodes if node.op_type == "Pad"}
    chain: list[NodeProto] = []
    name = conv.input[0]
    while name in makers:
        chain.insert(0, makers.pop(name))
        name = chain[0].input[0]
    return chain


def length_of(model: ModelProto, name: str) -> int | None:
    """Return the length of a tensor (batch, channels, length), or None where the model does not fix it."""
    for value in (*model.graph.input, *model.graph.value_info):
        if value.name == name:
            axes = value.type.tensor_type.shape.dim
            return axes[LENGTH_AXIS].dim_value or None if len(axes) > LENGTH_AXIS else None
    return None


def stored(node: NodeProto, position: int, constants: Mapping[str, TensorProto]) -> Array:
    """Return an input of a node that is a constant tensor of the model.

    Raises:
        InvalidValueError: the input is computed; the message contains the node.
    """
    name = node.input[position]
    if name not in constants:
        raise refused(node, f"must have stored tensors, got {name!r}, which is computed or an input; fold constants first.")
    return numpy_helper.to_array(constants[name])


def refused(node: NodeProto, message: str) -> InvalidValueError:
    """Return the error for a node that cannot be read."""
    return InvalidValueError(f"{node.op_type} node {_name(node)!r} {message}")


def _name(node: NodeProto | None) -> str:
    return "" if node is None else str(node.name or node.output[0])
