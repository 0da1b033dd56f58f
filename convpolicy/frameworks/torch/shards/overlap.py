"""The inner part of a convolution is computed while the samples of other ranks are on their way, and so are its gradients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs
import torch
from torch import Tensor

from convpolicy.core.ranges import Range
from convpolicy.core.shard import Piece, Shard
from convpolicy.core.sharding import Layer, spanned
from convpolicy.frameworks.torch.shards.exchange import Exchange, Finish, packed
from convpolicy.frameworks.torch.shards.group import Group


@attrs.frozen(eq=False)
class Overlap:
    """A shard in two parts: the outputs that need no other rank, and those at both ends.

    Args:
        inner: range of the rank's own samples that the inner outputs read.
        before: number of outputs before the inner ones.
        ends: the shard of the outputs at the ends, which owns the samples that they read.
        own: ranges of the rank's own samples that the ends own.
        exchange: the exchange of the rank.
        joining: the exchange of ``ends``, which joins what arrived.
    """

    inner: Range
    before: int
    ends: Shard
    own: tuple[Range, ...]
    exchange: Exchange
    joining: Exchange

    @property
    def share(self) -> float:
        """The part of the rank's samples that the inner outputs read."""
        return (self.inner[1] - self.inner[0]) / max(self.exchange.owned, 1)


def overlap_of(layer: Layer, shard: Shard, exchange: Exchange, group: Group) -> Overlap | None:
    """Return the two parts of a shard, or None if there is no inner output or nothing to exchange."""
    if layer.spec.transposed or exchange.is_silent or len(shard.pieces) != 1 or len(shard.owned) != 1:
        return None
    (piece,), (document, *more) = shard.pieces, layer.documents
    assert isinstance(piece, Piece)
    if more:
        return None
    plan, (low, high), (first, end) = document.plan, shard.owns, piece.outputs
    start = max(-(-(low + plan.left) // plan.stride), first)
    stop = min((high + plan.left - plan.effective_kernel) // plan.stride + 1, end)
    if start >= stop:
        return None
    outputs = [(first, start), (stop, end)]
    pieces = tuple(each for _document, each in layer.pieces(outputs))
    owned = tuple((max(a, low), min(b, high)) for a, b in spanned(layer, outputs) if max(a, low) < min(b, high))
    ends = attrs.evolve(shard, owned=owned, produced=tuple(outputs), sends=(), pieces=pieces)
    begin = start * plan.stride - plan.left - low
    inner = (begin, begin + (stop - start - 1) * plan.stride + plan.effective_kernel)
    own = tuple((a - low, b - low) for a, b in owned)
    return Overlap(inner, start - first, ends, own, exchange, Exchange(ends, group))


class _Flight:
    """Messages on their way: those of the samples, then those of the gradients."""

    samples: Finish
    gradients: Finish


class _Begin(torch.autograd.Function):
    """Sends samples. Returns those of the inner outputs, and those of the ends."""

    @staticmethod
    def forward(ctx: Any, data: Tensor, overlap: Overlap, flight: _Flight) -> Any:
        ctx.overlap, ctx.flight, ctx.shape = overlap, flight, data.shape
        flight.samples = overlap.exchange.started(data)
        return data[..., slice(*overlap.inner)], _ends(data, overlap.own)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, inner: Tensor, ends: Tensor) -> Any:
        overlap = ctx.overlap
        first, stop = overlap.inner
        data = inner.new_empty(ctx.shape)
        data[..., first:stop] = inner
        data[..., :first] = 0
        data[..., stop:] = 0
        place = 0
        for start, end in overlap.own:
            data[..., start:end] += ends[..., place : place + end - start]
            place += end - start
        return overlap.exchange.added(data, ctx.flight.gradients), None, None


class _Finish(torch.autograd.Function):
    """Waits for the samples of other ranks. Returns all samples of the ends. Its backward pass sends their gradients."""

    @staticmethod
    def forward(ctx: Any, ends: Tensor, overlap: Overlap, flight: _Flight) -> Tensor:
        ctx.overlap, ctx.flight = overlap, flight
        return overlap.joining.joined(ends, flight.samples)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, buffer: Tensor) -> Any:
        overlap = ctx.overlap
        ctx.flight.gradients = overlap.exchange.returned(overlap.joining.arrived(buffer), buffer)
        return overlap.joining.own_part(buffer), None, None


def _ends(data: Tensor, ranges: Sequence[Range]) -> Tensor:
    return packed(data, ranges) if ranges else data.new_empty((*data.shape[:-1], 0))


@torch.compiler.disable  # type: ignore[untyped-decorator]
def begun(data: Tensor, overlap: Overlap) -> tuple[Tensor, Tensor, _Flight]:
    """Start the exchange. Return the samples of the inner outputs and those of the ends, and what `finished` needs."""
    flight = _Flight()
    inner, ends = _Begin.apply(data, overlap, flight)  # type: ignore[no-untyped-call]
    return inner, ends, flight


@torch.compiler.disable  # type: ignore[untyped-decorator]
def finished(ends: Tensor, overlap: Overlap, flight: _Flight) -> Tensor:
    """Wait for the exchange. Return the buffer of the ends."""
    buffer: Tensor = _Finish.apply(ends, overlap, flight)  # type: ignore[no-untyped-call]
    return buffer
