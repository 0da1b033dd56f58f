"""`Simulation`: how long ranks take for a sequence that is cut over them, from the integers of their shards alone."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import attrs

from convpolicy.core.ranges import count, union
from convpolicy.core.shard import Piece, Shard, TransposedPiece
from convpolicy.core.spec import ConvSpec
from convpolicy.errors import InvalidValueError
from convpolicy.parts.part import number
from convpolicy.parts.side import CONSTANT

COMPUTE, EXCHANGE = "compute", "exchange"


@attrs.frozen
class PathStep:
    """One part of the critical path.

    Args:
        kind: ``"compute"``, or ``"exchange"`` for the time from the moment when a message can be sent until its receiver has it. What the
            receiver computes during the exchange is not on the path.
        layer: number of the layer that is computed, or before which the ranks exchange samples.
        rank: the rank that computes or receives.
        sender: the rank that sends, or None for a rank that computes.
        seconds: duration.
    """

    kind: str
    layer: int
    rank: int
    sender: int | None
    seconds: float


@attrs.frozen
class Simulation:
    """A forward pass of ranks, simulated. Print it to see the numbers. See `ChainShards.simulate` for what the model assumes.

    Args:
        ranks: number of ranks.
        seconds: time until the last rank has its outputs.
        one_rank: time of one rank that computes everything.
        path: the critical path: what ``seconds`` consists of, in order of time.
        bytes_received: bytes that each rank receives.
        messages: number of messages that each rank receives.
    """

    ranks: int
    seconds: float
    one_rank: float
    path: tuple[PathStep, ...]
    bytes_received: tuple[int, ...]
    messages: tuple[int, ...]

    @property
    def speedup(self) -> float:
        """How many times faster the ranks are than one."""
        return self.one_rank / self.seconds

    @property
    def efficiency(self) -> float:
        """The speedup for each rank: 1.0 if nothing is lost."""
        return self.speedup / self.ranks

    @property
    def exchanging(self) -> float:
        """The seconds of the critical path in which samples are exchanged."""
        return sum(step.seconds for step in self.path if step.kind == EXCHANGE)

    def __str__(self) -> str:
        return (
            f"{self.ranks} ranks: {self.seconds:.3g} s, {self.speedup:.3g} times as fast as one; {self.exchanging:.3g} s of it exchange; "
            f"a rank receives at most {max(self.bytes_received)} bytes in {max(self.messages)} messages"
        )


@attrs.frozen
class Machine:
    """Ranks and the links between them.

    Args:
        latency: seconds from the end of a message at its sender to its end at the receiver.
        bandwidth: bytes per second of the link of each rank, in each direction.
        rate: multiplications per second of each rank.
        rows: rows of the batch.
        overlap: True if outputs that need no other rank are computed during the exchange.
    """

    latency: float
    bandwidth: float
    rate: float
    rows: int
    overlap: bool


def positive(argument: str, value: Any, *, zero: bool = False) -> float:
    """Check a positive number.

    Raises:
        InvalidTypeError, InvalidValueError: it is no finite number, or too small.
    """
    checked = number(argument, value)
    if not (checked > 0 or (zero and checked == 0)) or math.isinf(checked):
        raise InvalidValueError(
            f"{argument} must be a finite number of {'0 or more' if zero else 'more than 0'}, got {value}; pass one."
        )
    return checked


def positions(shard: Shard) -> int:
    """Return how often a rank multiplies the weights of a layer: once for each output, or each sample of a transposed layer."""
    return count(
        reads
        for piece in shard.pieces
        for reads in ([turn.reads for turn in piece.turns] if isinstance(piece, TransposedPiece) else [piece.outputs])
    )


def inner(spec: ConvSpec, shard: Shard) -> int:
    """Return how many outputs of a rank need no sample of another rank, 0 for a transposed layer."""
    if spec.transposed:
        return 0
    received = [transfer[1:] for transfer in shard.receives]
    total = 0
    for piece in shard.pieces:
        assert isinstance(piece, Piece)
        outputs = piece.outputs[1] - piece.outputs[0]
        start = piece.left - piece.reads[0]  # place of sample 0 in the input of the piece
        places = [
            (low + start, high + start)
            for first, end in received
            for low, high in [(max(first, piece.reads[0]), min(end, piece.reads[1]))]
        ]
        width = piece.left + piece.reads[1] - piece.reads[0]
        for side, before in zip(piece.sides, (0, width)):
            positions = {source for term in side.terms for source in term.sources if source != CONSTANT}
            if any(first <= position < end for position in positions for first, end in received):
                places.append((before, before + side.width))
        # output o reads the places from o * stride to o * stride + effective_kernel
        waiting = union(
            (max(-((spec.effective_kernel - 1 - first) // spec.stride), 0), min((end - 1) // spec.stride + 1, outputs))
            for first, end in places
            if first < end
        )
        total += outputs - count(waiting)
    return total


def simulated(
    steps: Sequence[Sequence[Shard]],
    sample_bytes: Sequence[int],
    specs: Sequence[ConvSpec],
    whole: Sequence[int],
    machine: Machine,
) -> Simulation:
    """Simulate a stack of layers; see `ChainShards.simulate`.

    Args:
        steps: for each layer, the shard of each rank.
        sample_bytes: for each layer, bytes of one input sample of all channels.
        specs: for each layer, its sizes.
        whole: for each layer, how often one rank that computes everything multiplies the weights.
        machine: the ranks and links.
    """
    ranks = len(steps[0])
    received, messages = [0] * ranks, [0] * ranks
    ready, causes = [0.0] * ranks, []
    for shards, size, spec in zip(steps, sample_bytes, specs):
        seconds = machine.rows * math.prod(spec.weight_shape) / machine.rate  # for one position
        parcels = _parcels(shards, size * machine.rows)
        for _sender, rank, length in parcels:
            received[rank] += length
            messages[rank] += 1
        arrived = _arrived(parcels, ready, machine)
        starts = list(ready)
        senders: list[int | None] = [None] * ranks
        work = [seconds * positions(shard) for shard in shards]
        for rank, (moment, sender) in arrived.items():
            early = seconds * inner(spec, shards[rank]) if machine.overlap else 0.0
            if moment > ready[rank] + early:
                starts[rank], senders[rank] = moment, sender
                work[rank] -= early
        causes.append((ready, starts, senders, work))
        ready = [start + duration for start, duration in zip(starts, work)]
    one_rank = machine.rows * sum(math.prod(spec.weight_shape) * number for spec, number in zip(specs, whole)) / machine.rate
    return Simulation(ranks, max(ready), one_rank, _path(causes, ready), tuple(received), tuple(messages))


def _parcels(shards: Iterable[Shard], size: int) -> list[tuple[int, int, int]]:
    """Return the messages of an exchange in the order in which each rank sends: sender, receiver and bytes."""
    lengths: dict[tuple[int, int], int] = {}
    for shard in shards:
        for rank, first, end in sorted(shard.sends):
            lengths[shard.rank, rank] = lengths.get((shard.rank, rank), 0) + (end - first) * size
    return [(sender, rank, length) for (sender, rank), length in lengths.items()]


def _arrived(parcels: Iterable[tuple[int, int, int]], ready: Sequence[float], machine: Machine) -> dict[int, tuple[float, int]]:
    """Return for each receiver when its last message has arrived, and who sent that."""
    sent: dict[int, float] = {}
    incoming: dict[int, list[tuple[float, int, float]]] = {}
    for sender, rank, length in parcels:
        seconds = length / machine.bandwidth
        sent[sender] = sent.get(sender, ready[sender]) + seconds
        incoming.setdefault(rank, []).append((sent[sender] + machine.latency, sender, seconds))
    arrived = {}
    for rank, parts in incoming.items():
        free = 0.0  # when the link of the receiver is free
        for moment, sender, seconds in sorted(parts):
            free = max(moment, free + seconds)
            arrived[rank] = free, sender
    return arrived


def _path(causes: Sequence[tuple[Any, ...]], ends: Sequence[float]) -> tuple[PathStep, ...]:
    """Return what the rank that ends last waited for."""
    path, rank = [], max(range(len(ends)), key=lambda each: ends[each])
    for layer in reversed(range(len(causes))):
        ready, starts, senders, work = causes[layer]
        path.append(PathStep(COMPUTE, layer, rank, None, work[rank]))
        sender = senders[rank]
        if sender is not None:
            path.append(PathStep(EXCHANGE, layer, rank, sender, starts[rank] - ready[sender]))
            rank = sender
    return tuple(reversed(path))
