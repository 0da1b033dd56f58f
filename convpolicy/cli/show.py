"""``convpolicy show``: describe one part, list the policies that use it, and draw it."""

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
from convpolicy.cli.plans import LEGENDS
from convpolicy.cli.policies import policy_of
from convpolicy.comparison.drawing import draw
from convpolicy.core.initial_values import in_words
from convpolicy.core.layer_policy import LayerPolicy
from convpolicy.core.named import policy as named_policy
from convpolicy.core.policy import Policy
from convpolicy.errors import ConvPolicyError, UnknownNameError, nearest, shown, unknown_name
from convpolicy.files.data import FORMATS
from convpolicy.registry.report import PluginReport
from convpolicy.registry.synonyms import synonym

PLUGIN = "plugin"
# kind -> changes of the policy torch, so that its plan shows a part of this kind
DRAWN: dict[str, Any] = {
    "padding rule": lambda name: {"padding": name},
    "padding mode": lambda name: {"padding": 3, "padding_mode": name},
    "crop rule": lambda name: {"padding": name},
}
CROP_STRIDE = 2  # stride of the drawing of a crop rule


@click.command()
@click.argument("name", metavar="NAME|FILE", shell_complete=PARTS)
@click.option(
    "--kind",
    type=click.Choice([*kinds.LISTS.values(), PLUGIN]),
    metavar="KIND",
    help="Kind of the part, if several have this name, for example 'padding mode'.",
)
@arguments.as_json
def show(name: str, kind: str | None, as_json: bool) -> None:
    """Show a policy, padding rule, mode or any other part.

    NAME is a name from `convpolicy list` or `convpolicy plugins`, a policy file, or a policy with settings such as keras:same. Padding
    rules and modes are drawn. Policies of papers are explained.
    """
    parts = _parts(name)
    if kind is not None:
        parts = {known: part for known, part in parts.items() if known == kind}
    if not parts and kind is None and _is_policy(name):
        parts = {"policy": policy_of(name)}
    if not parts:
        raise _unknown(name, kind)
    if "policy" in parts:
        _show_policy(parts.pop("policy"), as_json)
        if parts and not as_json:
            others = ", ".join(f'"{other}"' for other in parts)
            output.say(f"\n{name} is also the name of other parts; to see them, add --kind: {others}")
        return
    descriptions = [_description(of_kind, part) for of_kind, part in parts.items()]
    if as_json:
        output.print_json(descriptions)
        return
    for number, (data, part) in enumerate(zip(descriptions, parts.values())):
        output.say("\n" * bool(number), end="")
        _print_part(data, part)


def _parts(name: str) -> dict[str, Any]:
    """Return everything with this name, by kind, plugins included."""
    parts = kinds.named(name)
    report = next((report for report in registry.current().reports() if report.name == name), None)
    return parts if report is None else {**parts, PLUGIN: report}


def _is_policy(name: str) -> bool:
    """Return True for a policy file, a policy with a version and a policy with settings."""
    return Path(name).suffix in FORMATS or "@" in name or ":" in name


def _unknown(name: str, kind: str | None) -> UnknownNameError:
    """Return the error for an unknown name.

    Raises:
        ConvPolicyError: two plugins offer the name, or the part cannot be loaded.
    """
    for listed in kinds.LISTS.values():
        with suppress(UnknownNameError):
            registry.current().get(listed, name)
    names = {listed: list(registry.current().parts(listed)) for listed in kinds.LISTS.values()}
    names[PLUGIN] = [report.name for report in registry.current().reports()]
    if kind is not None:
        return unknown_name(kind, name, names[kind])
    suggestion = next(filter(None, (synonym(listed, name, known) for listed, known in names.items())), None)
    hint = f" Did you mean {suggestion!r}?" if suggestion else nearest(name, sorted(chain.from_iterable(names.values())))
    return UnknownNameError(f"unknown policy or part {shown(name)}.{hint} See convpolicy list, or search with convpolicy find.")


def _show_policy(policy: LayerPolicy, as_json: bool) -> None:
    if as_json:
        output.print_json(policy.to_dict())
        return
    fields = [field.name for field in attrs.fields(type(policy)) if field.name != "paper"]
    output.print_table(("field", "value", "meaning"), [_field(policy, field) for field in fields])
    if isinstance(policy, Policy):
        explain(policy)


def _field(policy: LayerPolicy, field: str) -> tuple[str, str, str]:
    value = getattr(policy, field)
    if policy.part_kinds.get(field) == "initializer":
        return field, str(value), in_words(value)
    if field in policy.part_kinds:
        return field, str(value), policy.part(field)[0].description
    if field in kinds.FRAMEWORK_NAMES:
        return field, ", ".join(f"{name} = {part}" for name, part in value), "names in the framework"
    if field == "weight_norm":
        axes = "(in, out/groups, kernel)" if policy.is_transposed else "(out, in/groups, kernel)"
        return field, str(value), f"axis of {axes} with one norm per index, or None"
    if field == "transposed":
        return field, str(value), "" if value is None else f"convpolicy show {policy.name}:transposed describes it"
    return field, str(value), ""


def _description(kind: str, part: Any) -> dict[str, Any]:
    """Return the description of a part as plain data."""
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
    """Draw a padding rule or mode at the default sizes, or say why it cannot be drawn."""
    try:
        policy: LayerPolicy = named_policy("torch")
        stride = 1
        if is_crop := kind == "crop rule":
            policy, stride = named_policy("torch").half(), CROP_STRIDE
        plan = policy.evolve(**DRAWN[kind](name)).plan(arguments.KERNEL_SIZE, stride, length=arguments.LENGTH)
    except ConvPolicyError as error:
        return f"not drawn: {error}"
    return f"{plan}\n\n{draw(plan, rows=6)}\n\n{LEGENDS[is_crop]}"
