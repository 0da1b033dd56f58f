"""A map in a file or a table: patterns of tensor names, and what each is a weight of."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from convpolicy.arithmetic import integer
from convpolicy.conversion.selection import Move, Side, parts_of, side
from convpolicy.errors import InvalidTypeError, InvalidValueError
from convpolicy.files.data import read_data

SCHEMA = 1
KEYS = ("layout", "target", "groups", "name")


def by_map(mapping: Any, entries: Iterable[str], source: Side, target: Side) -> Iterator[tuple[str, Move]]:
    """Yield what the first matching pattern of a map says of each tensor.

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
    rules = [(pattern, _pattern(pattern), _rule(pattern, value)) for pattern, value in mapping.items()]
    used = set()
    for name in entries:
        for pattern, expression, rule in rules:
            match = expression.fullmatch(name)
            if match is None:
                continue
            used.add(pattern)
            stem, part = parts_of(name, source.weight) or ("", "weight")
            renamed = _filled(pattern, rule["name"], match) if "name" in rule else None
            layouts = [rule.get(key) for key in ("layout", "target")]
            if layouts[0] is None:
                yield name, Move(None, None, "", f"map {pattern}", name=renamed)
            else:
                own = side(f"mapping {pattern!r}", layouts[0]).layout
                then = target.layout if layouts[1] is None else side(f"mapping {pattern!r}", layouts[1]).layout
                kept = name if not stem and part == "weight" and name != source.weight else None
                yield name, Move(own, then, stem, f"map {pattern}", rule.get("groups"), part, renamed or kept)
            break
    for pattern, _expression, _rule_of in rules:
        if pattern not in used:
            raise InvalidValueError(f"mapping has {pattern!r}, which fits no tensor that is left; correct or drop it.")


def _rule(pattern: str, value: Any) -> dict[str, Any]:
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
    return dict(rule)


def _pattern(pattern: str) -> re.Pattern[str]:
    signs = {"*": "(.*)", "?": "(.)"}
    return re.compile("".join(signs.get(sign, re.escape(sign)) for sign in pattern), re.DOTALL)


def _filled(pattern: str, name: str, match: re.Match[str]) -> str:
    """Return the new name, each ``*`` and ``?`` in it replaced by what the same one in the pattern stood for."""
    wildcards = re.findall(r"[*?]", name)
    if len(wildcards) > len(match.groups()):
        raise InvalidValueError(f"mapping {pattern!r}: name {name!r} has more * and ? than the pattern; take some out.")
    found = iter(match.groups())
    return re.sub(r"[*?]", lambda _sign: next(found), name)
