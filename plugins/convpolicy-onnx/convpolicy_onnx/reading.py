"""Reading a 1-D Conv of an ONNX model: sizes, policy and weights."""

from __future__ import annotations

import os
from typing import Any, NamedTuple

import onnx
from onnx import ModelProto, NodeProto, helper, numpy_helper

import convpolicy as cp
from convpolicy import ConvPolicyError, ConvSpec, InvalidTypeError, InvalidValueError, Policy
from convpolicy_onnx.padding import Array
from convpolicy_onnx.pads import before, length_of, refused, stored, with_pads

# auto_pad -> the policy that does what ONNX Runtime does, and the rule that does what the ONNX standard says
SAME = {"SAME_UPPER": ("onnx-same-upper", "same_upper"), "SAME_LOWER": ("onnx-same-lower", "same_lower")}


class ReadConv(NamedTuple):
    """What a Conv node is.

    Attributes:
        spec: its sizes.
        policy: how it pads, and whether it has a bias.
        weight: (out, in/groups, kernel).
        bias: (out,) or None.
    """

    spec: ConvSpec
    policy: Policy
    weight: Array
    bias: Array | None


def read(model: Any, node: str = "") -> ReadConv:
    """Read a 1-D Conv with any ``auto_pad``, and the Pads in front of it where it has some.

    Args:
        model: an onnx.ModelProto, or the path of one.
        node: name of the Conv, or of its output; may be left out when the model holds nothing else.

    Returns:
        A `ReadConv`; ``cp.Conv1d(..., policy=policy, weight_init=weight, bias_init=bias)`` builds it on any backend. For
        SAME_UPPER and SAME_LOWER the policy is ONNX Runtime's, and the ONNX standard's for sizes that ONNX Runtime
        refuses or skips samples at.

    Raises:
        InvalidTypeError: no model.
        InvalidValueError: no such node, a 2-D convolution, weights that are computed, a Pad of other axes, or one
            that reads what another Pad added; holds the node.
    """
    if isinstance(model, (str, os.PathLike)):
        model = onnx.load(model)
    if not isinstance(model, ModelProto):
        raise InvalidTypeError(f"model must be an onnx.ModelProto or a path, got {type(model).__name__}; pass onnx.load(path).")
    nodes = [found for found in model.graph.node if found.op_type != "Constant"]
    constants = _constants(model)
    conv = _only(nodes, node)
    chain = before(conv, nodes)
    if not node and len(nodes) > 1 + len(chain):
        others = sorted({found.op_type for found in nodes if not any(found is read for read in (conv, *chain))})
        raise InvalidValueError(
            f"the model must hold nothing but one Conv and its padding, got {', '.join(others)} besides; name the node to read."
        )
    attributes = {attribute.name: helper.get_attribute_value(attribute) for attribute in conv.attribute}
    weight = stored(conv, 1, constants)
    if weight.ndim != 3:
        raise refused(
            conv, f"must be a 1-D convolution with a weight of 3 axes, got one of shape {weight.shape}; read a 1-D one."
        )
    bias = stored(conv, 2, constants) if len(conv.input) > 2 and conv.input[2] else None
    (stride,), (dilation,) = attributes.get("strides", [1]), attributes.get("dilations", [1])
    groups = attributes.get("group", 1)
    spec = ConvSpec.of(weight.shape[1] * groups, weight.shape[0], weight.shape[2], stride, dilation, groups)
    policy = _policy(spec, attributes)
    if chain:
        policy = with_pads(policy, chain, constants, length_of(model, chain[0].input[0]))
    return ReadConv(spec, policy.evolve(bias=bias is not None), weight, bias)


def _only(nodes: list[NodeProto], name: str) -> NodeProto:
    convolutions = [found for found in nodes if found.op_type == "Conv" and found.domain in ("", "ai.onnx")]
    chosen = [found for found in convolutions if name in (found.name, *found.output)] if name else convolutions
    if len(chosen) != 1:
        names = ", ".join(repr(found.name or found.output[0]) for found in convolutions) or "none"
        raise InvalidValueError(f"node must name one Conv of the model, got {name!r}; it has {names}.")
    return chosen[0]


def _constants(model: ModelProto) -> dict[str, Array]:
    found = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            found[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)
    return found


def _policy(spec: ConvSpec, attributes: dict[str, Any]) -> Policy:
    auto_pad = attributes.get("auto_pad", b"NOTSET").decode()
    if auto_pad not in SAME:
        return cp.policy("onnx").evolve(padding=tuple(attributes.get("pads", (0, 0))) if auto_pad == "NOTSET" else auto_pad)
    own, standard = SAME[auto_pad]
    try:
        cp.policy(own).static_pads(spec.kernel_size, spec.stride, spec.dilation)
    except ConvPolicyError:
        return cp.policy("onnx").evolve(padding=standard)
    return cp.policy(own)
