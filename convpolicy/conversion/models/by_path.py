"""Match modules of a model with groups of a file that have the same path."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TypeAlias

from convpolicy.conversion.models.fitting import Fit, fit
from convpolicy.conversion.models.groups import family
from convpolicy.conversion.models.kinds import ModelModule
from convpolicy.conversion.models.work import Work


def by_path(work: Work) -> dict[int, Fit]:
    """Return the `Fit` of each module that has the path of a group, which has its main tensors."""
    here = _groups_by_path(work)
    numbers = _numbers(work)
    fits: dict[int, Fit] = {}
    used: set[str] = set()
    for at, module in work.modules.items():
        path = work.paths.modules[at]
        if family(path) != path and not _agree(*numbers[module.kind, module.reverse, family(path)]):
            continue
        pairs = [work.groups[number] for number in here.get(path, ()) if work.fitting.fits(module, work.groups[number])]
        options = sorted((one for one in (fit(module, group) for group in pairs) if one is not None), key=_faults)
        if options and not options[0].group.names & used:
            used |= options[0].group.names
            fits[at] = options[0]
    return fits


def by_path_alone(work: Work) -> dict[int, Fit]:
    """Return the `Fit` of each module that has the path of a group, whose tensors have other shapes."""
    here = _groups_by_path(work)
    options = {
        at: [one for one in (fit(module, work.groups[number]) for number in here.get(work.paths.modules[at], ())) if one]
        for at, module in work.modules.items()
    }
    return {at: min(row, key=_faults) for at, row in options.items() if row}


def _groups_by_path(work: Work) -> dict[tuple[str, ...], list[int]]:
    here: dict[tuple[str, ...], list[int]] = {}
    for at in sorted(work.free):
        here.setdefault(work.paths.groups[at], []).append(at)
    return here


def _faults(one: Fit) -> int:
    return len(one.shapes) + len(one.missing) + len(one.unused) + (not one.group.complete)


Family: TypeAlias = tuple[str, bool, tuple[str, ...]]


def _numbers(work: Work) -> Mapping[Family, tuple[set[tuple[int, ...]], set[tuple[int, ...]]]]:
    """Return the numbers in the paths of each family of modules: of the model, and of groups of the file that fit one of them."""
    numbers: dict[Family, tuple[set[tuple[int, ...]], set[tuple[int, ...]]]] = {}
    members: dict[Family, list[ModelModule]] = {}
    for at, module in work.modules.items():
        path = work.paths.modules[at]
        key = (module.kind, module.reverse, family(path))
        numbers.setdefault(key, (set(), set()))[0].add(_digits(path))
        members.setdefault(key, []).append(module)
    for at in work.free:
        group, path = work.groups[at], work.paths.groups[at]
        key = (group.kind, group.reverse, family(path))
        if any(work.fitting.fits(module, group) for module in members.get(key, ())):
            numbers[key][1].add(_digits(path))
    return numbers


def _digits(path: Iterable[str]) -> tuple[int, ...]:
    return tuple(int(number) for part in path for number in re.findall(r"\d+", part))


def _agree(one: set[tuple[int, ...]], other: set[tuple[int, ...]]) -> bool:
    """Return whether two sides number their modules alike: the smaller one has the first numbers of the larger one."""
    few, many = sorted((sorted(one), sorted(other)), key=len)
    return few == many[: len(few)]
