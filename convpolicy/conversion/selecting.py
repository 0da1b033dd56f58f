"""Which tensors of a file move: what its stamp says comes first, then a map, layers or a guess."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from convpolicy.conversion.guessing import by_guess
from convpolicy.conversion.layer_weights import by_layers
from convpolicy.conversion.maps import Mapped, by_map
from convpolicy.conversion.selection import Move, Selection, Side, by_stamp, parts_of, side
from convpolicy.conversion.stamps import Stamp
from convpolicy.conversion.tensors import Entry, Reader
from convpolicy.errors import InvalidValueError
from convpolicy.parts.layout import Layout


def select(
    reader: Reader, source: Side, target: Side, stamp: Stamp | None, *, layers: Any, mapping: Any, guess: bool
) -> Selection:
    """Return which tensors move, and how.

    Args:
        reader: of the file.
        source, target: of the conversion.
        stamp: of the file, or None.
        layers, mapping, guess: see `convert`.

    Raises:
        InvalidValueError: a source that the stamp contradicts, or nothing that tells which tensors are weights.
        InvalidValueError, InvalidTypeError, UnknownNameError: see `by_layers` and `by_map`.
    """
    entries = {entry.name: entry for entry in reader.entries}
    explicit = guess or layers is not None or mapping is not None
    known = _by_stamp(reader, stamp, entries, source, target, complete=not explicit)
    mapped = Mapped({}, {}) if mapping is None else by_map(mapping, entries, source, target)
    _check_map(reader, mapped, stamp)
    moves, left = dict(known), dict[str, str]()
    for name, new in mapped.names.items():
        if name in moves:
            stem, _part = parts_of(new, source.weight) or ("", "")
            moves[name] = attrs.evolve(moves[name], stem=stem, name=None if stem else new)
    # those without a layout yet, under the names that they will have
    rest = {
        mapped.names.get(name, name): attrs.evolve(entry, name=mapped.names.get(name, name)) for name, entry in entries.items()
    }
    old = {mapped.names.get(name, name): name for name in entries}
    if layers is not None:
        weights, left = by_layers(layers, rest, source, target, lambda name, own: _layout(stamp, old[name], own))
        for name, move in weights.items():
            known_move = moves.get(old[name])
            groups = None if known_move is None else known_move.groups or move.groups
            moves[old[name]] = move if known_move is None else attrs.evolve(known_move, groups=groups, why=move.why)
        left = {old[name]: reason for name, reason in left.items() if old[name] not in mapped.moves}
    elif guess:
        free = {name: entry for name, entry in rest.items() if old[name] not in mapped.moves}
        result = by_guess(free, source, target)
        as_it_was = "" if stamp is None else _as_it_was(reader, stamp)
        for name, move in result.moves.items():
            if stamp is not None and as_it_was and old[name] not in stamp.tensors:
                left[old[name]] = as_it_was
            elif old[name] not in known:
                moves[old[name]] = move
        left |= {old[name]: reason for name, reason in result.left.items() if old[name] not in known}
    moves |= mapped.moves
    if not explicit and stamp is None and source.layout.axes != target.layout.axes:
        raise InvalidValueError(
            "which tensors are weights of a Conv1d is not known; pass layers (a captured model), mapping (a map of names), or "
            "guess=True (by names and shapes)."
        )
    if explicit and not moves and not (mapped.names and source.layout.axes == target.layout.axes):
        why = next((f"; {name!r} is left as it is: {reason}" for name, reason in left.items()), "")
        raise InvalidValueError(
            f"{reader.path} has no weight of a Conv1d as {source.name} lays it out (axes {source.layout.axes}, name "
            f"{source.weight!r}){why or '; correct the source or say which they are in a map'}."
        )
    return Selection(moves, mapped.names, left)


def _by_stamp(
    reader: Reader, stamp: Stamp | None, entries: Mapping[str, Entry], source: Side, target: Side, *, complete: bool
) -> dict[str, Move]:
    """Return what the stamp knows of the tensors, after it has been compared with the source."""
    if stamp is None:
        return {}
    now = side("the file's stamp", stamp.target)
    if now.layout.axes != source.layout.axes:
        raise InvalidValueError(
            f"source must be {stamp.target!r}, as {reader.path} says of itself, got {source.name!r}; pass that."
        )
    return dict(by_stamp(stamp, entries, source, target, complete=complete))


def _check_map(reader: Reader, mapped: Mapped, stamp: Stamp | None) -> None:
    for name, move in mapped.moves.items():
        said = "" if stamp is None or name not in stamp.tensors else stamp.tensors[name].target
        if said and move.source is not None and side("the file's stamp", said).layout.axes != move.source.axes:
            raise InvalidValueError(
                f"mapping lays {name!r} out as {move.source.name!r}, and {reader.path} says of itself that it is {said!r}; leave it out "
                "of the map."
            )


def _layout(stamp: Stamp | None, name: str, own: Layout) -> Layout:
    """Return the layout that the file has for the weight of a layer: what its stamp says, or the layer's own."""
    origin = None if stamp is None else stamp.tensors.get(name)
    if origin is not None and origin.target:
        return side("the file's stamp", origin.target).layout
    if stamp is not None and stamp.source != stamp.target:  # still as in the original file
        return side("the file's stamp", stamp.source).layout
    return own


def _as_it_was(reader: Reader, stamp: Stamp) -> str:
    """Return why a weight that the stamp does not name is not result, or an empty text where its layout is the same."""
    before, now = (side("the file's stamp", name).layout for name in (stamp.source, stamp.target))
    if before.axes == now.axes:
        return ""
    return (
        f"{reader.path} says of itself that it is still as in the original file, laid out as {stamp.source}; pass layers or a map"
    )
