"""Reading of a 1-D Conv or ConvTranspose in an ONNX model: sizes, policy and weights."""

from __future__ import annotations

import os
from typing import Any, NamedTuple

import onnx
from onnx import ModelProto, NodeProto, helper

import convpolicy as cp
from convpolicy import Choice, ConvPolicyError, ConvSpec, InvalidTypeError, InvalidValueError, Policy, TransposedPolicy
from convpolicy_onnx.padding import Array
from convpolicy_onnx.pads import before, length_of, refused, stored, with_pads
from convpolicy_onnx.scopes import OPERATORS, Scope, named, scopes

# auto_pad -> policy of ONNX Runtime, and padding rule of the ONNX standard
SAME = {"SAME_UPPER": ("onnx-same-upper", "same_upper"), "SAME_LOWER": ("onnx-same-lower", "same_lower")}
CROPS = {"SAME_UPPER": "onnx_same_upper", "SAME_LOWER": "onnx_same_lower"}  # auto_pad -> crop rule


class ReadConv(NamedTuple):
    """The contents of a Conv or ConvTranspose node.

    Attributes:
        spec: its sizes.
        policy: what it pads, for a ConvTranspose what it cuts, and whether it has a bias.
        weight: (out, in/groups, kernel), of a ConvTranspose (in, out/groups, kernel), in the model's dtype.
        bias: (out,), in the model's dtype, or None.
    """

    spec: ConvSpec
    policy: Policy | TransposedPolicy
    weight: Array
    bias: Array | None


def read(model: Any, node: str = "") -> ReadConv:
    """Read a 1-D Conv with any ``auto_pad`` and the Pad nodes before it, or a 1-D ConvTranspose with any attributes.

    Args:
        model: an ``onnx.ModelProto``, or the path of a file.
        node: name of the node or of its output; optional when the model contains nothing else. The node may be inside an If, Loop or
            Scan node. If several graphs have a node of this name, write ``"graph/node"``.

    Returns:
        A `ReadConv`. ``cp.Conv1d(..., policy=policy, weight_init=weight, bias_init=bias)`` builds it on any backend,
        `cp.ConvTranspose1d` a ConvTranspose. For SAME_UPPER and SAME_LOWER the policy is that of ONNX Runtime. For sizes at which ONNX
        Runtime refuses a Conv or skips samples, it is that of the ONNX standard.

    Raises:
        InvalidTypeError: ``model`` is neither a model nor a path.
        InvalidValueError: the message contains the node and one of these reasons:

            - no such node
            - a 2-D convolution
            - computed weights
            - a Pad of other axes, a Pad that reads samples that another Pad added, or a Pad before a ConvTranspose
            - attributes that ONNX Runtime refuses
    """
    if isinstance(model, (str, os.PathLike)):
        model = onnx.load(model)
    if not isinstance(model, ModelProto):
        raise InvalidTypeError(f"model must be an onnx.ModelProto or a path, got {type(model).__name__}; pass onnx.load(path).")
    graphs = scopes(model)
    conv, scope = _conv_named(graphs, node)
    chain, constants = before(conv, scope.nodes), scope.constants
    nodes = [other for graph in graphs for other in graph.nodes]
    if not node and len(nodes) > 1 + len(chain):
        others = sorted({other.op_type for other in nodes if not any(other is known for known in (conv, *chain))})
        raise InvalidValueError(
            f"the model must contain only one {conv.op_type} and its padding, got also {', '.join(others)}; name the node to read."
        )
    attributes = {attribute.name: helper.get_attribute_value(attribute) for attribute in conv.attribute}
    weight = stored(conv, 1, constants)
    if weight.ndim != 3:
        raise refused(conv, f"must be a 1-D convolution with a weight of 3 axes, got shape {weight.shape}; name a 1-D one.")
    bias = stored(conv, 2, constants) if len(conv.input) > 2 and conv.input[2] else None
    spec = _spec(conv, weight, attributes)
    if spec.transposed:
        policy: Any = _transposed(conv, spec, attributes)
        if chain:
            raise refused(
                conv, f"must read the input of the model, got the output of Pad node {chain[-1].name!r}; name another node."
            )
    else:
        policy = _policy(spec, attributes)
    if chain:
        policy = with_pads(policy, chain, constants, length_of(model, chain[0].input[0]))
    return ReadConv(spec, policy.evolve(bias=bias is not None), weight, bias)


def _spec(conv: NodeProto, weight: Array, attributes: dict[str, Any]) -> ConvSpec:
    (stride,), (dilation,) = attributes.get("strides", [1]), attributes.get("dilations", [1])
    groups, transposed = attributes.get("group", 1), conv.op_type == OPERATORS[1]
    first, second = weight.shape[0], weight.shape[1] * groups
    inputs, outputs = (first, second) if transposed else (second, first)
    return ConvSpec.of(inputs, outputs, weight.shape[2], stride, dilation, groups, transposed=transposed)


def _conv_named(graphs: list[Scope], name: str) -> tuple[NodeProto, Scope]:
    rows = named(graphs)
    matches = [row for row in rows if name in (row[0], row[1].name, *row[1].output)] if name else rows
    if len(matches) != 1:
        names = ", ".join(repr(full) for full, _node, _scope in rows) or "none"
        raise InvalidValueError(f"node must name one Conv or ConvTranspose of the model, got {name!r}; it has {names}.")
    return matches[0][1:]


def _policy(spec: ConvSpec, attributes: dict[str, Any]) -> Policy:
    auto_pad = attributes.get("auto_pad", b"NOTSET").decode()
    if auto_pad not in SAME:
        return cp.policy("onnx").evolve(padding=tuple(attributes.get("pads", (0, 0))) if auto_pad == "NOTSET" else auto_pad)
    name, standard = SAME[auto_pad]
    try:
        cp.policy(name).static_pads(spec.kernel_size, spec.stride, spec.dilation)
    except ConvPolicyError:
        return cp.policy("onnx").evolve(padding=standard)
    return cp.policy(name)


def _transposed(conv: NodeProto, spec: ConvSpec, attributes: dict[str, Any]) -> TransposedPolicy:
    """Return the policy of a ConvTranspose. With ``output_shape``, ONNX Runtime ignores ``pads``, and ``auto_pad`` chooses the side."""
    auto_pad = attributes.get("auto_pad", b"NOTSET").decode()
    (output_padding,) = attributes.get("output_padding", [0])
    name = SAME[auto_pad][0] if auto_pad in SAME else "onnx"
    if "output_shape" in attributes:  # the axes of batch and channels may be left out
        side = "right" if auto_pad == "SAME_UPPER" else "left"
        length = attributes["output_shape"][-1]
        crop = Choice("onnx_output_shape", output_shape=length, odd_side=side, output_padding=output_padding)
    elif auto_pad in SAME:
        crop = Choice(CROPS[auto_pad], output_padding=output_padding)
    else:
        left, right = attributes.get("pads", (0, 0)) if auto_pad == "NOTSET" else (0, 0)
        crop = Choice("explicit", left=left, right=right, output_padding=output_padding)
    policy = cp.policy(name).half().evolve(padding=crop)
    try:
        policy.static_pads(spec.kernel_size, spec.stride, spec.dilation)
    except ConvPolicyError as error:
        raise refused(conv, f"cannot be read: {error}") from error
    return policy
