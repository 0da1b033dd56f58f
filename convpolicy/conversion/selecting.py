"""Select the tensors to convert: from the stamp of the file, a map, layers or a guess."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from convpolicy.conversion.guessing import by_guess
from convpolicy.conversion.layer_weights import by_layers
from convpolicy.conversion.maps import Mapped, by_map
from convpolicy.conversion.selection import Move, Selection, Side, alike, by_stamp, parts_of, side
from convpolicy.conversion.stamps import Stamp
from convpolicy.conversion.tensors import Entry, Reader
from convpolicy.errors import InvalidValueError
from convpolicy.parts.layout import Layout


def select(
    reader: Reader, source: Side, target: Side, stamp: Stamp | None, *, layers: Any, mapping: Any, transposed: Any, guess: bool
) -> Selection:
    """Return the tensors of a file that are weights of a Conv1d or ConvTranspose1d, and how each one moves.

    Args:
        reader: reader of the file.
        source, target: the two sides of the conversion.
        stamp: stamp of the file, or None.
        layers, mapping, transposed, guess: arguments of `convert`.

    Raises:
        InvalidValueError: the stamp contradicts ``source``, or nothing says which tensors are weights.
        InvalidValueError, InvalidTypeError, UnknownNameError: see `by_layers` and `by_map`.
    """
    entries = {entry.name: entry for entry in reader.entries}
    mapped = by_map(mapping, transposed, entries, source, target)
    explicit = guess or layers is not None or mapping is not None or bool(mapped.moves)
    known = _by_stamp(reader, stamp, entries, source, target, complete=not explicit)
    _check_map(reader, mapped, stamp)
    moves, left, doubtful = dict(known), dict[str, str](), list[str]()
    for name, new in mapped.names.items():
        if name in moves:
            stem, _part = parts_of(new, source.weight) or ("", "")
            moves[name] = attrs.evolve(moves[name], stem=stem, name=None if stem else new)
    # every tensor under its new name
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
        unmoved = "" if stamp is None else _reason_unmoved(reader, stamp)
        for name, move in result.moves.items():
            if stamp is not None and unmoved and old[name] not in stamp.tensors:
                left[old[name]] = unmoved
            elif old[name] not in known:
                moves[old[name]] = move
                doubtful += [old[name]] * (name in result.doubtful)
        left |= {old[name]: reason for name, reason in result.left.items() if old[name] not in known}
    moves |= mapped.moves
    if not explicit and stamp is None and not alike(source.layout, target.layout):
        raise InvalidValueError(
            "convert does not know which tensors are Conv1d weights; pass layers (a captured model), mapping (a map of names; on the "
            "command line --map), or guess=True (by names and shapes; --guess)."
        )
    if explicit and not moves and not (mapped.names and alike(source.layout, target.layout)):
        why = next((f"; {name!r} is copied unchanged: {reason}" for name, reason in left.items()), "")
        raise InvalidValueError(
            f"{reader.path} has no Conv1d weight in the layout of {source.name} (axes {source.layout.axes}, name "
            f"{source.weight!r}){why or '; correct the source, or name the weights in a map'}."
        )
    return Selection(moves, mapped.names, left, tuple(doubtful))


def _by_stamp(
    reader: Reader, stamp: Stamp | None, entries: Mapping[str, Entry], source: Side, target: Side, *, complete: bool
) -> dict[str, Move]:
    """Return the weights that the stamp lists, after checking that it agrees with the source."""
    if stamp is None:
        return {}
    stamped_side = side("the file's stamp", stamp.target)
    if not alike(stamped_side.layout, source.layout):
        raise InvalidValueError(
            f"source must be {stamp.target!r}, as the metadata of {reader.path} records, got {source.name!r}; pass source={stamp.target!r}."
        )
    return dict(by_stamp(stamp, entries, source, target, complete=complete))


def _check_map(reader: Reader, mapped: Mapped, stamp: Stamp | None) -> None:
    for name, move in mapped.moves.items():
        layout = "" if stamp is None or name not in stamp.tensors else stamp.tensors[name].target
        if layout and move.source is not None and not alike(side("the file's stamp", layout).layout, move.source):
            raise InvalidValueError(
                f"mapping has the layout {move.source.name!r} for {name!r}, and the metadata of {reader.path} records {layout!r}; remove "
                "it from the map."
            )


def _layout(stamp: Stamp | None, name: str, own: Layout) -> Layout:
    """Return the layout that a layer's weight has in the file: the one in its stamp, or the layer's own."""
    origin = None if stamp is None else stamp.tensors.get(name)
    if origin is not None and origin.target:
        return side("the file's stamp", origin.target).layout
    if stamp is not None and stamp.source != stamp.target:  # a tensor that the earlier conversion copied unchanged
        return side("the file's stamp", stamp.source).layout_of(own.transposed)
    return own


def _reason_unmoved(reader: Reader, stamp: Stamp) -> str:
    """Return the reason not to guess about a weight that the stamp does not list; empty when both its layouts agree."""
    original, converted = (side("the file's stamp", name).layout for name in (stamp.source, stamp.target))
    if alike(original, converted):
        return ""
    return f"according to the metadata of {reader.path} it is still in its original layout, that of {stamp.source}; pass layers or a map"
