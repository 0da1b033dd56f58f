"""A map in a file or a table: patterns of tensor names, and what each is a weight of."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs

from convpolicy.arithmetic import integer
from convpolicy.conversion.selection import Move, Side, parts_of, side
from convpolicy.errors import InvalidTypeError, InvalidValueError
from convpolicy.files.data import read_data

SCHEMA = 1
KEYS = ("layout", "target", "groups", "name")


@attrs.frozen
class Mapped:
    """What a map says of the tensors of a file.

    Attributes:
        moves: name of a tensor -> its `Move`, where the map has its layout.
        names: name of a tensor -> its new name, where the map has a name alone.
    """

    moves: Mapping[str, Move]
    names: Mapping[str, str]


def by_map(mapping: Any, entries: Iterable[str], source: Side, target: Side) -> Mapped:
    """Return what the first matching pattern of a map says of each tensor.

    Args:
        mapping: a TOML or JSON file with a table ``tensors``, or that table: pattern -> name of a layout or policy, or a table
            with ``layout``, ``target``, ``groups`` and ``name``. ``*`` stands for any characters, ``?`` for one.
        entries: names in the file.
        source, target: of the conversion.

    Raises:
        InvalidValueError, InvalidTypeError, UnknownNameError: a bad map, or a pattern that fits nothing; names it.
    """
    if isinstance(mapping, (str, os.PathLike)):
        data = read_data(Path(mapping), "a map")
        if not isinstance(data, Mapping) or data.get("schema") != SCHEMA or set(data) != {"schema", "tensors"}:
            raise InvalidValueError(f"{mapping} must hold schema = {SCHEMA} and a table 'tensors', nothing else; write it so.")
        mapping = data["tensors"]
    if not isinstance(mapping, Mapping):
        raise InvalidTypeError(f"mapping must be a file or a table of patterns, got {type(mapping).__name__}; pass one.")
    checked = {text: _rule(text, value, target) for text, value in mapping.items()}
    rules = [(text, Pattern(text), rule) for text, rule in checked.items()]
    moves: dict[str, Move] = {}
    names: dict[str, str] = {}
    used = set()
    for name in entries:
        for text, pattern, rule in rules:
            wildcards = pattern.match(name)
            if wildcards is None:
                continue
            used.add(text)
            renamed = pattern.filled(rule["name"], wildcards) if "name" in rule else None
            if "layout" not in rule:
                names[name] = str(renamed)
                break
            stem, part = parts_of(name, source.weight) or ("", "weight")
            kept = name if not stem and part == "weight" and name != source.weight else None
            moves[name] = Move(rule["layout"], rule["target"], stem, f"map {text}", rule.get("groups"), part, renamed or kept)
            break
    for text, _pattern, _rule_of in rules:
        if text not in used:
            raise InvalidValueError(f"mapping has {text!r}, which fits no tensor that is left; correct or drop it.")
    return Mapped(moves, names)


def _rule(pattern: Any, value: Any, target: Side) -> dict[str, Any]:
    """Return the rule of a pattern, its layouts looked up."""
    if not isinstance(pattern, str):
        raise InvalidTypeError(f"mapping must have patterns of names as its keys, got {pattern!r}; write texts.")
    rule = {"layout": value} if isinstance(value, str) else value
    if not isinstance(rule, Mapping) or not rule or set(rule) - set(KEYS):
        raise InvalidValueError(
            f"mapping {pattern!r} must be the name of a layout, or a table of {', '.join(KEYS)}, got {value!r}; write it so."
        )
    for key in ("layout", "target", "name"):
        if key in rule and not isinstance(rule[key], str):
            raise InvalidTypeError(f"mapping {pattern!r}: {key} must be a name, got {rule[key]!r}; write one.")
    if "layout" not in rule and ("name" not in rule or len(rule) > 1):
        raise InvalidValueError(f"mapping {pattern!r} has no layout, so it can only have a name, got {value!r}; add the layout.")
    if "groups" in rule:
        integer(f"mapping {pattern!r}: groups", rule["groups"], 1)
    if "layout" not in rule:
        return dict(rule)
    then = side(f"mapping {pattern!r}", rule["target"]).layout if "target" in rule else target.layout
    return {**rule, "layout": side(f"mapping {pattern!r}", rule["layout"]).layout, "target": then}


class Pattern:
    """A pattern of names: ``*`` stands for any characters, as many as can be, and ``?`` for one.

    It is matched from its end to its start, each fixed part as far to the right as it fits, so that the time is that of a few
    searches in the name whatever the number of stars.

    Args:
        text: the pattern.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._fixed = text.split("*")

    def match(self, name: str) -> list[str] | None:
        """Return what each ``*`` and ``?`` stands for in a name, in their order, or None where the pattern does not fit it."""
        first, *others = self._fixed
        if not _is_at(first, name, 0) or (not others and len(name) != len(first)):
            return None
        starts, end = [], len(name)
        for number, fixed in enumerate(reversed(others)):
            start = end - len(fixed) if number == 0 and _is_at(fixed, name, end - len(fixed)) else -1
            if number:
                start = _last(fixed, name, end)
            if start < len(first):
                return None
            starts.append(start)
            end = start
        return list(self._wildcards(name, [0, *reversed(starts)]))

    def _wildcards(self, name: str, starts: list[int]) -> Iterator[str]:
        for number, (fixed, start) in enumerate(zip(self._fixed, starts)):
            yield from (name[start + at] for at, sign in enumerate(fixed) if sign == "?")
            if number + 1 < len(starts):
                yield name[start + len(fixed) : starts[number + 1]]

    def filled(self, name: str, wildcards: list[str]) -> str:
        """Return a new name, each ``*`` and ``?`` in it replaced by what the same one in the pattern stands for.

        Raises:
            InvalidValueError: more of them than in the pattern; holds both.
        """
        if len(re.findall(r"[*?]", name)) > len(wildcards):
            raise InvalidValueError(f"mapping {self._text!r}: name {name!r} has more * and ? than the pattern; take some out.")
        values = iter(wildcards)
        return re.sub(r"[*?]", lambda _sign: next(values), name)


def _is_at(fixed: str, name: str, start: int) -> bool:
    """Whether a part of a pattern fits a name at a place; ``?`` fits every character."""
    part = name[start : start + len(fixed)] if start >= 0 else ""
    return len(part) == len(fixed) and all(sign in ("?", other) for sign, other in zip(fixed, part))


def _last(fixed: str, name: str, end: int) -> int:
    """Return the last place before ``end`` where a part of a pattern fits a name, or -1."""
    if "?" not in fixed:
        return name.rfind(fixed, 0, end)
    return next((start for start in range(end - len(fixed), -1, -1) if _is_at(fixed, name, start)), -1)
