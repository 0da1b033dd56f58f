"""`ChainShards`: a stack of layers whose input is cut over ranks, with as few bytes exchanged as possible."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import attrs

from convpolicy.arithmetic import LARGEST, integer
from convpolicy.core import sharding
from convpolicy.core.cuts import Cuts, cuts_of
from convpolicy.core.ranges import Range
from convpolicy.core.shard import Shard
from convpolicy.core.sharding import Layer
from convpolicy.core.simulation import Machine, Simulation, positive, simulated
from convpolicy.core.spec import ConvSpec
from convpolicy.errors import InvalidTypeError, InvalidValueError, placed, shown
from convpolicy.layers.capture import Capture, capture
from convpolicy.layers.chain_layer import ChainLayer

EACH, ONCE, CHEAPEST = "each", "once", "cheapest"


@attrs.frozen
class ChainShards:
    """What each rank does in each layer of a stack. Print it to see what the ranks send.

    Args:
        steps: for each layer, the `Shard` of each rank. In a layer without an exchange, a rank owns what it computed before.
        groups: ranges of layers with one exchange each, before the first of them.
        channels: number of input channels of each layer.
        itemsize: bytes of one number.
        specs: sizes of each layer.
        positions: number of outputs of each layer, or samples of a transposed one: how often one rank would multiply the weights.
    """

    steps: tuple[tuple[Shard, ...], ...]
    groups: tuple[Range, ...]
    channels: tuple[int, ...]
    itemsize: int
    specs: tuple[ConvSpec, ...]
    positions: tuple[int, ...]

    @property
    def ranks(self) -> int:
        """The number of ranks."""
        return len(self.steps[0])

    def sent(self, rank: int) -> int:
        """Return the number of bytes that a rank sends for each row of a batch."""
        return self._bytes(lambda shard: shard.sent, rank)

    def received(self, rank: int) -> int:
        """Return the number of bytes that a rank receives for each row of a batch."""
        return self._bytes(lambda shard: shard.received, rank)

    def _bytes(self, samples: Callable[[Shard], int], rank: int) -> int:
        return sum(samples(step[rank]) * channels * self.itemsize for step, channels in zip(self.steps, self.channels))

    def computed(self, rank: int) -> tuple[int, ...]:
        """Return the number of outputs of each layer that a rank computes, those that other ranks compute too included."""
        return tuple(step[rank].length_out for step in self.steps)

    def simulate(self, *, latency: float, bandwidth: float, rate: float, rows: int = 1, overlap: bool = True) -> Simulation:
        """Simulate a forward pass of all ranks on a network, from the integers alone.

        The model assumes:

            - Every rank has its samples at time 0.
            - Before a layer with an exchange, a rank sends as soon as it has computed the layer before: one message to each rank that
              needs samples, one after another. A message of n bytes occupies the sender's link for ``n / bandwidth``, arrives ``latency``
              later, and occupies the receiver's link for ``n / bandwidth`` too. A link carries both directions at once. Links of
              different ranks do not disturb each other. Sending takes a rank no time to compute.
            - A rank computes the outputs of a convolution that need no other rank during the exchange, and the others when it has all
              samples. A transposed convolution waits for all samples.
            - A rank multiplies ``rate`` numbers per second. Nothing else takes time, such as activations or the start of a kernel.

        Args:
            latency: seconds until a message of 0 bytes arrives, 0 or more.
            bandwidth: bytes per second of the link of each rank.
            rate: multiplications per second of each rank.
            rows: rows of the batch.
            overlap: False if every layer waits for all samples.

        Returns:
            A `Simulation`.

        Raises:
            InvalidTypeError, InvalidValueError: an argument is not allowed.
        """
        machine = Machine(
            positive("latency", latency, zero=True),
            positive("bandwidth", bandwidth),
            positive("rate", rate),
            integer("rows", rows, 1),
            bool(overlap),
        )
        sizes = [channels * self.itemsize for channels in self.channels]
        return simulated(self.steps, sizes, self.specs, self.positions, machine)

    def __str__(self) -> str:
        lines = [
            f"{len(self.groups)} exchanges for {len(self.steps)} layers: before layer {', '.join(str(g) for g, _ in self.groups)}"
        ]
        lines += [
            f"rank {rank}: owns {self.steps[0][rank].owned}, outputs {self.steps[-1][rank].produced}, sends {self.sent(rank)} bytes, "
            f"receives {self.received(rank)} bytes"
            for rank in range(self.ranks)
        ]
        return "\n".join(lines)


@attrs.frozen
class _Stack:
    layers: tuple[Layer, ...]
    cuts: tuple[Cuts, ...]  # of the input of each layer, and of the last output
    channels: tuple[int, ...]
    itemsize: int
    message_bytes: int

    @property
    def positions(self) -> tuple[int, ...]:
        """How often one rank would multiply the weights of each layer: once for each output, or each sample of a transposed one."""
        return tuple(
            cuts.borders[-1]
            for cuts in (self.cuts[number + (not layer.spec.transposed)] for number, layer in enumerate(self.layers))
        )

    def outputs(self, first: int, end: int) -> list[list[list[Range]]]:
        """Return the ranges of outputs that each rank computes in each of several layers with one exchange, before the first of them."""
        outputs = [[list(ranges) for ranges in self.cuts[end].by_rank()]]
        for layer in reversed(self.layers[first + 1 : end]):
            outputs.insert(0, [sharding.spanned(layer, ranges) for ranges in outputs[0]])
        return outputs

    def steps(self, first: int, end: int) -> list[tuple[Shard, ...]]:
        """Return the shards of layers that have one exchange, before the first of them."""
        outputs = self.outputs(first, end)
        later = zip(self.layers[first + 1 : end], outputs, outputs[1:])
        return [
            sharding.exchanged(self.layers[first], self.cuts[first], outputs[0]),
            *(sharding.computed(layer, owned, computed) for layer, owned, computed in later),
        ]

    def costs(self, end: int) -> list[int]:
        """Return what one exchange costs for the layers from each one to ``end``: bytes and messages of the rank that receives most."""
        outputs, costs = [list(ranges) for ranges in self.cuts[end].by_rank()], []
        for number in range(end - 1, -1, -1):
            size = self.channels[number] * self.itemsize
            shards = sharding.exchanged(self.layers[number], self.cuts[number], outputs)
            costs.append(max(shard.received * size + len(shard.receives) * self.message_bytes for shard in shards))
            outputs = [sharding.spanned(self.layers[number], each) for each in outputs]
        return costs[::-1]

    def cheapest(self) -> list[Range]:
        """Return the groups of layers that cost least; of equal ones, the fewest."""
        best: list[tuple[int, int, list[Range]]] = [(0, 0, [])]
        for end in range(1, len(self.layers) + 1):
            options = [
                (best[first][0] + cost, best[first][1] + 1, [*best[first][2], (first, end)])
                for first, cost in enumerate(self.costs(end))
            ]
            best.append(min(options, key=lambda option: option[:2]))
        return best[-1][2]


GROUPS: dict[str, Callable[[_Stack], list[Range]]] = {
    EACH: lambda stack: [(number, number + 1) for number in range(len(stack.layers))],
    ONCE: lambda stack: [(0, len(stack.layers))],
    CHEAPEST: _Stack.cheapest,
}


def shards(
    layers: Sequence[ChainLayer],
    length: Any,
    parts: Any,
    order: Any,
    documents: Any,
    exchange: Any,
    channels: Any,
    itemsize: Any,
    message_bytes: Any,
) -> ChainShards:
    """Return the shards of a stack; see `Chain.shard`."""
    if not isinstance(exchange, str) or exchange not in GROUPS:
        raise InvalidValueError(f"exchange must be one of {', '.join(GROUPS)}, got {shown(exchange)}; pick one.")
    cuts = cuts_of(integer("length", length, 1, LARGEST), parts, order)
    sizes = (integer("itemsize", itemsize, 1), integer("message_bytes", message_bytes, 0))
    stack = _stack(layers, cuts, documents, _channels(layers, channels), *sizes)
    groups = GROUPS[exchange](stack)
    steps = [step for group in groups for step in stack.steps(*group)]
    return ChainShards(
        tuple(steps), tuple(groups), stack.channels, stack.itemsize, _specs(layers, stack.channels), stack.positions
    )


def _stack(layers: Sequence[ChainLayer], cuts: Cuts, documents: Any, *rest: Any) -> _Stack:
    found, all_cuts, borders = [], [cuts], documents
    for number, each in enumerate(layers):
        spec = ConvSpec.of(1, 1, each.kernel_size, each.stride, each.dilation, 1, transposed=each.policy.is_transposed)
        with placed(f"layer {number} of the chain"):
            own = sharding.documents_of(each.plan, all_cuts[-1].borders[-1], borders)
        found.append(Layer(spec, own))
        all_cuts.append(all_cuts[-1].mapped(found[-1].output_cut))
        borders = None if documents is None else [*(each.first_output for each in own), all_cuts[-1].borders[-1]]
    return _Stack(tuple(found), tuple(all_cuts), *rest)


def _channels(layers: Sequence[ChainLayer], channels: Any) -> tuple[int, ...]:
    if channels is None:
        return tuple(1 if each.layer is None else _spec(each.layer).in_channels for each in layers)
    if isinstance(channels, (str, bytes)) or not isinstance(channels, Sequence):
        raise InvalidTypeError(f"channels must be a list with the input channels of each layer, got {shown(channels)}; pass one.")
    if len(channels) != len(layers):
        raise InvalidValueError(
            f"channels must be the input channels of each of the {len(layers)} layers, got {len(channels)} numbers; pass "
            f"{len(layers)}."
        )
    return tuple(integer(f"channels[{number}]", each, 1) for number, each in enumerate(channels))


def _specs(layers: Sequence[ChainLayer], channels: tuple[int, ...]) -> tuple[ConvSpec, ...]:
    """Return the sizes of each layer. Without a native layer, outputs have as many channels as the next input, or as the own one."""
    return tuple(
        _spec(each.layer)
        if each.layer is not None
        else ConvSpec(before, after, each.kernel_size, each.stride, each.dilation, 1, each.policy.is_transposed)
        for each, before, after in zip(layers, channels, (*channels[1:], channels[-1]))
    )


def _spec(layer: Any) -> ConvSpec:
    return (layer if isinstance(layer, Capture) else capture(layer)).spec
