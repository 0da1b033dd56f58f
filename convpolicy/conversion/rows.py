"""What becomes of every tensor of a file, decided before anything is written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from convpolicy.conversion.guessing import outputs
from convpolicy.conversion.limits import fits_array
from convpolicy.conversion.selection import PLAIN, Move, Selection, Side, partner, parts_of
from convpolicy.conversion.stamps import Origin, Stamp
from convpolicy.conversion.tensors import FLOATS, UNNAMED, Entry, entry, has_holder, is_unnamed
from convpolicy.errors import ConvPolicyError, InvalidValueError
from convpolicy.parts.layout import Layout

TILE = 64  # elements per axis that are transposed at once, so that reads and writes stay in the cache


@attrs.frozen
class Row:
    """What becomes of one tensor.

    Attributes:
        old, new: entries of the source and of the result.
        move: None when only its name or dtype changes, if anything.
        norm: the lengths that are multiplied into the directions ``old``, when weight normalisation is folded.
    """

    old: Entry
    new: Entry
    move: Move | None = None
    norm: Entry | None = None

    @property
    def keeps_bytes(self) -> bool:
        """True when the bytes are copied as they stand."""
        return self.old.dtype == self.new.dtype and self.norm is None and not self.moves_bytes

    @property
    def moves_bytes(self) -> bool:
        """True when the elements stand in another order afterwards."""
        move = self.move
        return move is not None and move.source is not None and not _same_order(move.source, move.target, self.old.shape)

    @property
    def axes(self) -> str:
        """E.g. ``"OIW -> OI1W"``; empty for what is no weight of a Conv1d."""
        move = self.move
        return "" if move is None or move.source is None or move.target is None else f"{move.source.axes} -> {move.target.axes}"

    def values(self, array: NDArray[Any]) -> NDArray[Any]:
        """Return a weight with its axes moved, contiguous."""
        return _packed(_moved(self.move, array)) if self.moves_bytes else array.reshape(self.new.shape)


def plan(
    entries: tuple[Entry, ...], selection: Selection, source: Side, target: Side, stamp: Stamp | None, home: bool,
    dtype: str | None, fold: bool,
) -> list[Row]:  # fmt: skip
    """Return what becomes of every tensor, in the order of the file.

    Args:
        entries: of the source.
        selection: which of them move, and which have another name in a map.
        source, target: of the conversion.
        stamp: of the source file.
        home: True when the result is what the file was before its stamp; names and axes of the stamp then return.
        dtype: of every floating-point tensor; None keeps each one's.
        fold: True to multiply weight normalisation out.

    Raises:
        InvalidValueError: a weight that its layout cannot hold, two tensors of one name, or lengths without directions.
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
        kept = old.dtype if dtype is None or old.dtype not in FLOATS else dtype
        if dtype is not None and is_unnamed(old.dtype):
            raise InvalidValueError(f"{old.name!r} is {old.dtype}, which cannot be cast to {dtype}: {UNNAMED}.")
        new = attrs.evolve(old, name=name, shape=_shape(move, old))
        row = Row(old, new if kept == old.dtype else entry(name, new.shape, kept, old.part), move, norm)
        if row.moves_bytes and not has_holder(old.dtype):
            raise InvalidValueError(
                f"{old.name!r} is of dtype {old.dtype}, whose elements cannot be moved one by one; store it as float16 first."
            )
        rows.append(row)
    _check_names(rows, target)
    return rows


def _biases(known: Mapping[str, Entry], selection: Selection, source: Side, target: Side) -> dict[str, str]:
    """Return the names of biases, before and after: of the tensors beside a weight that have its number of outputs."""
    named = {selection.names.get(name, name): entry for name, entry in known.items()}
    biases = {}
    for name, move in selection.moves.items():
        bias = f"{move.stem}{source.bias}"
        if move.source is None or move.name or bias not in named or len(known[name].shape) != len(move.source.axes):
            continue
        shape = named[bias].shape
        if len(shape) == 1 and (move.part == "g" or shape == (outputs(move.source, known[name].shape),)):
            biases[bias] = f"{move.stem}{target.bias}"
    return biases


def _shape(move: Move | None, old: Entry) -> tuple[int, ...]:
    """Return the shape of a tensor in the result."""
    if move is None or move.source is None:
        return old.shape
    if len(old.shape) != len(move.source.axes) or not fits_array(old):
        raise InvalidValueError(
            f"{old.name!r} is no weight of a Conv1d as {move.source.name} lays it out (axes {move.source.axes}): it has "
            f"{len(old.shape)} axes of lengths {old.shape[:8]}; take it out of the map, or correct the layout."
        )
    try:
        return _moved(move, np.broadcast_to(np.uint8(0), old.shape)).shape
    except ConvPolicyError as error:
        raise InvalidValueError(f"{old.name!r} of shape {old.shape}: {error}") from error


def stamped(rows: list[Row], suffix: str, source: Side, target: Side, old: Stamp | None) -> Stamp | None:
    """Return the stamp of the result, or None when every tensor is as it was in the original file, and so is the policy."""
    origin = old or Stamp(suffix, source.name, source.name, {})
    tensors = {}
    for row in rows:
        before = origin.tensors.get(row.old.name, Origin(row.old.name))
        move = row.move
        if move is not None and move.source is not None and move.target is not None:
            was = before.source or move.source.name
            before = Origin(before.name, was, move.target.name, move.groups or before.groups or _groups(row))
        if row.norm is not None:  # its halves are gone for good; in the original layout it is called as a plain weight is
            stem = (parts_of(before.name, PLAIN) or ("", ""))[0]
            before = attrs.evolve(before, name=f"{stem}{PLAIN}")
        if row.new.name != before.name or before.source != before.target:
            tensors[row.new.name] = before
    if not tensors and target.name == origin.source:
        return None
    return Stamp(origin.suffix, origin.source, target.name, tensors, None if target.policy is None else target.policy.to_dict())


def _groups(row: Row) -> int | None:
    """Return the groups of a depthwise weight, which its own axes tell."""
    layout = row.move.source if row.move is not None else None
    return row.old.shape[layout.axes.index("I")] or None if layout is not None and "M" in layout.axes else None


def _pairs(known: Mapping[str, Entry], moves: Mapping[str, Move]) -> dict[str, str]:
    """Return directions -> lengths of every weight normalisation among the weights."""
    pairs = {name: partner(name) for name, move in moves.items() if move.part == "v"}
    alone = [name for name, move in moves.items() if move.part == "g" and name not in pairs.values()]
    alone += [name for name, lengths in pairs.items() if lengths not in known or moves.get(lengths) is None]
    if alone:
        raise InvalidValueError(f"{alone[0]!r} cannot be folded: its other half is not among the weights; select both.")
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
    taken: dict[str, str] = {}
    separator = target.names.separator
    for row in rows:
        parts = row.new.name.split(separator) if target.names.groups else [row.new.name]
        if any(part in ("", ".", "..") or not _is_text(part) for part in parts):
            raise InvalidValueError(
                f"{row.old.name!r} would be called {row.new.name!r}, which not every file can hold; rename it in a map."
            )
        if row.new.name in taken:
            raise InvalidValueError(
                f"{taken[row.new.name]!r} and {row.old.name!r} would both be called {row.new.name!r}; rename one in a map."
            )
        taken[row.new.name] = row.old.name
    if target.names.groups:
        for name, old in taken.items():
            parents = name.split(separator)[:-1]
            paths = (separator.join(parents[: n + 1]) for n in range(len(parents)))
            inside = next((path for path in paths if path in taken), None)
            if inside is not None:
                raise InvalidValueError(
                    f"{taken[inside]!r} and {old!r} would be a dataset {inside!r} and a group of that name; rename one in a map."
                )


def _is_text(name: str) -> bool:
    """Whether a name is Unicode without a zero, at which archives cut it."""
    return "\0" not in name and not any("\ud800" <= sign <= "\udfff" for sign in name)


def _same_order(source: Layout, target: Layout | None, shape: tuple[int, ...]) -> bool:
    """Whether the elements of a weight stand in the same order in both layouts."""
    if target is None or source.axes == target.axes:
        return True
    if "M" in source.axes + target.axes:
        return False
    long = {axis for axis, length in zip(source.axes, shape) if length > 1}
    return [axis for axis in source.axes if axis in long] == [axis for axis in target.axes if axis in long]


def _moved(move: Move | None, array: NDArray[Any]) -> NDArray[Any]:
    """Return a weight in the target's axes, as a view where one is enough."""
    if move is None or move.source is None or move.target is None or move.source.axes == move.target.axes:
        return array
    if "M" in move.target.axes and move.groups is None:
        raise InvalidValueError(
            f"layout {move.target.name!r} is depthwise, so groups must be known; pass layers, or groups in a map."
        )
    return move.target.from_oiw(move.source.to_oiw(array), move.groups or 1)


def _packed(view: NDArray[Any]) -> NDArray[Any]:
    """Return a contiguous copy of a view whose axes are moved, tile by tile."""
    made = np.empty(view.shape, view.dtype)
    for corner in np.ndindex(*(-(-length // TILE) for length in view.shape)):
        tile = tuple(slice(at * TILE, (at + 1) * TILE) for at in corner)
        made[tile] = view[tile]
    return made
