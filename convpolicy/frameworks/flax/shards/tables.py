"""The integers of all ranks as arrays with one row for each rank: JAX runs one program, and a device looks up its row."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import attrs
import numpy as np
from numpy.typing import NDArray

from convpolicy.core.ranges import Range, runs
from convpolicy.core.shard import Piece, Shard, TransposedPiece
from convpolicy.core.spec import ConvSpec
from convpolicy.parts.side import CONSTANT, Side, Value

Integers: TypeAlias = "NDArray[np.int64]"
# of other elements: their places, for each term the places in the pool and the coefficients, and shares
Column: TypeAlias = "tuple[Integers, list[tuple[Integers, NDArray[np.float64]]], NDArray[np.float64]]"
Pool: TypeAlias = "Callable[[Integers], Integers]"  # position of the sequence -> place in a rank's pool


@attrs.frozen(eq=False)
class Message:
    """Samples that ranks send at the same time, each to the rank that is as many ranks after it.

    Args:
        pairs: sender and receiver.
        places: places of the samples in the sender's data, (ranks, most samples). Unused ones are 0.
    """

    pairs: tuple[tuple[int, int], ...]
    places: Integers


@attrs.frozen(eq=False)
class Canvas:
    """The input of one call of the convolution: consecutive samples of the rank's own data, and other elements at single places.

    Args:
        length: number of elements, of the rank with most.
        start: place in the own data of element 0, (ranks,).
        first, end: range of the elements that are own samples, (ranks,).
        places: place of each other element, (ranks, others). Unused ones are ``length`` or more.
        reads: for each term of these elements the place in the pool, (ranks, terms, others).
        coefficients: what the terms are multiplied with, (ranks, terms, others).
        shares: what the constants of the two sides are multiplied with, (ranks, 2, others).
    """

    length: int
    start: Integers
    first: Integers
    end: Integers
    places: Integers
    reads: Integers
    coefficients: NDArray[np.float64]
    shares: NDArray[np.float64]


@attrs.frozen(eq=False)
class Call:
    """Consecutive outputs of each rank.

    Args:
        count: number of outputs, (ranks,).
        place: place of the first output in the rank's outputs, (ranks,).
        canvases: the input. Of a transposed convolution one for each turn.
        cuts: samples to cut before the outputs for each turn of a transposed convolution, (turns, ranks).
    """

    count: Integers
    place: Integers
    canvases: tuple[Canvas, ...]
    cuts: Integers


@attrs.frozen(eq=False)
class Program:
    """What all ranks do.

    Args:
        length: samples of the rank with most.
        length_out: outputs of the rank with most.
        messages: the exchange. A rank's pool is its own data, padded to ``length``, and the samples of each message.
        calls: the calls of the convolution.
        values: the constants of the two sides.
        learned: for each side, True if the constant is a parameter.
    """

    length: int
    length_out: int
    messages: tuple[Message, ...]
    calls: tuple[Call, ...]
    values: tuple[Value, Value]
    learned: tuple[bool, bool]


def program_of(spec: ConvSpec, shards: Sequence[Shard]) -> Program:
    """Return the program of all ranks of a layer."""
    length, length_out = (max(1, *lengths) for lengths in zip(*((each.length, each.length_out) for each in shards)))
    messages, pools = _messages(shards, length)
    calls = []
    for slot in range(max(len(shard.pieces) for shard in shards)):
        pieces = [shard.pieces[slot] if slot < len(shard.pieces) else None for shard in shards]
        calls.append((_transposed_call if spec.transposed else _call)(spec, shards, pools, pieces))
    sides = next((piece.sides for shard in shards for piece in shard.pieces if isinstance(piece, Piece)), None)
    values = (sides[0].value, sides[1].value) if sides else (0.0, 0.0)
    learned = (sides[0].learned, sides[1].learned) if sides else (False, False)
    return Program(length, length_out, messages, tuple(calls), values, learned)


def _messages(shards: Sequence[Shard], length: int) -> tuple[tuple[Message, ...], list[Pool]]:
    """Return the messages, and for each rank the function from a position to its place in the pool."""
    ranks = len(shards)
    samples: dict[tuple[int, int], list[Integers]] = {}  # distance, sender -> positions
    for shard in shards:
        for owner, first, end in shard.receives:
            samples.setdefault(((shard.rank - owner) % ranks, owner), []).append(np.arange(first, end))
    messages, places = [], [_own(shard) for shard in shards]
    for distance in sorted({distance for distance, _owner in samples}):
        parts = {owner: np.concatenate(each) for (far, owner), each in samples.items() if far == distance}
        table = np.zeros((ranks, max(map(len, parts.values()))), np.int64)
        for owner, positions in parts.items():
            table[owner, : len(positions)] = [shards[owner].offset(int(position)) for position in positions]
            receiver = (owner + distance) % ranks
            places[receiver].append((positions, length + np.arange(len(positions))))
        length += table.shape[1]
        messages.append(Message(tuple((owner, (owner + distance) % ranks) for owner in sorted(parts)), table))
    return tuple(messages), [_pool(each) for each in places]


def _own(shard: Shard) -> list[tuple[Integers, Integers]]:
    return [(np.arange(first, end), shard.offset(first) + np.arange(end - first)) for first, end in shard.owned if first < end]


def _pool(parts: list[tuple[Integers, Integers]]) -> Pool:
    positions, places = (np.concatenate([np.zeros(0, np.int64), *each]) for each in zip(*parts)) if parts else ([], [])
    order = np.argsort(positions, kind="stable")
    known, found = np.asarray(positions)[order], np.asarray(places)[order]

    def place(wanted: Integers) -> Integers:
        """Return the places of positions, -1 for those that the rank does not have."""
        if not known.size:
            return np.full(wanted.shape, -1)
        index = np.minimum(np.searchsorted(known, wanted), known.size - 1)
        return np.where(known[index] == wanted, found[index], -1)

    return place


def _call(spec: ConvSpec, shards: Sequence[Shard], pools: Sequence[Pool], pieces: Sequence[Any]) -> Call:
    counts = _counts(pieces)
    length = (max(1, int(counts.max())) - 1) * spec.stride + spec.effective_kernel
    rows = [
        _Row() if piece is None else _row(shard, pool, piece.reads, piece.sides)
        for shard, pool, piece in zip(shards, pools, pieces)
    ]
    return Call(counts, _starts(shards, pieces), (_canvas(rows, length),), np.zeros((1, len(shards)), np.int64))


def _transposed_call(_spec: ConvSpec, shards: Sequence[Shard], pools: Sequence[Pool], pieces: Sequence[Any]) -> Call:
    canvases, cuts = [], []
    for slot in range(max(len(piece.turns) for piece in pieces if piece is not None)):
        turns = [piece.turns[slot] if piece is not None and slot < len(piece.turns) else None for piece in pieces]
        rows = [_Row() if turn is None else _row(shard, pool, turn.reads, ()) for shard, pool, turn in zip(shards, pools, turns)]
        canvases.append(_canvas(rows, max([1, *(turn.reads[1] - turn.reads[0] for turn in turns if turn is not None)])))
        cuts.append([0 if turn is None else turn.left for turn in turns])
    return Call(_counts(pieces), _starts(shards, pieces), tuple(canvases), np.array(cuts))


def _counts(pieces: Sequence[Piece | TransposedPiece | None]) -> Integers:
    return np.array([0 if piece is None else piece.outputs[1] - piece.outputs[0] for piece in pieces])


def _starts(shards: Sequence[Shard], pieces: Sequence[Any]) -> Integers:
    """Return how many outputs of a rank are before a piece."""
    before = []
    for shard, piece in zip(shards, pieces):
        number = 0 if piece is None else shard.pieces.index(piece)
        before.append(sum(each.outputs[1] - each.outputs[0] for each in shard.pieces[:number]))
    return np.array(before)


@attrs.frozen(eq=False)
class _Row:
    """The elements of one rank; see `Canvas`. The terms of other elements have shape (terms, others)."""

    start: int = 0
    first: int = 0
    end: int = 0
    places: Integers = attrs.field(factory=lambda: np.zeros(0, np.int64))
    reads: Integers = attrs.field(factory=lambda: np.zeros((1, 0), np.int64))
    coefficients: NDArray[np.float64] = attrs.field(factory=lambda: np.zeros((1, 0)))
    shares: NDArray[np.float64] = attrs.field(factory=lambda: np.zeros((2, 0)))


def _row(shard: Shard, pool: Pool, reads: Range, sides: tuple[Side, ...]) -> _Row:
    """Return the samples of a range, with the added elements of two sides around them, or of none."""
    before = sides[0].width if sides else 0
    low, high = reads
    found = pool(np.arange(low, high))
    start, first, end = _longest(found, shard.length)
    others = np.flatnonzero((found >= 0) & ~((np.arange(high - low) >= first) & (np.arange(high - low) < end)))
    width = before + high - low
    columns: list[Column] = [(before + others, [(found[others], np.ones(len(others)))], np.zeros((2, len(others))))]
    for number, side in enumerate(sides):
        terms, share = [], np.zeros((2, side.width))
        for term in side.terms:
            sources = np.array(term.sources, np.int64)
            coefficients = np.broadcast_to(np.asarray(term.coefficient, np.float64), sources.shape)
            share[number] += np.where(sources == CONSTANT, coefficients, 0)
            terms.append((np.maximum(pool(sources), 0), np.where(sources == CONSTANT, 0, coefficients)))
        columns.append((np.arange(side.width) + (width if number else 0), terms, share))
    most = max(len(each[1]) for each in columns)
    places = np.concatenate([each[0] for each in columns])
    found_at, coefficients = (
        np.concatenate(
            [
                np.stack([*(term[part] for term in each[1]), *[np.zeros(len(each[0]), kind)] * (most - len(each[1]))])
                for each in columns
            ],
            1,
        )
        for part, kind in enumerate((np.int64, np.float64))
    )
    shares = np.concatenate([each[2] for each in columns], 1)
    return _Row(start - before, first + before, end + before, places, found_at, coefficients, shares)


def _longest(places: Integers, length: int) -> tuple[int, int, int]:
    """Return the longest run of own samples: where place 0 would be in the own data, and the range of places of the run."""
    own = np.flatnonzero((places >= 0) & (places < length))
    if not own.size:
        return 0, 0, 0
    offsets = places[own] - own
    groups = [own[offsets == offset] for offset in np.unique(offsets)]
    first, end = max((run for group in groups for run in runs(group)), key=lambda run: run[1] - run[0])
    return int(places[first] - first), first, end


def _canvas(rows: Sequence[_Row], length: int) -> Canvas:
    most, terms = max(len(row.places) for row in rows), max(len(row.reads) for row in rows)
    places = np.tile(length + np.arange(most), (len(rows), 1))
    reads, coefficients = np.zeros((len(rows), terms, most), np.int64), np.zeros((len(rows), terms, most))
    shares = np.zeros((len(rows), 2, most))
    for number, row in enumerate(rows):
        count = len(row.places)
        places[number, :count] = row.places
        reads[number, : len(row.reads), :count] = row.reads
        coefficients[number, : len(row.reads), :count] = row.coefficients
        shares[number, :, :count] = row.shares
    start, first, end = (np.array([getattr(row, name) for row in rows]) for name in ("start", "first", "end"))
    return Canvas(length, start, first, end, places, reads, coefficients, shares)
