"""`Exchange`: the samples that one rank sends and receives before a layer, over ``torch.distributed``, and their gradients back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeAlias

import torch
import torch.distributed as dist
from torch import Tensor

from convpolicy.core.cuts import Transfer
from convpolicy.core.ranges import Range
from convpolicy.core.shard import Shard
from convpolicy.frameworks.torch.shards.group import Group

Finish: TypeAlias = "Callable[[], dict[int, Tensor]]"  # waits for messages and returns them, by rank


def _peers(transfers: Iterable[Transfer]) -> dict[int, list[Range]]:
    """Return the ranges of each other rank, by rank and position: one message for each rank."""
    peers: dict[int, list[Range]] = {}
    for rank, first, end in sorted(transfers):
        peers.setdefault(rank, []).append((first, end))
    return peers


class Exchange:
    """What one rank sends and receives. The last axis of the data is the length.

    Args:
        shard: the shard of the rank.
        group: the processes. A rank of the shard is a place in their mesh.
    """

    def __init__(self, shard: Shard, group: Group) -> None:
        self.group = group
        self.rank = shard.rank
        self._sends = {
            rank: [(shard.offset(first), shard.offset(first) + end - first) for first, end in ranges]
            for rank, ranges in _peers(shard.sends).items()
        }
        received = _peers(shard.receives)
        place, buffer = 0, {}
        for rank, first, end in shard.buffer:
            buffer[rank, first] = (place, place + end - first)
            place += end - first
        self._receives = {rank: [buffer[rank, first] for first, _end in ranges] for rank, ranges in received.items()}
        own = [(buffer[shard.rank, first], shard.offset(first)) for first, end in shard.owned if first < end]
        self._own = [(places, (start, start + places[1] - places[0])) for places, start in own]
        self._length, self.owned = place, shard.length
        self.is_silent = not self._sends and not self._receives

    def gathered(self, data: Tensor) -> Tensor:
        """Return all samples that the rank has after the exchange, by position; see `Shard.buffer`."""
        return self.joined(data, self.started(data))

    def scattered(self, buffer: Tensor) -> Tensor:
        """Return the transpose of `gathered`: each rank adds what came from it in the buffers of others."""
        finish = self.returned(self.arrived(buffer), buffer)
        return self.added(self.own_part(buffer), finish)

    def started(self, data: Tensor) -> Finish:
        """Send samples of the rank. Return a function that waits for those of others."""
        return self._started({rank: packed(data, ranges) for rank, ranges in self._sends.items()}, data, self._receives)

    def joined(self, data: Tensor, finish: Finish) -> Tensor:
        """Return the buffer of the rank's own samples and of those of others, which ``finish`` waits for."""
        buffer = data.new_empty((*data.shape[:-1], self._length))
        for (first, end), (start, stop) in self._own:
            buffer[..., first:end] = data[..., start:stop]
        for rank, message in finish().items():
            for (first, end), part in _parts(message, self._receives[rank]):
                buffer[..., first:end] = part
        return buffer

    def arrived(self, buffer: Tensor) -> dict[int, Tensor]:
        """Return the part of a buffer that came from each rank."""
        return {rank: packed(buffer, ranges) for rank, ranges in self._receives.items()}

    def own_part(self, buffer: Tensor) -> Tensor:
        """Return the rank's own samples of a buffer, in the order of its data."""
        data = buffer.new_empty((*buffer.shape[:-1], self.owned))
        for (first, end), (start, stop) in self._own:
            data[..., start:stop] = buffer[..., first:end]
        return data

    def returned(self, messages: dict[int, Tensor], like: Tensor) -> Finish:
        """Send back what came from each rank. Return a function that waits for what comes back, in the shape and dtype of ``like``."""
        return self._started(messages, like, self._sends)

    def added(self, data: Tensor, finish: Finish) -> Tensor:
        """Add what comes back from each rank, which ``finish`` waits for, to the samples that were sent."""
        for rank, message in finish().items():
            for (start, stop), part in _parts(message, self._sends[rank]):
                data[..., start:stop] += part
        return data

    def _started(self, messages: dict[int, Tensor], like: Tensor, receives: dict[int, list[Range]]) -> Finish:
        """Start to send messages and to receive others. Return a function that waits for them and returns what came."""
        lead = like.shape[:-1]
        arrived = {rank: like.new_empty((*lead, sum(end - first for first, end in ranges))) for rank, ranges in receives.items()}
        if 0 in lead:
            return lambda: arrived
        operations, peers = [], []
        for function, tensors in ((dist.isend, messages), (dist.irecv, arrived)):
            for rank, tensor in tensors.items():
                peer = self.group.world_ranks[rank]
                operations.append(dist.P2POp(function, tensor, peer, group=self.group.process_group))
                peers.append(rank)
        works = dist.batch_isend_irecv(operations) if operations else []

        def finish() -> dict[int, Tensor]:
            assert len(messages) + len(arrived) == len(peers)  # the messages live until they are sent
            for number, work in enumerate(works):
                try:
                    work.wait()
                except RuntimeError as error:
                    others = peers[number : number + 1] if len(works) == len(peers) else sorted(set(peers))
                    raise RuntimeError(
                        f"rank {self.rank} could not exchange samples with rank {', '.join(map(str, others))}: {error}"
                    ) from error
            return arrived

        return finish


def packed(data: Tensor, ranges: Sequence[Range]) -> Tensor:
    """Return ranges of samples, end to end, in memory of their own."""
    parts = [data[..., first:end] for first, end in ranges]
    return parts[0].clone(memory_format=torch.contiguous_format) if len(parts) == 1 else torch.cat(parts, -1)


def _parts(message: Tensor, ranges: Sequence[Range]) -> list[tuple[Range, Tensor]]:
    """Return each range with its samples in a message."""
    lengths = [end - first for first, end in ranges]
    return list(zip(ranges, torch.split(message, lengths, -1)))


class _Gathered(torch.autograd.Function):
    """The exchange, whose gradient is the transposed exchange, which can be differentiated too."""

    @staticmethod
    def forward(ctx: Any, data: Tensor, exchange: Exchange) -> Tensor:
        ctx.exchange = exchange
        return exchange.gathered(data)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        return _Scattered.apply(gradient, ctx.exchange), None  # type: ignore[no-untyped-call]


class _Scattered(torch.autograd.Function):
    """The transposed exchange."""

    @staticmethod
    def forward(ctx: Any, buffer: Tensor, exchange: Exchange) -> Tensor:
        ctx.exchange = exchange
        return exchange.scattered(buffer)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        return _Gathered.apply(gradient, ctx.exchange), None  # type: ignore[no-untyped-call]


@torch.compiler.disable  # type: ignore[untyped-decorator]
def gathered(data: Tensor, exchange: Exchange) -> Tensor:
    """Return all samples that a rank has after the exchange. The gradient goes back to the owners.

    Args:
        data: the rank's own samples, the length as the last axis.
        exchange: the exchange.
    """
    result: Tensor = _Gathered.apply(data, exchange)  # type: ignore[no-untyped-call]
    return result
