"""Match the modules of a model with the groups of tensors of a file: by path, else by kind, shape and order."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import attrs

from convpolicy.conversion.layer_weights import wrappers
from convpolicy.conversion.models.fitting import Fit, fit
from convpolicy.conversion.models.groups import RECURRENT, Group, family, path_of
from convpolicy.conversion.models.kinds import ModelModule
from convpolicy.errors import InvalidValueError

WIDE = ("attention", *RECURRENT)
# Words that say which of several modules of equal shapes one is. Modules whose words disagree are never matched by their order.
WORDS = ({"q", "query", "wq", "toq"}, {"k", "key", "wk", "tok"}, {"v", "value", "wv", "tov"}, {"o", "out", "wo", "output", "proj"})


@attrs.frozen(eq=False)
class Match:
    """Result of `matched`.

    Attributes:
        fits: one for each module that has a group.
        others: modules without one.
    """

    fits: tuple[Fit, ...]
    others: tuple[ModelModule, ...]


def matched(modules: Sequence[ModelModule], groups: Sequence[Group], *, ordered: bool) -> Match:
    """Match modules with groups.

    Args:
        modules: the modules of the target model.
        groups: the groups of the file.
        ordered: True if the file has its tensors in the order of the model.

    Raises:
        InvalidValueError: tensors of the file fit several modules, and neither path nor order tells which; the message names both.
    """
    paths, fitting = _paths(modules, groups), Fitting()
    fits: dict[int, Fit] = {}
    for wide in (True, False):  # those of several modules first: attention contains projections
        own = {at: module for at, module in enumerate(modules) if (module.kind in WIDE) == wide and module.kind}
        for step in (_by_path, _by_shape, _by_path_alone):
            used = {name for one in fits.values() for name in one.group.names}
            free = {at for at, group in enumerate(groups) if (group.kind in WIDE) == wide and not group.names & used}
            rest = {at: module for at, module in own.items() if at not in fits}
            fits |= step(_Work(rest, groups, free, paths, fitting, ordered))
    return Match(tuple(fits[at] for at in sorted(fits)), tuple(modules[at] for at in range(len(modules)) if at not in fits))


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
class _Paths:
    """The paths of modules and groups, without what only one of the two sides has at their start."""

    modules: tuple[tuple[str, ...], ...]
    groups: tuple[tuple[str, ...], ...]


@attrs.frozen(eq=False)
class _Work:
    """Modules and groups that are not matched yet."""

    modules: Mapping[int, ModelModule]
    groups: Sequence[Group]
    free: set[int]
    paths: _Paths
    fitting: Fitting
    ordered: bool


def _paths(modules: Sequence[ModelModule], groups: Sequence[Group]) -> _Paths:
    own = [path_of(module.path, recurrent=module.kind in RECURRENT)[0] for module in modules]
    files = [group.path for group in groups]
    starts = {path[:1] for path in own}
    stripped = [_stripped(path, starts) for path in files]
    common = {path[:1] for path in stripped}
    if len(common) == 1 and not common & starts and all(len(path) > 1 for path in stripped):
        stripped = [path[1:] for path in stripped]
    elif len(starts) == 1 and len(own) > 1 and not starts & common and all(len(path) > 1 for path in own):
        own = [path[1:] for path in own]
    return _Paths(tuple(own), tuple(stripped))


def _stripped(path: tuple[str, ...], starts: set[tuple[str, ...]]) -> tuple[str, ...]:
    """Return a path without names of wrappers at its start that no path of the model has there."""
    known = wrappers() | {"model", "module"}
    while path and path[0] in known and path[:1] not in starts:
        path = path[1:]
    return path


def _by_path(work: _Work) -> dict[int, Fit]:
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


def _by_path_alone(work: _Work) -> dict[int, Fit]:
    """Return the `Fit` of each module that has the path of a group, whose tensors have other shapes."""
    here = _groups_by_path(work)
    options = {
        at: [one for one in (fit(module, work.groups[number]) for number in here.get(work.paths.modules[at], ())) if one]
        for at, module in work.modules.items()
    }
    return {at: min(row, key=_faults) for at, row in options.items() if row}


def _groups_by_path(work: _Work) -> dict[tuple[str, ...], list[int]]:
    here: dict[tuple[str, ...], list[int]] = {}
    for at in sorted(work.free):
        here.setdefault(work.paths.groups[at], []).append(at)
    return here


def _faults(one: Fit) -> int:
    return len(one.shapes) + len(one.missing) + len(one.unused) + (not one.group.complete)


Family: TypeAlias = tuple[str, bool, tuple[str, ...]]


def _numbers(work: _Work) -> Mapping[Family, tuple[set[tuple[int, ...]], set[tuple[int, ...]]]]:
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


def _by_shape(work: _Work) -> dict[int, Fit]:
    """Return the `Fit` of each module that kind, shapes and order match with a group."""
    kinds: dict[str, list[Group]] = {}
    for number in sorted(work.free):
        group = work.groups[number]
        if group.complete:
            kinds.setdefault(group.kind, []).append(group)
    choices: dict[int, dict[str, Fit]] = {}
    for at, module in work.modules.items():
        options = [fit(module, group) for group in kinds.get(module.kind, ()) if work.fitting.fits(module, group)]
        choices[at] = {_title(one.group): one for one in reversed(options) if one is not None and one.exact}
    chosen_fits: dict[int, Fit] = {}
    for numbers, titles in _classes(choices):
        for some, some_titles in _by_last_name(numbers, titles, choices, work):
            chosen_fits |= _in_order(some, some_titles, choices, ordered=work.ordered)
    return chosen_fits


def _by_last_name(
    numbers: list[int], titles: list[str], choices: Mapping[int, Mapping[str, Fit]], work: _Work
) -> Iterable[tuple[list[int], list[str]]]:
    """Yield the parts of a class whose paths end in the same name, as many of the model as of the file, then the rest."""
    groups = {title: one.group for at in numbers for title, one in choices[at].items()}
    own: dict[str, list[int]] = {}
    others: dict[str, list[str]] = {}
    for at in numbers:
        own.setdefault(_last_name(work.paths.modules[at]), []).append(at)
    for title in titles:
        others.setdefault(_last_name(groups[title].path), []).append(title)
    agree = [name for name in own if len(own[name]) == len(others.get(name, ())) and name]
    agree = [name for name in agree if all(title in choices[at] for at in own[name] for title in others[name])]
    yield from ((own.pop(name), others.pop(name)) for name in agree)
    rest = [at for row in own.values() for at in row], [title for row in others.values() for title in row]
    if all(rest):
        yield rest


def _last_name(path: tuple[str, ...]) -> str:
    """Return the last part of a path that is not a number, without the number at its end."""
    return next((re.sub(r"_\d+$", "", part) for part in reversed(path) if not part.isdigit()), "")


def _in_order(
    numbers: list[int], titles: list[str], choices: Mapping[int, Mapping[str, Fit]], *, ordered: bool
) -> Mapping[int, Fit]:
    """Return the fits of modules and groups of equal kinds and shapes, in their order."""
    fits = [choices[at] for at in numbers]
    if len(numbers) == len(titles) == 1:
        return {numbers[0]: fits[0][titles[0]]}
    rows = sorted(titles, key=lambda title: next(row[title].group.position for row in fits if title in row))
    complete = [row[title] for row, title in zip(fits, rows) if title in row]
    if not len(numbers) == len(titles) == len(complete) or not _orderly(complete, ordered=ordered):
        raise _either(fits, rows)
    return dict(zip(numbers, complete))


def _title(group: Group) -> str:
    return f"{group.stem} {'.'.join(group.path)} {group.reverse}"


def _classes(choices: Mapping[int, Mapping[str, Fit]]) -> Iterable[tuple[list[int], list[str]]]:
    """Yield the modules and groups that have each other as choices."""
    left = {at for at, fits in choices.items() if fits}
    owners: dict[str, list[int]] = {}
    for at in left:
        for stem in choices[at]:
            owners.setdefault(stem, []).append(at)
    while left:
        numbers, stems, queue = set[int](), set[str](), [min(left)]
        while queue:
            at = queue.pop()
            if at in numbers:
                continue
            numbers.add(at)
            for stem in choices[at]:
                if stem not in stems:
                    stems.add(stem)
                    queue += owners[stem]
        left -= numbers
        yield sorted(numbers), sorted(stems)


def _orderly(fits: Sequence[Fit], *, ordered: bool) -> bool:
    """Return whether the order of modules and groups tells which belong together."""
    for one in fits:
        sides = [_word(path) for path in (one.module.path, one.group.stem)]
        if None not in sides and sides[0] != sides[1]:
            return False
    return ordered or len({family(re.sub(r"_\d+$", "", part) for part in one.group.path) for one in fits}) == 1


def _word(path: str) -> int | None:
    """Return which of `WORDS` the last part of a path contains."""
    parts = re.split(r"[./]", path)
    words = set(re.split(r"[_\d]+", parts[-1].lower())) | {re.sub(r"[_\d]", "", parts[-1].lower())}
    return next((number for number, row in enumerate(WORDS) if words & row), None)


def _either(fits: Sequence[Mapping[str, Fit]], stems: Sequence[str]) -> InvalidValueError:
    """Return the error for tensors that fit several modules."""
    title = next(stem for stem in stems if any(stem in row for row in fits))
    rows = [row for row in fits if title in row]
    one, choices = rows[0][title], list(rows[0].values())
    if len(rows) == 1:  # one module, several groups
        names = [_name(choice.group) for choice in choices[:2]]
        clash = f"{names[0]!r} and {names[1]!r} both fit {one.module.path!r} of the model"
    else:
        clash = f"{_name(one.group)!r} fits {one.module.path!r} and {rows[1][title].module.path!r} of the model"
    return InvalidValueError(f"{clash}; say which one it is with mapping={{{_pattern(one.group)!r}: {{'name': {_target(one)!r}}}}}.")


def _name(group: Group) -> str:
    return next(iter(group.tensors.values())).name


def _pattern(group: Group) -> str:
    """Return a pattern of the names of a group."""
    return f"{_name(group)[: len(group.stem) + bool(group.stem)]}*"


def _target(one: Fit) -> str:
    """Return the new name for such a pattern, which ends in the path of the module."""
    return f"{one.module.path}.*" if one.module.path else "*"
