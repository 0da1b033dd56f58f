"""The outputs of one rank, from the samples that it owns and received, in any framework with `Arrays`."""

from __future__ import annotations

from typing import Any

from convpolicy.chunks.arrays import Arrays
from convpolicy.core.ranges import Range
from convpolicy.core.shard import Piece, Shard, TransposedPiece
from convpolicy.core.spec import ConvSpec
from convpolicy.parts.side import Side


def gathered(arrays: Arrays, shard: Shard, data: Any, received: list[Any]) -> Any:
    """Return all samples that a rank has after the exchange, by position; see `Shard.buffer`.

    Args:
        arrays: the arrays of the layer.
        shard: the shard of the rank.
        data: the rank's own samples.
        received: the samples of each entry of ``shard.receives``.
    """
    arrived = dict(zip(shard.receives, received))
    parts = []
    for transfer in shard.buffer:
        if transfer in arrived:
            parts.append(arrived[transfer])
        else:
            start = shard.offset(transfer[1])
            parts.append(arrays.cut(data, start, start + transfer[2] - transfer[1]))
    return arrays.end_to_end(*parts) if parts else arrays.cut(data, 0, 0)


def computed(arrays: Arrays, spec: ConvSpec, shard: Shard, buffer: Any) -> Any:
    """Return the outputs of a rank.

    Args:
        arrays: the arrays of the layer.
        spec: its sizes.
        shard: the shard of the rank.
        buffer: the samples of `Shard.buffer`.
    """
    outputs = [_computed(arrays, spec, shard, piece, buffer) for piece in shard.pieces]
    return arrays.end_to_end(*outputs) if outputs else arrays.zeros(arrays.shape(buffer.shape[0], spec.out_channels, 0))


def _computed(arrays: Arrays, spec: ConvSpec, shard: Shard, piece: Piece | TransposedPiece, buffer: Any) -> Any:
    if isinstance(piece, Piece):
        return arrays.convolved(padded(arrays, spec, shard, piece, buffer))
    count = piece.outputs[1] - piece.outputs[0]
    total = None
    for turn in piece.turns:
        if turn.reads[0] < turn.reads[1]:
            full = arrays.scattered(_samples(arrays, spec, shard, turn.reads, buffer))
            part = _trimmed(arrays, spec, full, turn.left, count)
        else:
            part = arrays.zeros(arrays.shape(buffer.shape[0], spec.out_channels, count))
        total = part if total is None else total + part
    return arrays.biased(total)


def padded(arrays: Arrays, spec: ConvSpec, shard: Shard, piece: Piece, buffer: Any) -> Any:
    """Return the input of a piece of a convolution: its added elements and its samples."""
    before, after = (_added(arrays, shard, side, buffer) for side in piece.sides)
    return arrays.end_to_end(before, _samples(arrays, spec, shard, piece.reads, buffer), after)


def _added(arrays: Arrays, shard: Shard, side: Side, buffer: Any) -> Any:
    return arrays.filler(shard.local(side))(buffer) if side.width else arrays.cut(buffer, 0, 0)


def _samples(arrays: Arrays, spec: ConvSpec, shard: Shard, reads: Range, buffer: Any) -> Any:
    """Return the samples of a range, with zeros for those that are missing since nothing reads them."""
    parts = [
        arrays.zeros(arrays.shape(buffer.shape[0], spec.in_channels, segment))
        if isinstance(segment, int)
        else arrays.cut(buffer, *segment)
        for segment in shard.segments(reads)
    ]
    return arrays.end_to_end(*parts) if parts else arrays.cut(buffer, 0, 0)


def _trimmed(arrays: Arrays, spec: ConvSpec, full: Any, left: int, count: int) -> Any:
    """Return ``count`` samples of a full result from place ``left`` on, with zeros outside it."""
    length = arrays.length(full)
    first, end = min(max(left, 0), length), min(max(left + count, 0), length)

    def zeros(number: int) -> Any:
        return arrays.zeros(arrays.shape(full.shape[0], spec.out_channels, number))

    before = min(max(-left, 0), count)
    return arrays.end_to_end(zeros(before), arrays.cut(full, first, end), zeros(count - before - (end - first)))
