"""Warnings about the output of a conversion, as sentences."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from convpolicy.conversion.formats import FileFormat
from convpolicy.conversion.layer_weights import wrappers
from convpolicy.conversion.rows import Row
from convpolicy.conversion.selection import Selection, Side, alike, parts_of
from convpolicy.conversion.tensors import UNNAMED, Reader, is_unnamed
from convpolicy.layers.backend import LEARNED

SHOWN = 3  # names in one sentence


def notes(
    rows: Sequence[Row], reader: Reader, formats: tuple[FileFormat, FileFormat], sides: tuple[Side, Side], selection: Selection,
    stamped: bool,
) -> Iterator[str]:  # fmt: skip
    """Yield what a user should know before using the output.

    Args:
        rows: one `Row` per tensor of the output.
        reader: reader of the input.
        formats: formats of the input and the output.
        sides: source and target.
        selection: the tensors that change, and those that resemble weights.
        stamped: whether the output has a stamp.
    """
    (reads, writes), (source, target), left = formats, sides, selection.left
    if reader.others and reads.writer is not writes.writer:
        yield f"left out, because they are not tensors: {', '.join(reader.others)}."
    if not writes.keeps_metadata and (stamped or reader.metadata):
        yield f"a {writes.suffix} file has no metadata, so the output does not record what it was converted from."
    for reason in dict.fromkeys(left.values()):
        name, *others = (name for name, other_reason in left.items() if other_reason == reason)
        more = f" (as {_are(len(others))})" if others else ""
        yield f"{name!r} is copied unchanged{more}: {reason}" + ("" if reason.endswith(".") else ".")
    yield from _of_transposed(rows, selection, source, target)
    unnamed = [row.old for row in rows if is_unnamed(row.old.dtype)]
    if unnamed:
        yield f"{unnamed[0].name!r} is {unnamed[0].dtype}, as {_are(len(unnamed) - 1)}, and is copied byte by byte: {UNNAMED}."
    normed = [row for row in rows if row.move is not None and row.move.part == "v"]
    if normed and source.name != target.name:
        yield (
            f"weight normalization is kept ({len(normed)} weight{'s' * (len(normed) > 1)}): each weight is two tensors, with the axes of both moved; "
            "fold_weight_norm merges them into one plain weight."
        )
    yield from _of_wrappers(rows)
    if source.framework and target.framework and source.framework != target.framework:
        yield from _of_other_layers(rows, left, source, target)


def _of_transposed(rows: Sequence[Row], selection: Selection, source: Side, target: Side) -> Iterator[str]:
    """Yield a sentence about the weights that may be those of transposed convolutions."""
    if selection.doubtful:
        name, *others = selection.doubtful
        more = f", as {_are(len(others))}" if others else ""
        yield (
            f"{name!r} is guessed to be a Conv1d weight{more}, and its shape also fits a transposed convolution, whose weight would be "
            f"converted differently; if it is one, pass layers, or its name as transposed."
        )
    halves = source.transposed, target.transposed
    if selection.moves or None in halves or not alike(source.layout, target.layout) or alike(*halves):  # type: ignore[arg-type]
        return
    weights = [
        row.old.name for row in rows if parts_of(row.old.name, source.weight) and len(row.old.shape) == len(source.layout.axes)
    ]
    if weights:
        more = f", as {_are(len(weights) - 1)}" if weights[1:] else ""
        yield (
            f"{weights[0]!r} is copied unchanged{more}; {source.name} and {target.name} store the weights of transposed convolutions "
            f"differently: if it is one, pass layers, or its name as transposed."
        )


def _are(others: int) -> str:
    return "is 1 other" if others == 1 else f"are {others} others"


def _of_wrappers(rows: Iterable[Row]) -> Iterator[str]:
    first = {row.new.name.partition(".")[0] for row in rows}
    if len(first) == 1 and first <= wrappers():
        (wrapper,) = first
        yield (
            f"every name begins with '{wrapper}.', which a wrapper of the model added; mapping={{'{wrapper}.*': {{'name': '*'}}}} "
            "removes it."
        )


def _of_other_layers(rows: Sequence[Row], left: Mapping[str, str], source: Side, target: Side) -> Iterator[str]:
    """Yield a sentence about the tensors of other layers, which keep the names and axes of the source."""
    weights = [row for row in rows if row.move is not None and row.move.source is not None]
    stems = {row.new.name.removesuffix(target.weight) for row in weights}
    known = {row.new.name for row in weights} | {f"{stem}{name}" for stem in stems for name in (target.bias, LEARNED)}
    others = [row.new.name for row in rows if row.old.shape and row.old.name not in left and row.new.name not in known]
    if others:
        shown = ", ".join(map(repr, others[:SHOWN])) + (", …" if len(others) > SHOWN else "")
        count = "1 tensor of other layers keeps" if len(others) == 1 else f"{len(others)} tensors of other layers keep"
        yield (f"{count} the names and axes of {source.framework}, which a {target.framework} model may not load: {shown}.")
