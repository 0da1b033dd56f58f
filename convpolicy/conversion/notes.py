"""What the result of a conversion lacks or holds unexpectedly, as sentences."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from convpolicy.conversion.formats import FileFormat
from convpolicy.conversion.layer_weights import wrappers
from convpolicy.conversion.rows import Row
from convpolicy.conversion.selection import Side
from convpolicy.conversion.tensors import UNNAMED, Reader, is_unnamed
from convpolicy.layers.backend import LEARNED

SHOWN = 3  # names in one sentence


def notes(
    rows: Sequence[Row], reader: Reader, formats: tuple[FileFormat, FileFormat], sides: tuple[Side, Side], left: Mapping[str, str],
    stamped: bool,
) -> Iterator[str]:  # fmt: skip
    """Yield what a user should know before the result is used.

    Args:
        rows: what becomes of every tensor.
        reader: of the source.
        formats: of source and result.
        sides: source and target.
        left: name of a tensor that looks like a weight -> why it is copied as it is.
        stamped: whether the result has a stamp.
    """
    (reads, writes), (source, target) = formats, sides
    if reader.others and reads.writer is not writes.writer:
        yield f"left out, for they are no tensors: {', '.join(reader.others)}."
    if not writes.keeps_metadata and (stamped or reader.metadata):
        yield f"a {writes.suffix} file holds no metadata, so it does not say what it was converted from."
    for reason in dict.fromkeys(left.values()):
        name, *others = (name for name, said in left.items() if said == reason)
        more = f", and so are {len(others)} others" if others else ""
        yield f"{name!r} is copied as it is{more}: {reason}" + ("" if reason.endswith(".") else ".")
    unnamed = [row.old for row in rows if is_unnamed(row.old.dtype)]
    if unnamed:
        yield f"{unnamed[0].name!r} is {unnamed[0].dtype}, as are {len(unnamed) - 1} others, copied byte by byte: {UNNAMED}."
    normed = [row for row in rows if row.move is not None and row.move.part == "v"]
    if normed and source.name != target.name:
        yield (
            f"weight normalisation of {len(normed)} weights is kept as two tensors each, their axes moved alike; "
            "fold_weight_norm makes one plain weight of them."
        )
    yield from _of_wrappers(rows)
    if source.framework and target.framework and source.framework != target.framework:
        yield from _of_other_layers(rows, left, source, target)


def _of_wrappers(rows: Iterable[Row]) -> Iterator[str]:
    first = {row.new.name.partition(".")[0] for row in rows}
    if len(first) == 1 and first <= wrappers():
        (wrapper,) = first
        yield (
            f"every name begins with '{wrapper}.', which a wrapper of the model put there; mapping={{'{wrapper}.*': {{'name': '*'}}}} "
            "takes it off."
        )


def _of_other_layers(rows: Sequence[Row], left: Mapping[str, str], source: Side, target: Side) -> Iterator[str]:
    """Yield a sentence for the tensors of other layers, whose names and axes stay the source's."""
    weights = [row for row in rows if row.move is not None and row.move.source is not None]
    stems = {row.new.name.removesuffix(target.weight) for row in weights}
    known = {row.new.name for row in weights} | {f"{stem}{name}" for stem in stems for name in (target.bias, LEARNED)}
    others = [row.new.name for row in rows if row.old.shape and row.old.name not in left and row.new.name not in known]
    if others:
        shown = ", ".join(map(repr, others[:SHOWN])) + (", …" if len(others) > SHOWN else "")
        count = "1 tensor of other layers keeps" if len(others) == 1 else f"{len(others)} tensors of other layers keep"
        yield (f"{count} the names and axes of {source.framework}, which a {target.framework} model may not load: {shown}.")
