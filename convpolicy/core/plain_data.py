"""A policy as plain data and back: schema-versioned, unknown keys refused."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import attrs

from convpolicy import registry
from convpolicy.core.paper import Paper
from convpolicy.errors import InvalidTypeError, InvalidValueError, nearest, shown, with_hint
from convpolicy.parts.arguments import as_choice, as_part_words, with_mode
from convpolicy.parts.choice import Choice

SCHEMA = 1
WORDS = ("padding_names", "mode_names", "init_names")  # the fields of a framework's own words
PART_WORDS = ("mode_names", "init_names")  # the fields that pair words with parts
# field -> the kind of part it names
PART_FIELDS = {
    "padding": "padding rule",
    "padding_mode": "padding mode",
    "weight_init": "initializer",
    "bias_init": "initializer",
    "layout": "layout",
    "data_layout": "layout",
    "random_stream": "random stream",
}
# what a policy says of the framework it is named after, and the value that says nothing
CLAIMS = MappingProxyType(
    {"framework": "", "versions": "", "measured": "", "source": "", "description": "", "strided_dilation": True, "paper": None}
)
UNSAID: Mapping[str, Any] = MappingProxyType(  # values that a file leaves out
    {"padding_names": {}, **{words: {} for words in PART_WORDS}, "weight_norm": None, **CLAIMS}
)
KINDS = {"name": str, "bias": bool, "strided_dilation": bool, **{field: str for field in CLAIMS if CLAIMS[field] == ""}}


def require_own_name(policy: Any) -> None:
    """Refuse a policy that has the name of a built-in one, a framework's or a paper's, and claims nothing of it.

    Raises:
        InvalidValueError: holds the name.
    """
    built_in = registry.current().builtin("policy", policy.name)
    if built_in is not None and all(getattr(policy, field) == nothing for field, nothing in CLAIMS.items()):
        raise InvalidValueError(
            f"name must be new, got {policy.name!r}, which is the name of a built-in policy that this is not; "
            f"call convpolicy.policy({policy.name!r}) for that one, or pick another name."
        )


def field_names(policy_class: type) -> tuple[str, ...]:
    """Return the fields of a policy that callers and files may set."""
    return tuple(field.name for field in attrs.fields(policy_class) if field.name != "provider")


def to_data(policy: Any) -> dict[str, Any]:
    """Return plain data: every field that is not empty, and the schema version; see `Policy.to_dict`."""
    data = {field: _plain(getattr(policy, field)) for field in field_names(type(policy))}
    names = data["padding_names"] = dict(policy.padding_names)
    if names.get(data["padding"] if isinstance(data["padding"], str) else "", policy.padding.name) != policy.padding.name:
        data["padding"] = {"name": policy.padding.name}  # the plain word would mean another rule
    for words in PART_WORDS:
        data[words] = {word: part.to_data() for word, part in getattr(policy, words)}
    return {"schema": SCHEMA, **{key: value for key, value in data.items() if key not in UNSAID or value != UNSAID[key]}}


def to_html(policy: Any) -> str:
    """Return a table of the fields that say something, for notebooks."""
    from convpolicy.pictures.table import table  # here: only to show it

    fields = {field: getattr(policy, field) for field in field_names(type(policy)) if field not in ("name", "paper", *WORDS)}
    rows = [(field, value) for field, value in fields.items() if value not in ("", None)]
    return table((), rows, f"policy {policy.name}")


def _plain(value: Any) -> Any:
    return value.to_data() if isinstance(value, (Choice, Paper)) else value


def from_data(policy_class: Any, data: Any) -> Any:
    """Build a policy from plain data; its parts are not looked up yet. See `Policy.from_dict`.

    Raises:
        InvalidValueError, InvalidTypeError: wrong schema, unknown key (holds the nearest), or a bad value.
    """
    keys = ("schema", *field_names(policy_class))
    if not isinstance(data, Mapping):
        raise InvalidTypeError(f"a policy must be a mapping, got {type(data).__name__}; pass what to_dict() returned.")
    if data.get("schema") != SCHEMA or type(data["schema"]) is not int:
        raise InvalidValueError(
            f"policy key 'schema' must be {SCHEMA}, got {shown(data.get('schema'))}; write schema = {SCHEMA}."
        )
    for key in data:
        if key not in keys:
            raise InvalidValueError(with_hint(f"a policy has no key {shown(key)}", "it has", keys, nearest(key, keys)))
    if "name" not in data:
        raise InvalidValueError("a policy must have the key 'name', got none; add name = \"my-policy\".")
    fields = {key: value for key, value in data.items() if key != "schema"}
    names = fields.get("padding_names", {})
    if not isinstance(names, Mapping):
        raise InvalidTypeError(f"policy key 'padding_names' must be a table, got {shown(names)}; write padding_names = {{...}}.")
    for key, value in fields.items():
        if key in KINDS:
            _require_kind(key, value, KINDS[key])
    for rule in names.values():
        _require_kind("padding_names", rule, str)
    fields |= {words: as_part_words(words, fields.get(words, {})) for words in PART_WORDS}
    fields = with_mode(fields, dict(fields["mode_names"]))
    words_of = {"padding": names, "weight_init": dict(fields["init_names"])}
    fields |= {field: as_choice(field, fields[field], words_of.get(field)) for field in PART_FIELDS if field in fields}
    return policy_class(**fields)


def _require_kind(key: str, value: Any, kind: type) -> None:
    if type(value) is not kind:
        raise InvalidTypeError(
            f"policy key {key!r} is not valid: got {shown(value)} of type {type(value).__name__}, wanted {kind.__name__}; "
            f"write another value."
        )
