"""Steps of functions that compute each sample from the same sample of their inputs."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Sequence
from typing import Any

import attrs
import torch
from torch import fx, nn

from convpolicy.frameworks.torch.chunks.alike import is_exact, tiled
from convpolicy.frameworks.torch.chunks.building import Builder
from convpolicy.frameworks.torch.chunks.names import IN_PLACE, RANDOM, SHARING, words_of
from convpolicy.frameworks.torch.chunks.probing import probed
from convpolicy.frameworks.torch.chunks.steps import Call, Join, Pointwise, called
from convpolicy.frameworks.torch.chunks.values import TIME, Misfit, Plain, Shape, Size, Stream

SEVERAL = ("chunk", "split", "unbind", "split_with_sizes", "tensor_split")  # functions that return a tuple, even of one


def add_pointwise(build: Builder, node: fx.Node, function: Callable[..., Any], in_place: bool = False) -> None:
    """Add a node that computes each sample from the same sample of its inputs, which a test on random data confirms.

    Args:
        node: the node.
        function: what it calls.
        in_place: True if it changes its first argument.

    Raises:
        InvalidValueError: it mixes samples, or changes memory that is read later.
    """
    nodes = build.inputs(node)
    streams = [build.known[each] for each in nodes]
    if in_place:
        _require_unread(build, node)
        function = on_a_copy(function)
    try:
        found = probed(function, node, build.known, build.device)
    except ValueError as error:
        raise build.refuse(node, str(error)) from error
    except Misfit:
        if _has_fixed_length(build, node, streams[0]):
            raise build.refuse(
                node, "one of its parameters has a fixed number of samples", "use one that is the same for all"
            ) from None
        raise
    first = streams[0]
    clock: int | None = first.clock
    _require_sizes_of(build, node, streams)
    if len({stream.clock for stream in streams}) > 1:
        if len({stream.hop for stream in streams}) > 1:
            raise build.refuse(
                node, "its inputs have different sample rates", "use transposed convolutions or strides to align them"
            )
        lengths = {stream.extra for stream in streams if stream.root == streams[0].root}
        if len(lengths) > 1:
            reason = f"its inputs have different lengths, which differ by {max(lengths) - min(lengths)} samples"
            raise build.refuse(node, reason, "cut the longer one, or pad the shorter one")
        clock = None
    joined = attrs.evolve(first, period=math.lcm(*(stream.period for stream in streams)))
    made = build.stream(found[0][0], found[0][1], joined, clock=clock, extra=0)
    results = [build.stream(axes, dtype, joined, clock=made.clock, extra=0) for axes, dtype in found]
    value = results[0] if _is_one(node, function, len(found)) else tuple(results)
    call = _call(build, node, function, streams, [axes for axes, _dtype in found])
    if clock is not None:
        build.step(node, Pointwise(call), value)
        return
    title = f"{build.title(node)} at {build.where(node)!r}" if build.where(node) else build.title(node)
    build.step(node, Join(call, streams, build.root, title, _longest(build, nodes, joined.period)), value)


def _call(build: Builder, node: fx.Node, function: Callable[..., Any], streams: Sequence[Stream], results: Sequence[Any]) -> Call:
    """Return the call of a function for the execution of the model."""
    if build.execution == "fast" or is_exact(build.root, node, streams):
        return called(function)
    return tiled(function, node, build.known, results, build.device)


def _has_fixed_length(build: Builder, node: fx.Node, stream: Stream) -> bool:
    """Return True if a parameter among the arguments has several samples on the time axis."""
    after = len(stream.axes) - stream.time
    tensors = [known.value for each in node.all_input_nodes if isinstance(known := build.known[each], Plain)]
    return any(isinstance(value, torch.Tensor) and value.dim() >= after and value.shape[-after] > 1 for value in tensors)


def _is_one(node: fx.Node, function: Any, count: int) -> bool:
    return count == 1 and getattr(node.target, "__name__", node.target) not in (
        "chunk",
        "split",
        "unbind",
        "split_with_sizes",
        "tensor_split",
    )


def _require_unread(build: Builder, node: fx.Node) -> None:
    """Check that nothing reads what a node changes in place, since chunks are copies."""
    family, found = [node.args[0]], set()
    while family:
        each = family.pop()
        if not isinstance(each, fx.Node) or each in found:
            continue
        found.add(each)
        shared = str(getattr(each.target, "__name__", each.target))
        if shared in SHARING or each.op == "call_module":
            family += each.all_input_nodes if each.op != "call_module" or _returns_its_input(build, each) else []
        family += [user for user in each.users if str(getattr(user.target, "__name__", user.target)) in SHARING]
    late = [user for each in found for user in each.users if user is not node and build.places[user] > build.places[node]]
    if late:
        raise build.refuse(
            node, "it changes in place a tensor that is read again later", "use the function that returns a new tensor"
        )


def _returns_its_input(build: Builder, node: fx.Node) -> bool:
    module = build.root.get_submodule(str(node.target))
    return isinstance(module, (nn.Identity, nn.modules.dropout._DropoutNd))


def _require_sizes_of(build: Builder, node: fx.Node, streams: Sequence[Stream]) -> None:
    clocks = {stream.clock for stream in streams}
    sizes = [value for each in node.all_input_nodes if isinstance(value := build.known[each], (Size, Shape))]
    if any({size.stream.clock} != clocks for size in sizes if isinstance(size, Shape) or size.axis == TIME):
        raise build.refuse(node, "it reads the number of samples of another tensor", "pass -1 for that size")


def _longest(build: Builder, nodes: Sequence[fx.Node], period: int) -> list[int]:
    """Return the largest number of samples of each input of a join that wait for the others."""

    def counts(length: int) -> list[int]:
        every = build.counts(length)
        return [every[node] for node in nodes]

    start = 1
    while not min(counts(start)) and start < 1 << 40:
        start *= 2
    low = start // 2
    while low + 1 < start:
        middle = (low + start) // 2
        low, start = (low, middle) if min(counts(middle)) else (middle, start)
    most = [0] * len(nodes)
    for length in (start - 1, *range(start, start + period + 1)):
        each = counts(length)
        most = [max(old, count - min(each)) for old, count in zip(most, each)]
    return most


def changes_its_input(node: fx.Node, name: str, positional: Any, keywords: Any) -> bool:
    """Return True if a call changes its first argument."""
    if name in IN_PLACE:
        return True
    if node.op == "call_method":
        return str(node.target).endswith("_") and not str(node.target).endswith("__")
    if str(getattr(node.target, "__name__", "")).endswith("_") and not name.startswith("_"):
        return name not in ("and_", "or_", "not_")
    return bool(_bound(node.target, positional, keywords).get("inplace"))


def require_no_chance(build: Builder, node: fx.Node, name: str, positional: Any, keywords: Any) -> None:
    """Check that a function of dropout or batch normalization does not run as in training."""
    if name not in RANDOM:
        return
    words = _bound(node.target, positional, keywords) or words_of(
        "input p train=True" if name != "batch_norm" else "input weight bias mean var training",
        positional,
        keywords,
    )
    if words.get("training", words.get("train")):
        raise build.refuse(node, "it computes as in training", "pass training=build.training and call model.eval()")


def _bound(target: Any, positional: Any, keywords: Any) -> dict[str, Any]:
    try:
        bound = inspect.signature(target).bind(*positional, **keywords)
    except (TypeError, ValueError):
        return {}
    bound.apply_defaults()
    return dict(bound.arguments)


def on_a_copy(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that does not change its first argument."""

    def call(first: Any, *positional: Any, **keywords: Any) -> Any:
        return function(first.clone(), *positional, **keywords)

    return call
