"""The graphs of an ONNX model: the main graph, and those inside its If, Loop and Scan nodes, each with the constants that it sees."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

import attrs
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto

OPERATORS = ("Conv", "ConvTranspose")


@attrs.frozen(eq=False)
class Scope:
    """One graph of a model.

    Attributes:
        name: name of the graph.
        nodes: its nodes, without those that are constants, and without those of the graphs inside.
        constants: constant tensors of this graph and of the graphs around it.
    """

    name: str
    nodes: list[NodeProto]
    constants: Mapping[str, TensorProto]

    def convolutions(self) -> list[NodeProto]:
        """Return the Conv and ConvTranspose nodes, of any number of axes."""
        return [node for node in self.nodes if node.op_type in OPERATORS and node.domain in ("", "ai.onnx")]


def scopes(model: ModelProto) -> list[Scope]:
    """Return the graphs of a model, the outer ones first."""
    return list(_scopes(model.graph, {}))


def _scopes(graph: GraphProto, outside: Mapping[str, TensorProto]) -> Iterator[Scope]:
    constants = {**outside, **constants_of(graph)}
    yield Scope(graph.name, [node for node in graph.node if node.op_type != "Constant"], constants)
    for inner in inside(graph):
        yield from _scopes(inner, constants)


def inside(graph: GraphProto) -> Iterator[GraphProto]:
    """Yield the graphs that the nodes of a graph contain."""
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == AttributeProto.GRAPH:
                yield attribute.g
            yield from attribute.graphs


def all_graphs(graph: GraphProto) -> Iterator[GraphProto]:
    """Yield a graph and all graphs inside it, the outer ones first."""
    yield graph
    for inner in inside(graph):
        yield from all_graphs(inner)


def constants_of(graph: GraphProto) -> dict[str, TensorProto]:
    """Return the initializers of a graph, and the tensors of its Constant nodes."""
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            tensors[node.output[0]] = node.attribute[0].t
    return tensors


def named(all_scopes: list[Scope]) -> list[tuple[str, NodeProto, Scope]]:
    """Return a name, the node and the graph of every convolution.

    The name is that of the node, or of its output. Names that occur in several graphs start with the name of the graph.
    """
    rows = [(node.name or node.output[0], node, scope) for scope in all_scopes for node in scope.convolutions()]
    count = Counter(name for name, _node, _scope in rows)
    return [(name if count[name] == 1 else f"{scope.name}/{name}", node, scope) for name, node, scope in rows]
