"""What matching works with: modules and groups that are not matched yet, and their paths."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from convpolicy.conversion.layer_weights import wrappers
from convpolicy.conversion.models.fitting import fit
from convpolicy.conversion.models.groups import RECURRENT, Group, path_of
from convpolicy.conversion.models.kinds import ModelModule


class Fitting:
    """Remembers whether groups of certain shapes fit modules of certain shapes."""

    def __init__(self) -> None:
        self._known: dict[Any, bool] = {}

    def fits(self, module: ModelModule, group: Group) -> bool:
        """Return whether the group has all main tensors of the module in their shapes."""
        key = (
            module.kind,
            module.reverse,
            tuple((one.stored, one.shape) for one in module.parameters),
            tuple(sorted(module.known.items())),
            (group.kind, group.reverse),
            tuple((stored, entry.shape) for stored, entry in group.tensors.items()),
        )
        if key not in self._known:
            one = fit(module, group)
            self._known[key] = one is not None and not one.shapes and bool(one.tensors)
        return self._known[key]


@attrs.frozen(eq=False)
class Paths:
    """The paths of modules and groups, without what only one of the two sides has at their start."""

    modules: tuple[tuple[str, ...], ...]
    groups: tuple[tuple[str, ...], ...]


@attrs.frozen(eq=False)
class Work:
    """Modules and groups that are not matched yet."""

    modules: Mapping[int, ModelModule]
    groups: Sequence[Group]
    free: set[int]
    paths: Paths
    fitting: Fitting
    ordered: bool


def paths_of(modules: Sequence[ModelModule], groups: Sequence[Group]) -> Paths:
    """Return the paths of modules and groups."""
    own = [path_of(module.path, recurrent=module.kind in RECURRENT)[0] for module in modules]
    files = [group.path for group in groups]
    starts = {path[:1] for path in own}
    stripped = [_stripped(path, starts) for path in files]
    common = {path[:1] for path in stripped}
    if len(common) == 1 and not common & starts and all(len(path) > 1 for path in stripped):
        stripped = [path[1:] for path in stripped]
    elif len(starts) == 1 and len(own) > 1 and not starts & common and all(len(path) > 1 for path in own):
        own = [path[1:] for path in own]
    return Paths(tuple(own), tuple(stripped))


def _stripped(path: tuple[str, ...], starts: set[tuple[str, ...]]) -> tuple[str, ...]:
    """Return a path without names of wrappers at its start that no path of the model has there."""
    known = wrappers() | {"model", "module"}
    while path and path[0] in known and path[:1] not in starts:
        path = path[1:]
    return path
