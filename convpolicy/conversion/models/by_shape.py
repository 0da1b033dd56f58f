"""Match modules of a model with groups of a file by kind, shape and order; refuse what could go two ways."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeAlias

from convpolicy.conversion.models.fitting import Fit, fit
from convpolicy.conversion.models.groups import Group, family, natural, split
from convpolicy.conversion.models.work import Work
from convpolicy.errors import InvalidValueError

Key: TypeAlias = Callable[[tuple[str, ...]], object]
# Words that say which of several modules of equal shapes one is. Modules whose words disagree are never matched by their order.
WORDS = (
    {"q", "query", "wq", "toq"},
    {"k", "key", "wk", "tok"},
    {"v", "value", "wv", "tov"},
    {"o", "out", "wo", "output", "proj"},
)


def by_shape(work: Work) -> dict[int, Fit]:
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
        for some, some_titles in _by_name(numbers, titles, choices, work):
            chosen_fits |= _in_order(some, some_titles, choices, ordered=work.ordered)
    return chosen_fits


def _by_name(
    numbers: list[int], titles: list[str], choices: Mapping[int, Mapping[str, Fit]], work: Work
) -> Iterable[tuple[list[int], list[str]]]:
    """Yield the parts of a class that have the same names, as many of the model as of the file, then the rest.

    The names are those of the whole path without the numbers of lists, then the last ones.
    """
    groups = {title: one.group for at in numbers for title, one in choices[at].items()}
    words = {part for path in work.paths.modules for part in path if not part.isdigit()}
    keys: tuple[tuple[Key, Key], ...] = ((_names, lambda path: _names_among(path, words)), (_last_name, _last_name))
    for own_key, other_key in keys:
        own: dict[object, list[int]] = {}
        others: dict[object, list[str]] = {}
        for at in numbers:
            own.setdefault(own_key(work.paths.modules[at]), []).append(at)
        for title in titles:
            others.setdefault(other_key(groups[title].path), []).append(title)
        agree = [name for name in own if len(own[name]) == len(others.get(name, ())) and name]
        agree = [name for name in agree if all(title in choices[at] for at in own[name] for title in others[name])]
        yield from ((own.pop(name), others.pop(name)) for name in agree)
        numbers, titles = [at for row in own.values() for at in row], [title for row in others.values() for title in row]
    if numbers and titles:
        yield numbers, titles


def _names(path: tuple[str, ...]) -> tuple[str, ...]:
    """Return a path of the model with an empty part for each number of a list; nothing if it has numbers only."""
    names = tuple("" if part.isdigit() else part for part in path)
    return names if any(names) else ()


def _names_among(path: tuple[str, ...], words: set[str]) -> tuple[str, ...]:
    """Return a path of the file with an empty part for each name that the model does not have; Keras names what is in a list."""
    return tuple(part if part in words else "" for part in path)


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
    paths = [next(iter(row.values())).module.path for row in fits]
    rows = sorted(titles, key=lambda title: next(row[title].group.position for row in fits if title in row))
    stems = [next(row[title].group for row in fits if title in row).stem for title in rows]
    if _numbered(paths) and _numbered(stems):  # a Keras model has its layers in the order in which it computes
        fits = [row for _path, row in sorted(zip(paths, fits), key=lambda pair: natural(pair[0]))]
        numbers = [at for _path, at in sorted(zip(paths, numbers), key=lambda pair: natural(pair[0]))]
        paths.sort(key=natural)
    complete = [row[title] for row, title in zip(fits, rows) if title in row]
    contradicts = any(_numbered(names) and names != sorted(names, key=natural) for names in (paths, stems))
    if contradicts or not len(numbers) == len(titles) == len(complete) or not _orderly(complete, ordered=ordered):
        raise _either(fits, rows)
    return dict(zip(numbers, complete))


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


def _title(group: Group) -> str:
    return f"{group.stem} {'.'.join(group.path)} {group.reverse}"


def _numbered(names: Sequence[str]) -> bool:
    """Return whether names differ in numbers only."""
    return len({family(re.sub(r"_\d+$", "", part) for part in split(name)) for name in names}) == 1


def _orderly(fits: Sequence[Fit], *, ordered: bool) -> bool:
    """Return whether the order of modules and groups tells which belong together."""
    for one in fits:
        sides = [_word(path) for path in (one.module.path, one.group.stem)]
        if None not in sides and sides[0] != sides[1]:
            return False
    return ordered or _numbered([one.group.stem for one in fits])


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
    return InvalidValueError(
        f"{clash}; say which one it is with mapping={{{_pattern(one.group)!r}: {{'name': {_target(one)!r}}}}}."
    )


def _name(group: Group) -> str:
    return next(iter(group.tensors.values())).name


def _pattern(group: Group) -> str:
    """Return a pattern of the names of a group."""
    return f"{_name(group)[: len(group.stem) + bool(group.stem)]}*"


def _target(one: Fit) -> str:
    """Return the new name for such a pattern, which ends in the path of the module."""
    return f"{one.module.path}.*" if one.module.path else "*"
