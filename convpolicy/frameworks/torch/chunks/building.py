"""`Builder`: goes through the graph of a model once and makes a step of each node."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

import attrs
import torch
from torch import fx, nn

from convpolicy.frameworks.torch.chunks.steps import Step
from convpolicy.frameworks.torch.chunks.tracing import path_of
from convpolicy.frameworks.torch.chunks.values import (
    BATCH,
    TIME,
    Plain,
    Stream,
    refusal,
    register_a_form,
    substituted,
)
from convpolicy.layers.capture import Capture


@attrs.frozen(eq=False)
class Item:
    """One node of the graph, ready to run.

    Args:
        node: the node.
        name: path of the node, unique in the model.
        function: what a node without a step calls.
        step: its step, or None for a node that only computes sizes, parameters and parts of tuples.
        inputs: the nodes of the streams that the step reads.
    """

    node: fx.Node
    name: str
    function: Callable[..., Any] | None = None
    step: Step | None = None
    inputs: tuple[fx.Node, ...] = ()


class Builder:
    """What is known of the nodes of a graph so far.

    Args:
        root: the module that was traced.
        graph: its graph.
        channels: number of channels of the input.
        execution: see `convpolicy.streaming`.
    """

    def __init__(self, root: nn.Module, graph: fx.Graph, channels: int, execution: str) -> None:
        self.root = root
        self.execution = execution
        self.known: dict[fx.Node, Any] = {}
        self.items: list[Item] = []
        self.layers: dict[fx.Node, Capture] = {}  # convolutions that are modules
        self.places = {node: place for place, node in enumerate(graph.nodes)}
        tensors = [tensor for tensor in (*root.parameters(), *root.buffers()) if tensor.is_floating_point()]
        self.device = tensors[0].device if tensors else torch.device("cpu")
        self._clocks = itertools.count()
        dtype = tensors[0].dtype if tensors else torch.get_default_dtype()
        self.source = Stream((BATCH, channels, TIME), dtype, next(self._clocks))

    # -- what handlers use ---------------------------------------------------------------------------------------------------------

    def arguments(self, node: fx.Node) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return the arguments of a node: Python values and parameters as they are, and what is known of all else."""

        def of(each: fx.Node) -> Any:
            value = self.known[each]
            return value.value if isinstance(value, Plain) else value

        return substituted(node.args, of), substituted(node.kwargs, of)

    def inputs(self, node: fx.Node) -> tuple[fx.Node, ...]:
        """Return the nodes of the streams that a node reads."""
        return tuple(each for each in node.all_input_nodes if isinstance(self.known[each], Stream))

    def stream(
        self,
        axes: Sequence[str | int],
        dtype: Any,
        of: Stream,
        *,
        ratio: Fraction = Fraction(1),
        clock: int | None = None,
        extra: int | None = None,
    ) -> Stream:
        """Return a stream made from another.

        Args:
            axes: its axes.
            dtype: its dtype.
            of: the other.
            ratio: number of samples of the other per sample.
            clock: its clock. None for a new one.
            extra: its length minus that of the other. None if this is no constant.
        """
        hop = of.hop * ratio
        new = next(self._clocks)
        root, more = (new, 0) if extra is None else (of.root, of.extra + extra)
        return Stream(tuple(axes), dtype, new if clock is None else clock, hop, math.lcm(of.period, hop.numerator), root, more)

    def stage_of(self, node: fx.Node) -> Any:
        """Return the stage of a node that is a layer."""
        step: Any = next(item.step for item in self.items if item.node is node)
        return step.stage

    def replace(self, node: fx.Node, step: Step, value: Any) -> None:
        """Replace the step of a node, and what is known of its result."""
        self.known[node] = value
        place = next(number for number, item in enumerate(self.items) if item.node is node)
        self.items[place] = attrs.evolve(self.items[place], step=step)

    def where(self, node: fx.Node) -> str:
        """Return the path of the module that calls a node, or of the module that a node calls."""
        if node.op == "call_module":
            return path_of(str(node.target))
        stack = node.meta.get("nn_module_stack") or {}
        return path_of(list(stack.values())[-1][0]) if stack else ""

    def title(self, node: fx.Node) -> str:
        """Return what an error calls a node."""
        if node.op == "call_module":
            return f"module {type(self.root.get_submodule(str(node.target))).__qualname__}"
        return f"function {getattr(node.target, '__name__', node.target)}"

    def refuse(self, node: fx.Node, reason: str, fix: str = "") -> Exception:
        """Return the error for a node."""
        kind = type(self.root.get_submodule(str(node.target))) if node.op == "call_module" else None
        last = register_a_form(kind)
        return refusal(self.where(node), self.title(node), reason, f"{fix}, or {last}" if fix else last)

    def name(self, node: fx.Node) -> str:
        """Return a unique path for a node."""
        path, function = self.where(node), str(getattr(node.target, "__name__", node.target))
        name = path if node.op == "call_module" else f"{path}.{function}" if path else function
        taken = {item.name for item in self.items}
        name = name or "layer"
        return name if name not in taken else next(new for n in itertools.count(2) if (new := f"{name}_{n}") not in taken)

    # -- nodes ---------------------------------------------------------------------------------------------------------------------

    def plain(self, node: fx.Node, function: Callable[..., Any], value: Any) -> None:
        """Add a node that computes no samples, and what is known of it."""
        self.known[node] = value
        self.items.append(Item(node, "", function))

    def step(self, node: fx.Node, step: Step, value: Any, inputs: Sequence[fx.Node] | None = None) -> None:
        """Add a node with a step, and what is known of its result."""
        self.known[node] = value
        self.items.append(Item(node, self.name(node), None, step, self.inputs(node) if inputs is None else tuple(inputs)))

    def counts(self, length: int) -> dict[fx.Node, int]:
        """Return the number of samples of each stream after ``length`` samples of the input, before the end."""
        return counted(self.items, length)


def counted(items: Sequence[Item], length: int) -> dict[fx.Node, int]:
    """Return the number of samples of each node after ``length`` samples of the input, before the end."""
    counts: dict[fx.Node, int] = {}
    for item in items:
        if item.step is not None:
            counts[item.node] = item.step.outputs([counts[node] for node in item.inputs])
        elif item.node.op == "placeholder":
            counts[item.node] = length
        elif item.node.args and isinstance(item.node.args[0], fx.Node) and item.node.args[0] in counts:
            counts[item.node] = counts[item.node.args[0]]  # a part of a tuple
    return counts
