"""Converts a policy to plain data with a schema version, and back, and to text and HTML for people."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import attrs

from convpolicy import registry
from convpolicy.core.initial_values import in_words
from convpolicy.core.paper import Paper
from convpolicy.errors import InvalidTypeError, InvalidValueError, nearest, shown, with_hint
from convpolicy.parts.arguments import as_choice, as_named_choices, with_mode
from convpolicy.parts.choice import Choice

SCHEMA = 1
NAME_FIELDS = ("padding_names", "mode_names", "init_names")  # the fields with names that only this policy has
CHOICE_FIELDS = ("mode_names", "init_names")  # those of them that map names to a `Choice`
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
# fields that describe the framework or paper that a policy reproduces -> the value of a policy that reproduces none
CLAIMS = MappingProxyType(
    {"framework": "", "versions": "", "measured": "", "source": "", "description": "", "strided_dilation": True, "paper": None}
)
TRANSPOSED_CLAIMS = MappingProxyType({**CLAIMS, "dilated_output_padding": True})  # those of a `TransposedPolicy`
OMITTED: Mapping[str, Any] = MappingProxyType(  # field -> value that is not written to a file
    {"padding_names": {}, **{field: {} for field in CHOICE_FIELDS}, "weight_norm": None, "transposed": None, **TRANSPOSED_CLAIMS}
)
FLAGS = ("bias", "strided_dilation", "dilated_output_padding")
KINDS = {"name": str, **dict.fromkeys(FLAGS, bool), **{field: str for field in CLAIMS if CLAIMS[field] == ""}}


def require_own_name(policy: Any) -> None:
    """Refuse a policy that has the name of a built-in policy but does not claim to reproduce its framework or paper.

    Raises:
        InvalidValueError: the name is in use. The message contains it.
    """
    built_in = registry.current().builtin("policy", policy.name)
    if built_in is not None and all(getattr(policy, field) == empty for field, empty in CLAIMS.items()):
        raise InvalidValueError(
            f"name must be new, got {policy.name!r}, the name of a built-in policy; call convpolicy.policy({policy.name!r}) for "
            f"that one, or pick another name."
        )


def field_names(policy_class: type) -> tuple[str, ...]:
    """Return the names of the fields that callers and files may set."""
    return tuple(field.name for field in attrs.fields(policy_class) if field.name != "provider")


def to_data(policy: Any) -> dict[str, Any]:
    """Return the fields that are not empty, and the schema version, as plain data; see `Policy.to_dict`."""
    data = {field: _plain(getattr(policy, field)) for field in field_names(type(policy))}
    names = data["padding_names"] = dict(policy.padding_names)
    if names.get(data["padding"] if isinstance(data["padding"], str) else "", policy.padding.name) != policy.padding.name:
        data["padding"] = {"name": policy.padding.name}  # the name alone means another rule under padding_names
    for field in CHOICE_FIELDS:
        data[field] = {name: choice.to_data() for name, choice in getattr(policy, field)}
    data["transposed"] = _transposed(policy, data.pop("transposed", None))  # last, since it can be a separate table in a file
    return {"schema": SCHEMA, **{key: value for key, value in data.items() if key not in OMITTED or value != OMITTED[key]}}


def _transposed(policy: Any, half: Any) -> Any:
    """Return the value of the key ``transposed``: a table in a `Policy`, True in a `TransposedPolicy`, else None."""
    if half is None:
        return True if policy.is_transposed else None
    repeated = {"schema": SCHEMA, "name": policy.name, "transposed": True}
    return {key: value for key, value in to_data(half).items() if repeated.get(key) != value}


def to_text(policy: Any) -> str:
    """Return a policy in one line, for people."""
    weight, bias = (in_words(choice) for choice in (policy.weight_init, policy.bias_init))
    bias = f"bias {bias}" if policy.bias else "no bias"
    norm = "" if policy.weight_norm is None else f", weight_norm {policy.weight_norm}"
    return (
        f"{policy.name}{' (transposed)' if policy.is_transposed else ''}: padding {policy.padding}, mode {policy.padding_mode}, weight {weight}{norm}, {bias}, "
        f"layout {policy.layout}/{policy.data_layout}"
    )


def to_html(policy: Any) -> str:
    """Return an HTML table of the fields that are not empty, for notebooks."""
    from convpolicy.pictures.table import table  # imported late: only notebooks need it

    fields = {
        field: getattr(policy, field)
        for field in field_names(type(policy))
        if field not in ("name", "paper", "transposed", *NAME_FIELDS)
    }
    rows = [(field, value) for field, value in fields.items() if value not in ("", None)]
    return table((), rows, f"policy {policy.name}")


def _plain(value: Any) -> Any:
    return value.to_data() if isinstance(value, (Choice, Paper)) else value


def from_data(policy_class: Any, data: Any) -> Any:
    """Return a policy from plain data, without a check that its parts are registered; see `Policy.from_dict`.

    Raises:
        InvalidValueError, InvalidTypeError: another schema, an unknown key or a value that is not allowed.
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
    fields |= {field: as_named_choices(field, fields.get(field, {})) for field in CHOICE_FIELDS}
    fields = with_mode(fields, dict(fields["mode_names"]))
    names_of = {"padding": names, "weight_init": dict(fields["init_names"])}
    kinds = policy_class.part_kinds
    fields |= {field: as_choice(field, kinds[field], fields[field], names_of.get(field)) for field in kinds if field in fields}
    return policy_class(**fields)


def _require_kind(key: str, value: Any, kind: type) -> None:
    if type(value) is not kind:
        raise InvalidTypeError(
            f"policy key {key!r} must be of type {kind.__name__}, got {shown(value)} of type {type(value).__name__}; "
            f"write another value."
        )
