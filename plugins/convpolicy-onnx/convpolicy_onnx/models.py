"""The 1-D convolutions of an ``onnx.ModelProto``, also those inside its If, Loop and Scan nodes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

from convpolicy.layers.whole_models import Convolution
from convpolicy_onnx.pads import before
from convpolicy_onnx.scopes import Scope, named, scopes

WEIGHT_AXES = 3
LENGTH_AXES = (-1, 2)
SLICED = ("starts", "ends", "axes")  # inputs of Slice after the data
END = 2**31 - 1  # or more: to the end


def convolutions(model: Any, every_path: bool) -> Iterator[Convolution] | None:
    """List the Conv and ConvTranspose nodes of one axis, each as a model of this node and the Pad nodes before it.

    Returns:
        An iterator, or None if ``model`` is not an ``onnx.ModelProto``. A node has one path only.
    """
    del every_path
    return _convolutions(model) if isinstance(model, ModelProto) else None


def _convolutions(model: ModelProto) -> Iterator[Convolution]:
    known = {value.name: value for value in (*model.graph.input, *model.graph.value_info)}
    for name, node, scope in named(scopes(model)):
        if _has_one_axis(node, scope):
            chain = before(node, scope.nodes)
            alone = _alone(model, node, chain, scope, known)
            yield Convolution(
                name, alone, aliases=_prefix(node), note=_around(node, chain, scope), class_name=node.op_type, separator="."
            )


def _has_one_axis(node: NodeProto, scope: Scope) -> bool:
    """Return True for a convolution of one axis, and for one whose number of axes is not stored, which `capture` refuses."""
    weight = scope.constants.get(node.input[1])
    kernel = next((attribute.ints for attribute in node.attribute if attribute.name == "kernel_shape"), None)
    return (weight is None or len(weight.dims) == WEIGHT_AXES) and (kernel is None or len(kernel) == 1)


def _alone(
    model: ModelProto, node: NodeProto, chain: list[NodeProto], scope: Scope, known: dict[str, ValueInfoProto]
) -> ModelProto:
    """Return a model of a node and the Pad nodes before it."""
    nodes = [*chain, node]
    name = nodes[0].input[0]
    dtype = scope.constants[node.input[1]].data_type if node.input[1] in scope.constants else TensorProto.FLOAT
    data = known.get(name) or helper.make_tensor_value_info(name, dtype, [None] * 3)
    tensors = []
    for constant in sorted({used for each in nodes for used in each.input if used in scope.constants}):
        tensor = TensorProto()
        tensor.CopyFrom(scope.constants[constant])
        tensor.name = constant
        tensors.append(tensor)
    output = helper.make_tensor_value_info(node.output[0], dtype, [None] * 3)
    graph = helper.make_graph(nodes, node.name or node.output[0], [data], [output], tensors)
    return helper.make_model(graph, ir_version=model.ir_version, opset_imports=model.opset_import)


def _prefix(node: NodeProto) -> tuple[str, ...]:
    """Return the path of the module that the names of weight and bias contain, such as ``"encoder.0"`` for ``"encoder.0.weight"``."""
    prefix, _dot, last = node.input[1].rpartition(".")
    bias = node.input[2] if len(node.input) > 2 and node.input[2] else f"{prefix}.bias"
    return (prefix,) if last == "weight" and bias == f"{prefix}.bias" else ()


def _around(node: NodeProto, chain: list[NodeProto], scope: Scope) -> str:
    """Return the nodes that pad before a convolution, beside ``chain``, and those that cut after it; empty for none."""
    start = [chain[0] if chain else node]
    pads = (_title(each, "before") for each in _walk(start, scope, forward=False) if each.op_type == "Pad")
    cuts = (_title(each, "after") for each in _walk([node], scope, forward=True) if _cuts(each, scope))
    return ", ".join(dict.fromkeys((*pads, *cuts)))


def _title(node: NodeProto, where: str) -> str:
    return f"{node.op_type} node {node.name or node.output[0]!r} {where} it"


def _walk(start: list[NodeProto], scope: Scope, *, forward: bool) -> Iterator[NodeProto]:
    """Yield the nodes before or after some nodes, as far as the next convolutions."""
    ends = scope.convolutions()
    seen: set[int] = set()
    names = set(start[0].output) if forward else {start[0].input[0]}
    queue = [names]
    for each in queue:  # grows
        for node in scope.nodes:
            touched: Iterable[str] = node.input if forward else node.output
            if id(node) not in seen and each.intersection(touched) and not any(node is end for end in ends):
                seen.add(id(node))
                yield node
                queue.append(set(node.output if forward else node.input) - {""})


def _cuts(node: NodeProto, scope: Scope) -> bool:
    """Return True for a Slice that drops samples of the length, or may do so."""
    if node.op_type != "Slice":
        return False
    attributes = {attribute.name: list(attribute.ints) for attribute in node.attribute}  # up to opset 9
    values = dict(zip(SLICED, (scope.constants.get(name) for name in node.input[1:])))
    arrays = {name: numpy_helper.to_array(tensor).ravel().tolist() for name, tensor in values.items() if tensor is not None}
    arrays |= {name: attributes[name] for name in SLICED if name in attributes}
    if not {"starts", "ends"} <= arrays.keys():
        return True
    axes = arrays.get("axes", range(len(arrays["starts"])))
    return any(
        axis in LENGTH_AXES and (start != 0 or end < END) for axis, start, end in zip(axes, arrays["starts"], arrays["ends"])
    )
