"""Read a map: patterns of tensor names, and the layout of the tensors that each pattern matches."""

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
KEYS = ("layout", "target", "groups", "name", "transposed")


@attrs.frozen
class Mapped:
    """The tensors of a file that a map matches.

    Attributes:
        moves: name of each tensor for which the map has a layout, with its `Move`.
        names: name of each tensor for which the map has only a new name, with that name.
    """

    moves: Mapping[str, Move]
    names: Mapping[str, str]


def by_map(mapping: Any, transposed: Any, entries: Iterable[str], source: Side, target: Side) -> Mapped:
    """Apply the first matching pattern of a map to each tensor.

    Args:
        mapping: path of a TOML or JSON file with a table ``tensors``, or that table. Its keys are patterns, in which ``*`` matches
            any characters and ``?`` matches one. A value is the name of a layout or policy, or a table with ``layout``, ``target``,
            ``groups``, ``name`` and ``transposed``. None is an empty map.
        transposed: patterns that come before the map. The weights that they match are those of transposed convolutions.
        entries: names of the tensors in the file.
        source, target: the two sides of the conversion.

    Raises:
        InvalidValueError, InvalidTypeError, UnknownNameError: the map is invalid, or a pattern matches no tensor; the message
            contains the pattern.
    """
    rules = [
        _Rule("transposed", text, _rule("transposed", text, {"transposed": True}, source, target))
        for text in _patterns(transposed)
    ]
    rules += [_Rule("mapping", text, _rule("mapping", text, value, source, target)) for text, value in _table(mapping).items()]
    moves: dict[str, Move] = {}
    names: dict[str, str] = {}
    used = set()
    for name in entries:
        for rule in rules:
            wildcards = rule.pattern.match(name)
            parts = parts_of(name, source.weight)
            if wildcards is None or (rule.argument == "transposed" and parts is None):
                continue
            used.add(rule)
            fields = rule.fields
            renamed = rule.pattern.filled(fields["name"], wildcards) if "name" in fields else None
            if "layout" not in fields:
                names[name] = str(renamed)
                break
            stem, part = parts or ("", "weight")
            old_name = name if not stem and part == "weight" and name != source.weight else None
            why = f"{'map' if rule.argument == 'mapping' else rule.argument} {rule.text}"
            moves[name] = Move(fields["layout"], fields["target"], stem, why, fields.get("groups"), part, renamed or old_name)
            break
    for rule in rules:
        if rule not in used:
            raise InvalidValueError(
                f"{rule.argument} has {rule.text!r}, which matches no remaining tensor; correct or remove it."
            )
    return Mapped(moves, names)


@attrs.frozen(eq=False)
class _Rule:
    """A pattern and its checked fields; ``argument`` is the argument of `convert` that has the pattern."""

    argument: str
    text: str
    fields: Mapping[str, Any]
    pattern: Pattern = attrs.field(init=False, default=attrs.Factory(lambda self: Pattern(self.text), takes_self=True))


def _table(mapping: Any) -> Mapping[Any, Any]:
    """Return the table of patterns in the argument ``mapping``."""
    if mapping is None:
        return {}
    if isinstance(mapping, (str, os.PathLike)):
        data = read_data(Path(mapping), "a map")
        if not isinstance(data, Mapping) or data.get("schema") != SCHEMA or set(data) != {"schema", "tensors"}:
            raise InvalidValueError(f"{mapping} must contain schema = {SCHEMA} and a table 'tensors' only; correct it.")
        mapping = data["tensors"]
    if not isinstance(mapping, Mapping):
        raise InvalidTypeError(f"mapping must be a file or a table of patterns, got {type(mapping).__name__}; pass one.")
    return mapping


def _patterns(transposed: Any) -> tuple[Any, ...]:
    """Return the patterns in the argument ``transposed``."""
    if isinstance(transposed, str):
        return (transposed,)
    patterns = tuple(transposed) if isinstance(transposed, Iterable) else (transposed,)
    if not all(isinstance(pattern, str) for pattern in patterns):
        raise InvalidTypeError(f"transposed must be patterns of names, got {transposed!r}; pass a list of strings.")
    return patterns


def _rule(argument: str, pattern: Any, value: Any, source: Side, target: Side) -> dict[str, Any]:
    """Return the checked rule of a pattern, with `Layout` objects instead of names."""
    if not isinstance(pattern, str):
        raise InvalidTypeError(f"{argument} must have patterns of names as its keys, got {pattern!r}; write strings.")
    rule = {"layout": value} if isinstance(value, str) else value
    if not isinstance(rule, Mapping) or not rule or set(rule) - set(KEYS):
        raise InvalidValueError(
            f"mapping {pattern!r} must be the name of a layout, or a table of {', '.join(KEYS)}, got {value!r}; write one of these."
        )
    for key in ("layout", "target", "name"):
        if key in rule and not isinstance(rule[key], str):
            raise InvalidTypeError(f"mapping {pattern!r}: {key} must be a name, got {rule[key]!r}; write one.")
    if "transposed" in rule:
        if not isinstance(rule["transposed"], bool):
            raise InvalidTypeError(
                f"mapping {pattern!r}: transposed must be true or false, got {rule['transposed']!r}; write one."
            )
        rule = {"layout": source.name, **rule}
    if "layout" not in rule and ("name" not in rule or len(rule) > 1):
        raise InvalidValueError(f"mapping {pattern!r} has no layout, so it can only have a name, got {value!r}; add the layout.")
    if "groups" in rule:
        integer(f"mapping {pattern!r}: groups", rule["groups"], 1)
    if "layout" not in rule:
        return dict(rule)
    where = f"{argument} {pattern!r}"
    before = source if rule["layout"] == source.name else side(where, rule["layout"])
    after = side(where, rule["target"]) if "target" in rule else target
    try:
        transposed = bool(rule.get("transposed", before.layout.transposed))
        return {**rule, "layout": before.layout_of(transposed), "target": after.layout_of(transposed)}
    except InvalidValueError as error:
        raise InvalidValueError(f"{where}: {error}") from error


class Pattern:
    """A pattern of names, in which ``*`` matches as many characters as possible and ``?`` matches one.

    Matching runs from the end of the pattern to its start and puts each fixed part as far to the right as it fits. The time does not
    grow with the number of stars.

    Args:
        text: the pattern.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._fixed = text.split("*")

    def match(self, name: str) -> list[str] | None:
        """Return the characters that each ``*`` and ``?`` matches in a name, in order, or None when the pattern does not match."""
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
        """Return a new name with each ``*`` and ``?`` replaced by the characters that the pattern matched.

        Args:
            name: the new name; it has at most as many ``*`` and ``?`` as the pattern.
            wildcards: result of `match`.

        Raises:
            InvalidValueError: the name has more ``*`` and ``?`` than the pattern; the message contains both.
        """
        if len(re.findall(r"[*?]", name)) > len(wildcards):
            raise InvalidValueError(f"mapping {self._text!r}: name {name!r} has more * and ? than the pattern; remove some.")
        values = iter(wildcards)
        return re.sub(r"[*?]", lambda _sign: next(values), name)


def _is_at(fixed: str, name: str, start: int) -> bool:
    """Return whether a part of a pattern matches a name at an index; ``?`` matches every character."""
    part = name[start : start + len(fixed)] if start >= 0 else ""
    return len(part) == len(fixed) and all(sign in ("?", other) for sign, other in zip(fixed, part))


def _last(fixed: str, name: str, end: int) -> int:
    """Return the last index at which a part of a pattern matches a name and ends at ``end`` or before, or -1."""
    if "?" not in fixed:
        return name.rfind(fixed, 0, end)
    return next((start for start in range(end - len(fixed), -1, -1) if _is_at(fixed, name, start)), -1)
