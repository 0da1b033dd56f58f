"""`Fit`: a group of tensors of a file as the tensors of one module of the target model."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from convpolicy.conversion.models.axes import ANY, Axes
from convpolicy.conversion.models.groups import Group
from convpolicy.conversion.models.kinds import COUNT, ModelModule, Parameter
from convpolicy.conversion.tensors import Entry


@attrs.frozen
class Source:
    """A piece of a tensor of the file.

    Attributes:
        entry: the tensor.
        axes: its axes.
        lengths: lengths of its letters.
        number: number of the piece.
        count: number of pieces of the tensor.
    """

    entry: Entry
    axes: Axes
    lengths: Mapping[str, int]
    number: int = 0
    count: int = 1


@attrs.frozen(eq=False)
class Fit:
    """How a group gives the tensors of a module.

    Attributes:
        module: the module of the target.
        group: the group.
        tensors: tensor of the target -> for each of its pieces the pieces of the file whose sum it is; without any, zeros.
        missing: tensors of the target that the group does not have.
        shapes: tensors of the target whose shape disagrees, with the tensor of the file.
        zeros: pieces of the file that the target has no place for; their numbers must be zero.
        unused: names of tensors of the file that the target has no place for.
    """

    module: ModelModule
    group: Group
    tensors: Mapping[Parameter, tuple[tuple[Source, ...], ...]]
    missing: tuple[Parameter, ...] = ()
    shapes: Mapping[Parameter, Entry] = attrs.field(factory=dict)
    zeros: Mapping[str, Source] = attrs.field(factory=dict)
    unused: tuple[str, ...] = ()

    @property
    def exact(self) -> bool:
        """True if the group has every tensor of the module, in its shape, and no other."""
        return not self.missing and not self.shapes and not self.unused and self.group.complete


def fit(module: ModelModule, group: Group) -> Fit | None:
    """Return how a group fits a module, or None if the kinds or the main tensors disagree."""
    if module.kind != group.kind or module.reverse != group.reverse:
        return None
    pieces: dict[str, tuple[Entry, Axes, int, int]] = {}
    for stored, entry in group.tensors.items():
        for number, role in enumerate(stored.pieces):
            pieces[role] = (entry, stored.axes, number, len(stored.pieces))
    tensors: dict[Parameter, tuple[tuple[Source, ...], ...]] = {}
    missing, shapes, used = [], {}, set()
    for parameter in module.parameters:
        known = {"G": 1, "H": 1, **module.known}
        lengths = parameter.stored.axes.lengths(
            parameter.shape, known | _pieces(parameter.stored.axes, len(parameter.stored.pieces))
        )
        rows = [_sources(role, pieces) for role in parameter.stored.pieces]
        if None in rows:
            if parameter.stored.pieces != (COUNT,):
                missing.append(parameter)
            continue
        roles = [role for row in rows for role in row or ()]
        used.update(roles)
        sources = []
        for row in rows:
            found = tuple(_source(pieces[role], parameter, known | (lengths or {}), lengths) for role in row or ())
            if None in found:
                shapes[parameter] = pieces[next(role for role, one in zip(row or (), found) if one is None)][0]
            sources.append(found)
        if parameter not in shapes:
            tensors[parameter] = tuple(sources)  # type: ignore[arg-type]
    zeros, unused = _left_over(pieces, used)
    unused = tuple(name for name in unused if name not in {entry.name for entry in shapes.values()})
    return Fit(module, group, tensors, tuple(missing), shapes, zeros, unused)


def _pieces(axes: Axes, count: int) -> dict[str, int]:
    """Return the known length of the letter that numbers the pieces."""
    return {"T": 2, "S": count // 2} if "T" in axes.text else {"S": count}


def _sources(role: str, pieces: Mapping[str, object]) -> tuple[str, ...] | None:
    """Return the roles whose sum is a role; no role at all for zeros; None if the group does not have it."""
    if role in pieces:
        return (role,)
    kind, _dot, gate = role.partition(".")
    both, ih, hh = f"bias.{gate}", f"bias_ih.{gate}", f"bias_hh.{gate}"
    if kind == "bias" and gate:
        return tuple(name for name in (ih, hh) if name in pieces) or None
    if kind == "bias_ih" and both in pieces:
        return (both,)
    if kind == "bias_hh" and (both in pieces or ih in pieces):
        return ()
    return None


def _source(
    piece: tuple[Entry, Axes, int, int], parameter: Parameter, known: Mapping[str, int], lengths: Mapping[str, int] | None
) -> Source | None:
    """Return a piece of the file as a piece of a parameter, or None if the shapes disagree."""
    entry, axes, number, count = piece
    if ANY in (axes.text, parameter.stored.axes.text):
        return Source(entry, axes, {}) if _long(entry.shape) == _long(parameter.shape) else None
    outer = {letter: length for letter, length in known.items() if letter not in "ST"}
    own = axes.lengths(entry.shape, outer | _pieces(axes, count))
    if own is None or lengths is None or own.get("S", 1) * own.get("T", 1) != count:
        return None
    inner = [{letter: length for letter, length in row.items() if letter not in "ST"} for row in (own, lengths)]
    return Source(entry, axes, own, number, count) if inner[0] == inner[1] else None


def _long(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return a shape without axes of length 1: torch's LayerNorm((1, 8)) stores what another framework's LayerNorm(8) stores."""
    return tuple(length for length in shape if length != 1)


def _left_over(pieces: Mapping[str, tuple[Entry, Axes, int, int]], used: set[str]) -> tuple[dict[str, Source], tuple[str, ...]]:
    """Return the pieces that no parameter uses: of tensors of which others are used, and names of tensors that nothing uses."""
    names = {pieces[role][0].name for role in used}
    zeros, unused = {}, dict[str, None]()
    for role, (entry, axes, number, count) in pieces.items():
        if role in used or role == COUNT:
            continue
        if entry.name in names:
            lengths = axes.lengths(entry.shape, _pieces(axes, count))
            if lengths is not None:
                zeros[role] = Source(entry, axes, lengths, number, count)
        else:
            unused[entry.name] = None
    return zeros, tuple(unused)
