"""All ranks in one process: what tests and explanations use in place of a network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs

from convpolicy.chunks.arrays import Arrays
from convpolicy.chunks.building import OWN
from convpolicy.core.cuts import CONTIGUOUS
from convpolicy.core.shard import Shard
from convpolicy.core.spec import ConvSpec
from convpolicy.errors import InvalidTypeError, InvalidValueError
from convpolicy.layers.capture import Capture, backends_of, capture
from convpolicy.layers.chain import Chain, chain
from convpolicy.layers.chain_shards import CHEAPEST
from convpolicy.layers.learned import without_learning
from convpolicy.layers.wrapper import wrapper_of
from convpolicy.shards.computing import computed, gathered


def local(
    layer: Any, data: Any, parts: Any, *, order: str = CONTIGUOUS, documents: Any = None, exchange: str = CHEAPEST
) -> list[Any]:
    """Run a layer on every rank, one after another in this process, with the samples that the ranks would exchange.

    Args:
        layer: a convolution of any framework, a `Capture`, which runs in NumPy, or a list or a `Chain` of them.
        data: the whole input, an array of the layer's framework and axes with a batch axis.
        parts, order, documents: see `Policy.shard`.
        exchange: see `Chain.shard`.

    Returns:
        The outputs of each rank. End to end, in contiguous order, they are the output of the layer.

    Raises:
        InvalidTypeError, InvalidValueError: the layer or an argument is not allowed.
    """
    stack = layer if isinstance(layer, Chain) else chain(layer if isinstance(layer, (list, tuple)) else [layer])
    captures = [each.layer if isinstance(each.layer, Capture) else capture(each.layer) for each in stack.layers]
    rooms = [arrays_of(each.layer, captured) for each, captured in zip(stack.layers, captures)]
    rooms[0].check(data, captures[0].spec.in_channels, "data")
    steps = stack.shard(rooms[0].length(data), parts, order=order, documents=documents, exchange=exchange).steps
    owned = split(rooms[0], steps[0], data)
    for arrays, captured, shards in zip(rooms, captures, steps):
        owned = outputs(arrays, captured.spec, shards, owned)
    return owned


def arrays_of(layer: Any, captured: Capture) -> Arrays:
    """Return the arrays of a layer; of a capture, those of NumPy."""
    native, name = layer, captured.backend
    if isinstance(layer, Capture):
        native, name = attrs.evolve(layer, policy=without_learning(layer.policy)).build(OWN), OWN  # NumPy learns nothing
    elif (wrapper := wrapper_of(layer)) is not None:
        native = wrapper.convolution_in(layer)
    backend = next((each for each in backends_of(native) if each.name == name), None)
    if backend is None or backend.arrays is None:
        raise InvalidTypeError(
            f"layer must be one of a backend that can be sharded, got one of {name!r}; pass convpolicy.capture(layer)."
        )
    arrays: Arrays = backend.arrays(native, captured.spec)
    return arrays


def split(arrays: Arrays, shards: Sequence[Shard], data: Any) -> list[Any]:
    """Return the samples that each rank owns."""
    return [arrays.end_to_end(*(arrays.cut(data, *each) for each in shard.owned)) for shard in shards]


def joined(arrays: Arrays, shards: Sequence[Shard], outputs: Sequence[Any]) -> Any:
    """Return the whole output from the outputs of each rank."""
    parts = []
    for shard, output in zip(shards, outputs):
        start = 0
        for first, end in shard.produced:
            if first < end:
                parts.append((first, arrays.cut(output, start, start + end - first)))
            start += end - first
    return arrays.end_to_end(*(part for _first, part in sorted(parts, key=lambda each: each[0])))


def exchanged(arrays: Arrays, shards: Sequence[Shard], owned: Sequence[Any]) -> list[list[Any]]:
    """Return the samples that each rank receives, as every owner sends them.

    Raises:
        InvalidValueError: a rank waits for samples that their owner does not send.
    """
    sent = {
        (shard.rank, rank, first, end): arrays.cut(data, shard.offset(first), shard.offset(first) + end - first)
        for shard, data in zip(shards, owned)
        for rank, first, end in shard.sends
    }
    received = []
    for shard in shards:
        wanted = [(owner, shard.rank, first, end) for owner, first, end in shard.receives]
        absent = [each for each in wanted if each not in sent]
        if absent:
            owner, rank, first, end = absent[0]
            raise InvalidValueError(
                f"shards must send what others receive, got rank {owner} without {first}…{end - 1} for {rank}."
            )
        received.append([sent[each] for each in wanted])
    return received


def outputs(arrays: Arrays, spec: ConvSpec, shards: Sequence[Shard], owned: Sequence[Any]) -> list[Any]:
    """Return the outputs of each rank.

    Args:
        arrays: the arrays of the layer.
        spec: its sizes.
        shards: the shard of each rank.
        owned: the samples that each rank owns.
    """
    return [
        computed(arrays, spec, shard, gathered(arrays, shard, data, received))
        for shard, data, received in zip(shards, owned, exchanged(arrays, shards, owned))
    ]
