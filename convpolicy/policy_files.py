"""Policies as TOML and JSON files: schema-versioned, unknown keys refused, never half-written."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import attrs
import cattrs
from cattrs.errors import ClassValidationError

from convpolicy import whole_files
from convpolicy.choices import as_axis, as_choice, as_part_words, with_mode
from convpolicy.errors import ConvPolicyError, InvalidTypeError, InvalidValueError, nearest
from convpolicy.papers import Paper, as_paper
from convpolicy.parts import Choice
from convpolicy.policy import CLAIMS, PART_FIELDS, Policy

SCHEMA = 1
PART_WORDS = ("mode_names", "init_names")  # the fields that pair words with parts
_KEYS = ("schema", *(field.name for field in attrs.fields(Policy) if field.name != "provider"))


def _structure_strictly(value: Any, kind: type) -> Any:
    if type(value) is not kind:
        raise InvalidTypeError(f"got {value!r} of type {type(value).__name__}, wanted {kind.__name__}")
    return value


def _structure_choice(value: Any, _: type) -> Choice:
    return Choice.of("value", value)


_converter = cattrs.Converter(forbid_extra_keys=True)
_converter.register_structure_hook(Choice, _structure_choice)
_converter.register_structure_hook(bool, _structure_strictly)
_converter.register_structure_hook(str, _structure_strictly)
_converter.register_unstructure_hook(Choice, Choice.to_data)
_converter.register_structure_hook(int | None, lambda value, _: as_axis(value))
_converter.register_structure_hook(Paper | None, lambda value, _: as_paper(value))
_converter.register_unstructure_hook(Paper, Paper.to_data)


def to_dict(policy: Policy) -> dict[str, Any]:
    """Return plain data: every field that is not empty, and the schema version."""
    data = _converter.unstructure(policy)
    names = data["padding_names"] = dict(policy.padding_names)
    if names.get(data["padding"] if isinstance(data["padding"], str) else "", policy.padding.name) != policy.padding.name:
        data["padding"] = {"name": policy.padding.name}  # the plain word would mean another rule
    for words in PART_WORDS:
        data[words] = {word: part.to_data() for word, part in getattr(policy, words)}
    del data["provider"]
    unsaid: dict[str, Any] = {
        "padding_names": {},
        **{words: {} for words in PART_WORDS},
        "weight_norm": None,
        "redraws": False,
        **CLAIMS,
    }
    return {"schema": SCHEMA, **{key: value for key, value in data.items() if key not in unsaid or value != unsaid[key]}}


def from_dict(data: Mapping[str, Any]) -> Policy:
    """Read a policy from plain data; see `Policy.from_dict`."""
    if not isinstance(data, Mapping):
        raise InvalidTypeError(f"a policy must be a mapping, got {type(data).__name__}; pass what to_dict() returned.")
    if data.get("schema") != SCHEMA or type(data["schema"]) is not int:
        raise InvalidValueError(f"policy key 'schema' must be {SCHEMA}, got {data.get('schema')!r}; write schema = {SCHEMA}.")
    for key in data:
        if key not in _KEYS:
            raise InvalidValueError(f"a policy has no key {key!r}; it has: {', '.join(_KEYS)}.{nearest(str(key), _KEYS)}")
    if "name" not in data:
        raise InvalidValueError("a policy must have the key 'name', got none; add name = \"my-policy\".")
    fields = {key: value for key, value in data.items() if key != "schema"}
    names = fields.get("padding_names", {})
    if not isinstance(names, Mapping):
        raise InvalidTypeError(f"policy key 'padding_names' must be a table, got {names!r}; write padding_names = {{...}}.")
    fields["padding_names"] = tuple(names.items())
    fields |= {words: as_part_words(words, fields.get(words, {})) for words in PART_WORDS}
    fields = with_mode(fields, dict(fields["mode_names"]))
    words_of = {"padding": names, "weight_init": dict(fields["init_names"])}
    fields |= {field: as_choice(field, fields[field], words_of.get(field)) for field in PART_FIELDS if field in fields}
    try:
        policy = _converter.structure(fields, Policy)
    except ClassValidationError as group:
        raise _first_fault(group) from group
    return policy.checked(PART_FIELDS)


def _first_fault(group: BaseException) -> ConvPolicyError:
    where = ""
    while isinstance(group, ClassValidationError) or hasattr(group, "exceptions"):
        inner = group.exceptions[0]
        notes = " ".join(getattr(inner, "__notes__", []))
        where = where or (notes.rpartition("attribute ")[2] if "attribute " in notes else "")
        group = inner
    kind = type(group) if isinstance(group, ConvPolicyError) else InvalidValueError
    return kind(f"policy key {where!r} is not valid: {group}; write another value.")


def _toml_dump(data: dict[str, Any]) -> str:
    import tomlkit

    return tomlkit.dumps(data)


def _toml_load(text: str) -> Any:
    import tomlkit

    return tomlkit.parse(text).unwrap()


def _json_dump(data: dict[str, Any]) -> str:
    return json.dumps(data, indent=2) + "\n"


def _json_load(text: str) -> Any:
    return json.loads(text, object_pairs_hook=_without_doubles)


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    data = dict(pairs)
    if len(data) < len(pairs):
        seen = [key for key, _value in pairs]
        raise ValueError(f"key {next(key for key in seen if seen.count(key) > 1)!r} stands twice")
    return data


FORMATS: dict[str, tuple[Callable[[dict[str, Any]], str], Callable[[str], Any]]] = {
    ".toml": (_toml_dump, _toml_load),
    ".json": (_json_dump, _json_load),
}


def _format(path: Path, what: str = "a policy file") -> tuple[Callable[[dict[str, Any]], str], Callable[[str], Any]]:
    if path.suffix not in FORMATS:
        raise InvalidValueError(f"{what} must end in {' or '.join(FORMATS)}, got {path.name!r}; rename it.")
    return FORMATS[path.suffix]


def read_data(path: Path, what: str) -> Any:
    """Read plain data from a TOML or JSON file.

    Args:
        path: ends in ``.toml`` or ``.json``.
        what: what the file is, for the message.

    Raises:
        InvalidValueError: another suffix, or broken syntax; holds the file and the line.
        OSError: the file cannot be read.
    """
    _format(path, what)
    return _parsed(path.read_bytes(), str(path))


def _parsed(text: str | bytes, source: str) -> Any:
    try:
        return _format(Path(source))[1](text.decode("utf-8") if isinstance(text, bytes) else text)
    except (ValueError, RecursionError) as error:  # tomlkit's and json's syntax errors, bad UTF-8, brackets without end
        said = str(error).rstrip(".")
        raise InvalidValueError(f"{source}: broken {Path(source).suffix[1:]} syntax: {said}; correct the file.") from error


def save(policy: Policy, path: str | os.PathLike[str]) -> None:
    """Write a policy file; see `Policy.save`."""
    target = Path(path)
    whole_files.write(target, _format(target)[0](to_dict(policy)).encode())


def load_policy(path: str | os.PathLike[str]) -> Policy:
    """Read a policy from a TOML or JSON file.

    Args:
        path: ends in ``.toml`` or ``.json``.

    Raises:
        InvalidValueError, InvalidTypeError, UnknownNameError: another suffix, broken syntax (holds the line), wrong
            schema, unknown key (holds the nearest), or a bad value; each names the file.
        OSError: the file cannot be read.
    """
    source = Path(path)
    _format(source)
    return read_policy(source.read_bytes(), str(path))


def read_policy(text: str | bytes, source: str) -> Policy:
    """Read a policy from the text of a file; see `load_policy`.

    Args:
        text: what the file holds, UTF-8.
        source: its name or path, for messages; ends in ``.toml`` or ``.json``.
    """
    data = _parsed(text, source)
    try:
        return from_dict(data)
    except ConvPolicyError as error:
        raise type(error)(f"{source}: {error}") from error
