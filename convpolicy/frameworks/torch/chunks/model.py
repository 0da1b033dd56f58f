"""A whole model for a stream: its graph is traced and made into steps."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import torch
from torch import fx, nn

from convpolicy.errors import InvalidValueError
from convpolicy.frameworks.torch.chunks.building import Builder
from convpolicy.frameworks.torch.chunks.functions import add_function
from convpolicy.frameworks.torch.chunks.modules import add_module, channels_in
from convpolicy.frameworks.torch.chunks.names import IN_PLACE
from convpolicy.frameworks.torch.chunks.stage import ModelStage
from convpolicy.frameworks.torch.chunks.tracing import Whole, is_layer, traced
from convpolicy.frameworks.torch.chunks.values import Misfit, Plain, Stream, attribute


def streamed_model(model: Any, execution: str) -> tuple[ModelStage, Fraction] | None:
    """Return the stage of a model, and the number of input samples per output.

    Args:
        model: a module whose forward method takes one tensor (batch, channels, time) and returns one tensor with a time axis. Other
            arguments have their defaults. It is not changed.
        execution: see `convpolicy.streaming`.

    Returns:
        None for an object that is no module, or that is one convolution.

    Raises:
        InvalidValueError: a part of the model cannot be streamed. The message contains its path and what to do.
    """
    model = getattr(model, "_orig_mod", model)  # a model that torch.compile returned
    if not isinstance(model, nn.Module) or is_layer(model) or isinstance(model, torch.jit.ScriptModule):
        return None
    whole = Whole(model)
    whole.training = model.training
    graph = traced(whole)
    misfit: Exception | None = None
    for channels in channels_in(whole, graph):
        try:
            return _built(Builder(whole, graph, channels, execution), graph)
        except Misfit as error:
            misfit = misfit or error
    raise InvalidValueError(
        f"model must be one that takes a tensor (batch, channels, time), got {misfit}; pass a model of such data."
    )


def _built(build: Builder, graph: fx.Graph) -> tuple[ModelStage, Fraction]:
    result, output = walked(build, graph, add_module, add_function)
    if not isinstance(output, Stream):
        raise InvalidValueError(
            "model must return one tensor with a time axis, got another result; pass a module that returns the tensor alone."
        )
    return ModelStage(build.root, build.items, build.source, result, output), output.hop


def _changes_its_input(whole: nn.Module, node: fx.Node) -> bool:
    if node.op == "call_module":
        return bool(getattr(whole.get_submodule(str(node.target)), "inplace", False))
    name = str(getattr(node.target, "__name__", node.target))
    return node.op != "get_attr" and (
        name in IN_PLACE or (name.endswith("_") and not name.endswith("__")) or bool(node.kwargs.get("inplace"))
    )


def walked(
    build: Builder, graph: fx.Graph, add_module: Callable[[Any, fx.Node], None], add_function: Callable[[Any, fx.Node], None]
) -> tuple[Any, Any]:
    """Add every node of a graph that the output needs, and return the output as the graph has it, and as it is known.

    Args:
        build: what the nodes are added to.
        graph: graph of the model.
        add_module, add_function: functions that add a call of a module, and any other call.

    Raises:
        Misfit: a call fails for the data of this trial. The message contains its path.
    """
    result: Any = None
    for node in live_nodes(build.root, graph):
        if node.op == "output":
            result = node.args[0]
        elif node.op == "placeholder":
            build.plain(node, tuple, build.source)
        elif node.op == "get_attr":
            build.plain(node, tuple, Plain(attribute(build.root, str(node.target))))
        else:
            try:
                (add_module if node.op == "call_module" else add_function)(build, node)
            except Misfit as error:
                raise Misfit(f"{build.title(node)} at {build.where(node)!r}, which fails ({error})") from error
    return result, build.known.get(result) if isinstance(result, fx.Node) else None


def live_nodes(whole: nn.Module, graph: fx.Graph) -> list[fx.Node]:
    """Return the nodes on which the output depends, the input, and what changes tensors in place."""
    live: set[fx.Node] = set()
    pending = [node for node in graph.nodes if node.op in ("output", "placeholder") or _changes_its_input(whole, node)]
    while pending:
        node = pending.pop()
        if node not in live:
            live.add(node)
            pending += node.all_input_nodes
    return [node for node in graph.nodes if node in live]
