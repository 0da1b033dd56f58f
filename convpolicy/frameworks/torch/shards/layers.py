"""Layers of a sharded module: each exchanges samples with the other ranks and computes its part of the outputs."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own convention
from torch import Tensor, nn

from convpolicy.chunks.arrays import Arrays
from convpolicy.core.shard import Piece, Shard
from convpolicy.core.sharding import Layer
from convpolicy.errors import InvalidValueError
from convpolicy.frameworks.torch.shards.exchange import Exchange, gathered
from convpolicy.frameworks.torch.shards.group import Group
from convpolicy.frameworks.torch.shards.overlap import Overlap, begun, finished, overlap_of
from convpolicy.parts.side import CONSTANT
from convpolicy.shards.computing import computed

OVERLAPS = 0.5  # share of the samples from which the inner part is computed during the exchange
WORK = "_shard_work"  # attribute of a sharded layer


class Work:
    """What one rank does in one layer.

    Args:
        arrays: the arrays of the layer.
        layer: the layer on its input.
        shard: the shard of the rank.
        group: the processes.
        overlap: True if the inner part of a convolution may be computed during the exchange.
    """

    def __init__(self, arrays: Arrays, layer: Layer, shard: Shard, group: Group, *, overlap: bool) -> None:
        self.arrays = arrays
        self.spec = layer.spec
        self.shard = shard
        self.exchange = Exchange(shard, group)
        parts = overlap_of(layer, shard, self.exchange, group) if overlap else None
        self.overlap = parts if parts is not None and parts.share >= OVERLAPS else None
        # where outputs are padding or the bias alone, the samples and the weights must have gradients nevertheless
        self.ties_samples = bool(shard.pieces) and not any(map(_reads, shard.pieces))
        self.ties_weights = not all(map(_uses_weights, shard.pieces)) or arrays.learned is not None

    def __deepcopy__(self, memo: Any) -> Any:
        raise InvalidValueError(
            "module must be one that is not sharded, got a sharded one, whose process group cannot be copied; copy it before."
        )

    def run(self, layer: nn.Module, data: Tensor) -> Tensor:
        """Return the outputs of the rank.

        Args:
            layer: the layer.
            data: the rank's samples (batch, channels, length) or (channels, length).
        """
        if data.shape[-1] != self.shard.length:
            raise InvalidValueError(
                f"data must have {self.shard.length} samples on rank {self.shard.rank}, got {data.shape[-1]}; shard the module for "
                f"another length."
            )
        rows = data if data.dim() == 3 else data.unsqueeze(0)
        if self.overlap is not None:
            buffer = rows
            outputs = self._overlapped(rows, self.overlap)
        else:
            buffer = rows if self.exchange.is_silent and len(self.shard.owned) == 1 else gathered(rows, self.exchange)
            outputs = computed(self.arrays, self.spec, self.shard, buffer) if self.shard.pieces else self._empty(buffer)
        if self.ties_samples:
            outputs = _tied(outputs, buffer)
        if self.ties_weights:
            outputs = _tied(outputs, *layer.parameters())
        if torch.is_autocast_enabled(outputs.device.type):  # zeros that were added at an end are in the dtype of the weights
            outputs = outputs.to(torch.get_autocast_dtype(outputs.device.type))
        return outputs if data.dim() == 3 else outputs.squeeze(0)

    def _overlapped(self, rows: Tensor, overlap: Overlap) -> Tensor:
        """Return the outputs. The inner ones are computed before the samples of other ranks are there."""
        inner, ends, flight = begun(rows, overlap)
        middle = self.arrays.convolved(inner)
        buffer = finished(ends, overlap, flight)
        if not any(map(_reads, overlap.ends.pieces)):
            middle = _tied(middle, buffer)
        outer = computed(self.arrays, self.spec, overlap.ends, buffer)
        joined: Tensor = self.arrays.end_to_end(outer[..., : overlap.before], middle, outer[..., overlap.before :])
        return joined

    def _empty(self, buffer: Tensor) -> Tensor:
        """Return no outputs, which depend on the samples and the weights, so that this rank takes part in the backward pass."""
        spec, nothing = self.spec, buffer[..., :0]
        if spec.transposed:
            return self.arrays.biased(self.arrays.scattered(F.pad(nothing, (0, 1))))[..., :0]  # type: ignore[no-any-return]
        return self.arrays.convolved(F.pad(nothing, (0, spec.effective_kernel)))[..., :0]  # type: ignore[no-any-return]


def _uses_weights(piece: Any) -> bool:
    """Return True if a piece multiplies its weights with something."""
    return isinstance(piece, Piece) or any(turn.reads[0] < turn.reads[1] for turn in piece.turns)


def _reads(piece: Any) -> bool:
    """Return True if a piece depends on a sample."""
    if isinstance(piece, Piece):
        sources = (source for side in piece.sides for term in side.terms for source in term.sources)
        return piece.reads[0] < piece.reads[1] or any(source != CONSTANT for source in sources)
    return _uses_weights(piece)


class _Tied(torch.autograd.Function):
    """Returns outputs, and gradients of 0 for tensors that they may not depend on, so that every rank takes part in the backward pass."""

    @staticmethod
    def forward(ctx: Any, outputs: Tensor, *tensors: Tensor) -> Tensor:
        ctx.kinds = [(each.shape, each.dtype, each.device) for each in tensors]
        return outputs.view_as(outputs)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        return gradient, *(torch.zeros(shape, dtype=dtype, device=device) for shape, dtype, device in ctx.kinds)


def _tied(outputs: Tensor, *tensors: Tensor) -> Tensor:
    result: Tensor = _Tied.apply(outputs, *tensors)  # type: ignore[no-untyped-call]
    return result


class ShardedLayer:
    """A layer that computes the part of one rank. It stands before the class of the layer among the bases of a new class."""

    def forward(self, data: Tensor) -> Tensor:
        """Compute the outputs of the rank."""
        work: Work = vars(self)[WORK]
        return work.run(self, data)  # type: ignore[arg-type]


@functools.cache
def _derived(bases: tuple[type, ...]) -> type:
    kind = bases[-1]
    return type(
        f"Sharded{kind.__name__.removeprefix('Sharded')}", bases, {"__module__": kind.__module__, "__doc__": kind.__doc__}
    )


def add_base(module: nn.Module, base: type) -> None:
    """Give a module a class that has ``base`` before its own class, as ``fully_shard`` does. Its parameters keep their names."""
    module.__class__ = _derived((base, type(module)))


def remove_bases(module: nn.Module, bases: tuple[type, ...]) -> None:
    """Give a module its own class back."""
    while any(base in bases for base in type(module).__bases__):
        module.__class__ = type(module).__bases__[-1]


def sharded_layers(module: nn.Module) -> Iterator[nn.Module]:
    """Yield the sharded layers of a module."""
    return (each for each in module.modules() if isinstance(each, ShardedLayer))
