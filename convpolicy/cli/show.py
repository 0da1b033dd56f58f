"""``convpolicy show``: one part, with what uses it and a drawing."""

from __future__ import annotations

from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import Any

import attrs
import click

from convpolicy import registry
from convpolicy.cli import arguments, kinds, output
from convpolicy.cli.completion import PARTS
from convpolicy.cli.papers import explain
from convpolicy.cli.plans import LEGEND
from convpolicy.cli.policies import policy_of
from convpolicy.comparison.drawing import draw
from convpolicy.core.initial_values import in_words
from convpolicy.core.named import policy as named_policy
from convpolicy.core.plain_data import PART_FIELDS
from convpolicy.core.policy import Policy
from convpolicy.errors import ConvPolicyError, UnknownNameError, nearest, shown, unknown_name
from convpolicy.files.data import FORMATS
from convpolicy.registry.report import PluginReport
from convpolicy.registry.synonyms import synonym

PLUGIN = "plugin"
# kind -> the changes of the policy torch whose plan shows a part of it
DRAWN: dict[str, Any] = {
    "padding rule": lambda name: {"padding": name},
    "padding mode": lambda name: {"padding": 3, "padding_mode": name},
}


@click.command()
@click.argument("name", metavar="NAME|FILE", shell_complete=PARTS)
@click.option(
    "--kind",
    type=click.Choice([*kinds.LISTS.values(), PLUGIN]),
    metavar="KIND",
    help="Where several parts have the name, for example 'padding mode'.",
)
@arguments.as_json
def show(name: str, kind: str | None, as_json: bool) -> None:
    """Show a policy, padding rule, mode or any other part.

    NAME is what `convpolicy list` or `convpolicy plugins` prints, a policy file, or a policy with settings such as keras:same. Rules and
    modes are drawn, and a paper's policy is explained.
    """
    found = _found(name)
    if kind is not None:
        found = {known: part for known, part in found.items() if known == kind}
    if not found and kind is None and _says_policy(name):
        found = {"policy": policy_of(name)}
    if not found:
        raise _unknown(name, kind)
    if "policy" in found:
        _show_policy(found.pop("policy"), as_json)
        if found and not as_json:
            others = ", ".join(f'"{other}"' for other in found)
            output.say(f"\n{name} is the name of other parts, too; add --kind: {others}")
        return
    described = [_described(of_kind, part) for of_kind, part in found.items()]
    if as_json:
        output.print_json(described)
        return
    for number, (data, part) in enumerate(zip(described, found.values())):
        output.say("\n" * bool(number), end="")
        _print_part(data, part)


def _found(name: str) -> dict[str, Any]:
    found = kinds.named(name)
    report = next((report for report in registry.current().reports() if report.name == name), None)
    return found if report is None else {**found, PLUGIN: report}


def _says_policy(name: str) -> bool:
    """Return True for a file, a version or a policy with settings."""
    return Path(name).suffix in FORMATS or "@" in name or ":" in name


def _unknown(name: str, kind: str | None) -> UnknownNameError:
    """Return the error for a name that no part has.

    Raises:
        ConvPolicyError: two plugins offer the name, or the part cannot be made.
    """
    for listed in kinds.LISTS.values():
        with suppress(UnknownNameError):
            registry.current().get(listed, name)
    names = {listed: list(registry.current().parts(listed)) for listed in kinds.LISTS.values()}
    names[PLUGIN] = [report.name for report in registry.current().reports()]
    if kind is not None:
        return unknown_name(kind, name, names[kind])
    meant = next(filter(None, (synonym(listed, name, known) for listed, known in names.items())), None)
    hint = f" Did you mean {meant!r}?" if meant else nearest(name, sorted(chain.from_iterable(names.values())))
    return UnknownNameError(f"unknown policy or part {shown(name)}.{hint} See convpolicy list, or search with convpolicy find.")


def _show_policy(policy: Policy, as_json: bool) -> None:
    if as_json:
        output.print_json(policy.to_dict())
        return
    fields = [field.name for field in attrs.fields(Policy) if field.name != "paper"]
    output.print_table(("field", "value", "meaning"), [_field(policy, field) for field in fields])
    explain(policy)


def _field(policy: Policy, field: str) -> tuple[str, str, str]:
    value = getattr(policy, field)
    if PART_FIELDS.get(field) == "initializer":
        return field, str(value), in_words(value)
    if field in PART_FIELDS:
        return field, str(value), policy.part(field)[0].description
    if field in kinds.WORDS:
        return field, ", ".join(f"{word} = {part}" for word, part in value), "the policy's own words"
    if field == "weight_norm":
        return field, str(value), "the axis of (out, in/groups, kernel) that keeps one norm per index, or None"
    return field, str(value), ""


def _described(kind: str, part: Any) -> dict[str, Any]:
    """Return a part as plain data."""
    if isinstance(part, PluginReport):
        return {"kind": kind, **attrs.asdict(part)}
    return {
        "kind": kind,
        "name": part.name,
        "description": kinds.description(part),
        "plugin": part.provider,
        "parameters": kinds.parameters(part),
        "declares": sorted(getattr(part, "declares", ())),
        "used by": list(kinds.uses(kind, part.name)),
        "call": kinds.CALLS[kind].format(part.name),
    }


def _print_part(data: dict[str, Any], part: Any) -> None:
    rows = [(key, _text(value)) for key, value in data.items() if key not in ("kind", "name") and value not in ([], {}, "")]
    output.print_table((data["kind"], data["name"]), rows)
    if data["kind"] in DRAWN:
        output.say(f"\n{_drawn(data['kind'], part.name)}")


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(kinds.setting(name, default) for name, default in value.items())
    return ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


def _drawn(kind: str, name: str) -> str:
    """Draw what a rule or a mode does at the default sizes, or say why it does nothing there."""
    try:
        plan = named_policy("torch").evolve(**DRAWN[kind](name)).plan(arguments.KERNEL_SIZE, length=arguments.LENGTH)
    except ConvPolicyError as error:
        return f"not drawn: {error}"
    return f"{plan}\n\n{draw(plan, rows=6)}\n\n{LEGEND}"
