"""Cuts one long input of a convolution over ranks: what each owns, sends, receives and computes. Integers alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import pairwise
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from convpolicy.arithmetic import LARGEST, integer
from convpolicy.core.cuts import Cuts, Transfer, borders_of, cuts_of
from convpolicy.core.plan import require_a_window
from convpolicy.core.ranges import Range, runs, union, without
from convpolicy.core.shard import Piece, Shard, TransposedPiece, Turn
from convpolicy.core.spec import ConvSpec
from convpolicy.errors import placed
from convpolicy.parts.side import CONSTANT, Side, Term


@attrs.frozen
class Document:
    """A part of the input that the layer convolves alone. An input without documents is one.

    Args:
        first: position of its first sample.
        first_output: position of its first output.
        plan: its plan, a `Plan` or a `TransposedPlan`.
    """

    first: int
    first_output: int
    plan: Any


def documents_of(plan: Callable[[int], Any], length: int, borders: Any = None) -> tuple[Document, ...]:
    """Return the documents of an input.

    Args:
        plan: function from a length to a plan.
        length: length of the input.
        borders: borders of the documents from 0 to ``length``, or None for one.

    Raises:
        InvalidTypeError, InvalidValueError: the borders are not allowed, or the layer refuses a document.
    """
    if borders is None:
        return (Document(0, 0, require_a_window(plan(length))),)
    documents, checked, output = [], borders_of("documents", borders, length, empty=False), 0
    for number, (first, end) in enumerate(pairwise(checked)):
        with placed(f"document {number}"):
            documents.append(Document(first, output, require_a_window(plan(end - first))))
        output += documents[-1].plan.length_out
    return tuple(documents)


@attrs.frozen
class Layer:
    """One layer on an input of known length.

    Args:
        spec: its sizes.
        documents: the documents of its input.
    """

    spec: ConvSpec
    documents: tuple[Document, ...]

    def output_cut(self, cut: int) -> int:
        """Return the number of outputs that belong to the samples before ``cut``.

        Output ``o`` belongs to sample ``o * stride``, of a transposed layer to sample ``o // stride``, or to the last sample.
        """
        outputs = 0
        for document in self.documents:
            samples, plan = min(cut - document.first, document.plan.length), document.plan
            if samples >= plan.length:
                outputs += plan.length_out
            elif samples > 0:
                hops = samples * plan.stride if self.spec.transposed else -(-samples // plan.stride)
                outputs += min(hops, plan.length_out)
        return outputs

    def pieces(self, outputs: Iterable[Range]) -> list[tuple[Document, Any]]:
        """Return the pieces that compute ranges of outputs, each with its document."""
        return [
            (document, (_transposed_piece if self.spec.transposed else _piece)(document, max(low, 0), min(high, end)))
            for first, last in outputs
            for document in self.documents
            for low, high, end in [(first - document.first_output, last - document.first_output, document.plan.length_out)]
            if max(low, 0) < min(high, end)
        ]


def shards_of(policy: Any, length: Any, parts: Any, sizes: tuple[Any, Any, Any], order: Any, documents: Any) -> tuple[Shard, ...]:
    """Return the shard of each rank for one layer; see `Policy.shard`.

    Args:
        policy: a `Policy` or a `TransposedPolicy`.
        length, parts, order, documents: see `Policy.shard`.
        sizes: kernel size, stride and dilation.
    """
    spec = ConvSpec.of(1, 1, *sizes, 1, transposed=policy.is_transposed)
    checked = integer("length", length, 1, LARGEST)
    cuts = cuts_of(checked, parts, order)
    return exchanged(Layer(spec, documents_of(partial(policy.planned, spec), checked, documents)), cuts)


def exchanged(layer: Layer, cuts: Cuts, outputs: list[list[Range]] | None = None) -> tuple[Shard, ...]:
    """Return the shards of a layer before which the ranks exchange samples.

    Args:
        layer: the layer.
        cuts: cuts of its input.
        outputs: ranges of outputs that each rank computes. None for those that belong to its samples.
    """
    output_cuts = cuts.mapped(layer.output_cut)
    owned = cuts.by_rank()
    produced = output_cuts.by_rank() if outputs is None else [tuple(ranges) for ranges in outputs]
    pieces = [layer.pieces(ranges) for ranges in produced]
    receives = [
        cuts.owners(union(missing for document, piece in pieces[rank] for missing in _missing(document, piece, owned[rank])))
        for rank in range(cuts.count)
    ]
    sends: list[list[Transfer]] = [[] for _ in owned]
    for rank, transfers in enumerate(receives):
        for owner, first, end in transfers:
            sends[owner].append((rank, first, end))
    return tuple(
        Shard(
            rank, owned[rank], produced[rank], tuple(receives[rank]), tuple(sends[rank]), tuple(each for _, each in pieces[rank])
        )
        for rank in range(cuts.count)
    )


def computed(layer: Layer, owned: list[list[Range]], outputs: list[list[Range]]) -> tuple[Shard, ...]:
    """Return the shards of a layer whose input each rank has, so that nothing is exchanged.

    Args:
        layer: the layer.
        owned: ranges of samples that each rank has. Ranks may have the same samples.
        outputs: ranges of outputs that each rank computes.
    """
    return tuple(
        Shard(rank, tuple(have), tuple(ranges), (), (), tuple(piece for _, piece in layer.pieces(ranges)))
        for rank, (have, ranges) in enumerate(zip(owned, outputs))
    )


def spanned(layer: Layer, outputs: Iterable[Range]) -> list[Range]:
    """Return the ranges of samples that outputs span or whose added elements they read."""
    found: list[Range] = []
    for _, piece in layer.pieces(outputs):
        found += [turn.reads for turn in piece.turns] if isinstance(piece, TransposedPiece) else [piece.reads, *_sources(piece)]
    return union(found)


def _piece(document: Document, first: int, end: int) -> Piece:
    """Return the piece of a range of outputs of a document."""
    plan, length, (before, after) = document.plan, document.plan.length, document.plan.added
    start, stop = first * plan.stride, (end - 1) * plan.stride + plan.effective_kernel  # in the padded document
    low, high = (min(max(place - plan.left, 0), length) for place in (start, stop))
    left = tuple(min(max(place - plan.left + before, 0), before) for place in (start, stop))
    right = tuple(min(max(place - plan.left - length, 0), after) for place in (start, stop))
    sides = (plan.sides[0].part(*left, document.first), plan.sides[1].part(*right, document.first))
    widths = [side.width for side in sides]
    read = _read(plan, end - first, 0, widths[0]), _read(plan, end - first, stop - start - widths[1], stop - start)
    offset = document.first_output
    return Piece(
        (offset + first, offset + end),
        (document.first + low, document.first + high),
        (_only(sides[0], read[0]), _only(sides[1], read[1])),
    )


def _only(side: Side, read: NDArray[np.bool_]) -> Side:
    """Return a side whose elements that no window reads depend on no sample."""
    if not side.width or read.all():
        return side
    terms = (Term(term.coefficient, tuple(np.where(read, term.sources, CONSTANT).tolist())) for term in side.terms)
    return attrs.evolve(side, terms=tuple(terms))


def _transposed_piece(document: Document, first: int, end: int) -> TransposedPiece:
    """Return the piece of a range of outputs of a document."""
    plan = document.plan
    turns: list[Turn] = []
    for turn in plan.turns():
        start, stop = (each + plan.left + turn * plan.length_out for each in (first, end))  # in the full result
        low = min(max(-((plan.effective_kernel - 1 - start) // plan.stride), 0), plan.length)
        high = min(max((stop - 1) // plan.stride + 1, low), plan.length)
        if low < high or not turns:
            low, high = (low, high) if low < high else (0, 0)
            full = (high - low - 1) * plan.stride + plan.effective_kernel if low < high else 0
            cut = start - low * plan.stride if low < high else 0
            reads = (document.first + low, document.first + high)
            turns.append(Turn(reads, cut, full - cut - (end - first)))
    if len(turns) > 1 and turns[0].reads[0] == turns[0].reads[1]:
        del turns[0]
    return TransposedPiece((document.first_output + first, document.first_output + end), tuple(turns))


def _sources(piece: Piece) -> list[Range]:
    """Return the samples that the added elements of a piece read."""
    if not piece.left and not piece.right:
        return []
    read = [
        np.array(term.sources, np.int64)[np.broadcast_to(np.asarray(term.coefficient) != 0, len(term.sources))]
        for side in piece.sides
        if side.width
        for term in side.terms
    ]
    if not read:
        return []
    positions = np.unique(np.concatenate(read))
    return runs(positions[positions != CONSTANT])


def _missing(document: Document, piece: Any, owned: Iterable[Range]) -> Iterator[Range]:
    """Return the ranges of samples that a piece reads and a rank does not own."""
    plan, outputs = document.plan, piece.outputs[1] - piece.outputs[0]
    if isinstance(piece, TransposedPiece):
        for turn in piece.turns:
            yield from _unowned(_reaching(plan, turn, outputs), turn.reads, owned)
        return
    yield from without(_sources(piece), owned)
    first, end = piece.reads
    read = _read(plan, outputs, piece.left, piece.left + end - first)
    yield from _unowned(read, piece.reads, owned)


def _read(plan: Any, outputs: int, first: int, end: int) -> NDArray[np.bool_]:
    """Return which places from ``first`` to ``end`` are read by consecutive outputs, the first of which has its window at place 0."""
    mask = np.zeros(end - first, bool)
    if plan.dilation == 1 and plan.stride <= plan.kernel_size:
        return ~mask
    for tap in range(plan.kernel_size):
        start = tap * plan.dilation - first
        skipped = max(-(start // plan.stride), 0)  # outputs whose tap is before the first place
        mask[start + skipped * plan.stride : max(start + (outputs - 1) * plan.stride + 1, 0) : plan.stride] = True
    return mask


def _reaching(plan: Any, turn: Turn, outputs: int) -> NDArray[np.bool_]:
    """Return which of the samples of a turn reach its outputs."""
    reached = np.arange(turn.reads[1] - turn.reads[0]) * plan.stride - turn.left  # by the first tap
    mask: NDArray[np.bool_] = (reached >= 0) & (reached < outputs)
    unknown = np.flatnonzero(~mask)
    for tap in range(plan.kernel_size):
        other = reached[unknown] + tap * plan.dilation
        mask[unknown] |= (other >= 0) & (other < outputs)
    return mask


def _unowned(read: NDArray[np.bool_], reads: Range, owned: Iterable[Range]) -> list[Range]:
    for first, end in owned:
        read[max(first - reads[0], 0) : max(end - reads[0], 0)] = False
    return runs(np.flatnonzero(read) + reads[0])
