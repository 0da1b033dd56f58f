"""Decide what to write for every tensor of a file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from convpolicy.conversion.elements import in_dtype
from convpolicy.conversion.folding import folded
from convpolicy.conversion.guessing import fits_bias
from convpolicy.conversion.limits import fits_array
from convpolicy.conversion.selection import PLAIN, Move, Selection, Side, alike, partner, parts_of
from convpolicy.conversion.stamps import Origin, Stamp
from convpolicy.conversion.tensors import FLOATS, UNNAMED, Entry, Piece, Reader, entry, has_holder, in_pieces, is_unnamed
from convpolicy.conversion.transposing import packed_pieces
from convpolicy.errors import ConvPolicyError, InvalidValueError
from convpolicy.parts.layout import Layout, axes_words


@attrs.frozen
class Row:
    """One tensor of the output, and where it comes from.

    Attributes:
        old: entry of the tensor in the input.
        new: entry of the tensor in the output.
        move: how the tensor is selected and moved; None when at most its name or dtype changes.
        norm: when weight normalisation is folded, the entry of the lengths; ``old`` is the entry of the directions.
    """

    old: Entry
    new: Entry
    move: Move | None = None
    norm: Entry | None = None

    @property
    def old_name(self) -> str:
        """Name of the tensor in the input."""
        return self.old.name

    @property
    def why(self) -> str:
        """How the weight was selected; see `Converted`."""
        return "" if self.move is None else self.move.why

    @property
    def folded(self) -> bool:
        """True if two tensors of weight normalisation become one."""
        return self.norm is not None

    def pieces(self, reader: Reader) -> Iterator[Piece]:
        """Yield the bytes of the tensor in the output."""
        if self.moves_bytes or self.norm is not None:
            array = reader.array(self.old)
            if self.norm is not None:
                array = folded(array, reader.array(self.norm), (self.old.dtype, self.norm.dtype))
            pieces = packed_pieces(_moved(self.move, array)) if self.moves_bytes else in_pieces(array)
        else:
            pieces = reader.pieces(self.old)
        yield from in_dtype(pieces, self.old.name, self.old.dtype, self.new.dtype)

    @property
    def keeps_bytes(self) -> bool:
        """True when the bytes are copied unchanged."""
        return self.old.dtype == self.new.dtype and self.norm is None and not self.moves_bytes

    @property
    def moves_bytes(self) -> bool:
        """True when the elements have another order in the output."""
        move = self.move
        return move is not None and move.source is not None and not _same_order(move.source, move.target, self.old.shape)

    @property
    def axes(self) -> str:
        """Axes of a weight before and after, such as ``"OIW -> OI1W"``; empty for every other tensor."""
        move = self.move
        return "" if move is None or move.source is None or move.target is None else axes_words(move.source, move.target)


def plan(
    entries: tuple[Entry, ...], selection: Selection, source: Side, target: Side, stamp: Stamp | None, home: bool,
    dtype: str | None, fold: bool,
) -> list[Row]:  # fmt: skip
    """Return one `Row` per tensor of the output, in the order of the file.

    Args:
        entries: entries of the input.
        selection: the tensors that move, and the new names that a map has.
        source, target: the two sides of the conversion.
        stamp: stamp of the input, or None.
        home: True to convert a file back to what it was before its first conversion: its tensors get their old names and axes.
        dtype: dtype of every floating-point tensor of the output; None keeps each tensor's dtype.
        fold: True to replace the two tensors of weight normalisation by the plain weight.

    Raises:
        InvalidValueError: a weight does not have the axes of its layout, two tensors get the same name, or one of the two tensors of
            weight normalisation is missing.
    """
    moves, names = selection.moves, selection.names
    known = {row.name: row for row in entries}
    origins = {} if stamp is None or not home else {name: row for name, row in stamp.tensors.items() if name not in names}
    folded = _pairs(known, moves) if fold else {}
    biases = _biases(known, selection, source, target)
    rows = []
    for old in entries:
        move = moves.get(old.name)
        if old.name in folded.values():
            continue
        norm = known.get(folded.get(old.name, ""))
        if move is not None and move.part != "weight" and norm is not None:
            move = attrs.evolve(move, part="weight")
        stored = old.name in origins and norm is None
        name = origins[old.name].name if stored else _name(names.get(old.name, old.name), move, biases, source, target)
        new_dtype = old.dtype if dtype is None or old.dtype not in FLOATS else dtype
        if dtype is not None and is_unnamed(old.dtype):
            raise InvalidValueError(f"{old.name!r} is {old.dtype}, which cannot be cast to {dtype}: {UNNAMED}.")
        new = attrs.evolve(old, name=name, shape=_shape(move, old))
        row = Row(old, new if new_dtype == old.dtype else entry(name, new.shape, new_dtype, old.part), move, norm)
        if row.moves_bytes and not has_holder(old.dtype):
            raise InvalidValueError(
                f"{old.name!r} has dtype {old.dtype}, whose elements cannot be moved one by one; store it as float16 first."
            )
        rows.append(row)
    _check_names(rows, target)
    return rows


def _biases(known: Mapping[str, Entry], selection: Selection, source: Side, target: Side) -> dict[str, str]:
    """Return the new name of each bias: of each tensor beside a weight that has one element per output."""
    named = {selection.names.get(name, name): entry for name, entry in known.items()}
    biases = {}
    for name, move in selection.moves.items():
        bias = f"{move.stem}{source.bias}"
        if move.source is None or move.name or bias not in named or len(known[name].shape) != len(move.source.axes):
            continue
        shape = named[bias].shape
        if len(shape) == 1 and (move.part == "g" or fits_bias(move.source, known[name].shape, shape, move.groups)):
            biases[bias] = f"{move.stem}{target.bias}"
    return biases


def _shape(move: Move | None, old: Entry) -> tuple[int, ...]:
    """Return the shape of a tensor in the output."""
    if move is None or move.source is None:
        return old.shape
    if len(old.shape) != len(move.source.axes) or not fits_array(old):
        raise InvalidValueError(
            f"{old.name!r} cannot be a {'ConvTranspose1d' if move.source.transposed else 'Conv1d'} weight in the layout {move.source.name} (axes {move.source.axes}): it has "
            f"{len(old.shape)} axes of lengths {old.shape[:8]}; remove it from the map, or correct the layout."
        )
    try:
        return _moved(move, np.broadcast_to(np.uint8(0), old.shape)).shape
    except ConvPolicyError as error:
        raise InvalidValueError(f"{old.name!r} of shape {old.shape}: {error}") from error


def stamped(rows: list[Row], suffix: str, source: Side, target: Side, old: Stamp | None) -> Stamp | None:
    """Return the stamp of the output, or None when its policy and every tensor are those of the original file."""
    origin = old or Stamp(suffix, source.name, source.name, {})
    tensors = {}
    for row in rows:
        first = origin.tensors.get(row.old.name, Origin(row.old.name))
        move = row.move
        if move is not None and move.source is not None and move.target is not None:
            layout = first.source or move.source.name
            first = Origin(first.name, layout, move.target.name, move.groups or first.groups or _groups(row))
        if row.norm is not None:  # folding cannot be undone, so a conversion back makes a plain weight
            stem = (parts_of(first.name, PLAIN) or ("", ""))[0]
            first = attrs.evolve(first, name=f"{stem}{PLAIN}")
        if row.new.name != first.name or first.source != first.target:
            tensors[row.new.name] = first
    if not tensors and target.name == origin.source:
        return None
    return Stamp(origin.suffix, origin.source, target.name, tensors, None if target.policy is None else target.policy.to_dict())


def _groups(row: Row) -> int | None:
    """Return the number of groups of a depthwise weight, which is the length of one of its axes, or None."""
    layout = row.move.source if row.move is not None else None
    return row.old.shape[layout.axes.index("I")] or None if layout is not None and "M" in layout.axes else None


def _pairs(known: Mapping[str, Entry], moves: Mapping[str, Move]) -> dict[str, str]:
    """Return the names of the directions and the lengths of every weight normalisation."""
    pairs = {name: partner(name) for name, move in moves.items() if move.part == "v"}
    unpaired = [name for name, move in moves.items() if move.part == "g" and name not in pairs.values()]
    unpaired += [name for name, lengths in pairs.items() if lengths not in known or moves.get(lengths) is None]
    if unpaired:
        raise InvalidValueError(
            f"{unpaired[0]!r} cannot be folded: the other tensor of its weight normalisation is not selected; select both."
        )
    for directions, lengths in pairs.items():
        if known[directions].dtype not in FLOATS or known[lengths].dtype not in FLOATS:
            raise InvalidValueError(
                f"{directions!r} is {known[directions].dtype}, which cannot be folded; it must be one of {', '.join(FLOATS)}."
            )
    return pairs


def _name(old: str, move: Move | None, biases: Mapping[str, str], source: Side, target: Side) -> str:
    if move is not None and move.name is not None:
        return move.name
    name = biases.get(old, old)
    if move is not None and move.source is not None and move.part == "weight":
        name = f"{move.stem}{target.weight}"
    before, after = source.names.separator, target.names.separator
    if before == after:
        return name
    ending = next((known for known in (target.weight, target.bias) if name.endswith(known)), "")
    return name.removesuffix(ending).replace(before, after) + ending


def _check_names(rows: list[Row], target: Side) -> None:
    old_names: dict[str, str] = {}
    separator = target.names.separator
    for row in rows:
        parts = row.new.name.split(separator) if target.names.groups else [row.new.name]
        if any(part in ("", ".", "..") or not _is_text(part) for part in parts):
            raise InvalidValueError(
                f"{row.old.name!r} would be called {row.new.name!r}, which not every file format can store; rename it in a map."
            )
        if row.new.name in old_names:
            raise InvalidValueError(
                f"{old_names[row.new.name]!r} and {row.old.name!r} would both be called {row.new.name!r}; rename one in a map."
            )
        old_names[row.new.name] = row.old.name
    if target.names.groups:
        for name, old in old_names.items():
            parents = name.split(separator)[:-1]
            paths = (separator.join(parents[: n + 1]) for n in range(len(parents)))
            dataset = next((path for path in paths if path in old_names), None)
            if dataset is not None:
                raise InvalidValueError(
                    f"{old_names[dataset]!r} and {old!r} would be a dataset {dataset!r} and a group of that name; rename one in a map."
                )


def _is_text(name: str) -> bool:
    """Return whether a name is valid Unicode without a null character, at which archives cut it."""
    return "\0" not in name and not any("\ud800" <= sign <= "\udfff" for sign in name)


def _same_order(source: Layout, target: Layout | None, shape: tuple[int, ...]) -> bool:
    """Return whether the elements of a weight have the same order in both layouts."""
    if target is None or alike(source, target):
        return True
    if "M" in source.axes + target.axes or source.flip != target.flip:
        return False
    long = {axis for axis, length in zip(source.axes, shape) if length > 1}
    return [axis for axis in source.axes if axis in long] == [axis for axis in target.axes if axis in long]


def _moved(move: Move | None, array: NDArray[Any]) -> NDArray[Any]:
    """Return a weight in the target's layout, as a view when possible."""
    if move is None or move.source is None or move.target is None or alike(move.source, move.target):
        return array
    if "M" in move.target.axes and move.groups is None:
        raise InvalidValueError(
            f"layout {move.target.name!r} is depthwise, so groups must be known; pass layers, or groups in a map."
        )
    return move.target.stored(move.source.restored(array), move.groups or 1)
