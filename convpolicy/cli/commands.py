"""The built-in commands."""

from __future__ import annotations

from typing import Any

import attrs
import click

from convpolicy import progress, registry, verification
from convpolicy.cli import arguments, output
from convpolicy.cli.papers import explain, papers
from convpolicy.cli.plans import compare_policies, plan
from convpolicy.cli.policies import METAVAR, policy_of
from convpolicy.conversion import one_layer
from convpolicy.core.plain_data import PART_FIELDS
from convpolicy.core.policy import Policy
from convpolicy.layers.backend import Backend
from convpolicy.parts.part import Part
from convpolicy.verification import matrix

# the word on the command line -> the `kind` of part
LISTS = {
    "policies": "policy",
    "rules": "padding rule",
    "modes": "padding mode",
    "initializers": "initializer",
    "streams": "random stream",
    "layouts": "layout",
    "backends": "backend",
}


def _described(part: Any) -> str:
    if isinstance(part, Backend) and not part.is_installed():
        return f"{part.description} (not installed)".strip()
    return str(part.description)


def _parameters(part: Any) -> dict[str, Any]:
    return {name: param.default for name, param in part.params.items()} if isinstance(part, Part) else {}


def _errors() -> list[str]:
    return [error for report in registry.current().reports() for error in report.errors]


@click.command("list")
@click.argument("kind", required=False, type=click.Choice(list(LISTS)))
@arguments.as_json
def list_parts(kind: str | None, as_json: bool) -> None:
    """List every registered part, or those of one KIND, and the plugin each comes from."""
    known = _errors()
    found = [  # making a part may fail, which is reported
        (listed, name, _parameters(part), part.provider, _described(part))
        for word, listed in LISTS.items()
        if kind in (None, word)
        for name, part in registry.current().working(listed).items()
    ]
    for error in [error for error in _errors() if error not in known]:
        output.say_beside(f"convpolicy: {error}")
    if as_json:
        keys = ("kind", "name", "parameters", "provider", "description")
        output.print_json([dict(zip(keys, line)) for line in found])
        return
    for number, word in enumerate([kind] if kind else LISTS):
        output.say("\n" * bool(number) + word)
        output.print_table(
            ("name", "plugin", "parameters", "description"),
            [
                (name, provider, ", ".join(_setting(*item) for item in parameters.items()), description)
                for listed, name, parameters, provider, description in found
                if listed == LISTS[word]
            ],
        )


def _setting(name: str, default: Any) -> str:
    if default is None:
        return name
    return f"{name}={default:g}" if isinstance(default, float) else f"{name}={default}"


@click.command()
@click.argument("policy", metavar=METAVAR)
@arguments.as_json
def show(policy: str, as_json: bool) -> None:
    """Show every field of a policy, and what the parts it names do; of a paper's policy also why, with a drawing."""
    shown = policy_of(policy)
    if as_json:
        output.print_json(shown.to_dict())
        return
    fields = [field.name for field in attrs.fields(Policy) if field.name != "paper"]
    output.print_table(("field", "value", "meaning"), [_field(shown, field) for field in fields])
    explain(shown)


def _field(policy: Policy, field: str) -> tuple[str, str, str]:
    value = getattr(policy, field)
    if field in PART_FIELDS:
        return field, str(value), policy.part(field)[0].description
    if field in ("padding_names", "mode_names", "init_names"):
        return field, ", ".join(f"{word} = {part}" for word, part in value), "the policy's own words"
    if field == "weight_norm":
        return field, str(value), "the axis of (out, in/groups, kernel) that keeps one norm per index, or None"
    return field, str(value), ""


@click.command()
@arguments.as_json
def plugins(as_json: bool) -> None:
    """List every plugin, what it registers, and what is wrong with a broken one."""
    reports = registry.current().reports()
    if as_json:
        output.print_json([attrs.asdict(report) for report in reports])
        return
    output.print_table(
        ("plugin", "version", "from", "state", "parts"),
        (
            (
                report.name,
                report.version,
                "convpolicy" if report.builtin else "installed",
                "broken" if report.errors else "ok",
                len(report.parts),
            )
            for report in reports
        ),
    )
    for report in reports:
        for error in report.errors:
            output.say(f"{report.name}: {error}")


def _print_matrix(policies: tuple[str, ...], backends: tuple[str, ...], as_json: bool) -> None:
    with progress.spinner() as step:
        found = matrix.matrix(policies or None, backends or None, progress=step)
    if as_json:
        output.print_json(found.to_dict())
    else:
        output.print_table(*found.table())
    for cell in found.failed:
        output.say_beside(f"{cell.policy} on {cell.backend}: {cell.verdict}: {cell.detail}")
    if found.failed:
        raise SystemExit(1)


@click.command()
@click.argument("policies", nargs=-1)
@click.option("--backend", "backends", multiple=True, help="Compare the layers of this backend too; may be repeated.")
@click.option("--matrix", "as_matrix", is_flag=True, help="Every policy on every backend instead: the largest error, or exact.")
@arguments.as_json
def verify(policies: tuple[str, ...], backends: tuple[str, ...], as_matrix: bool, as_json: bool) -> None:
    """Run every installed framework, or those of POLICIES, against the policies that claim to be them.

    Exit status 1 when a claim does not hold on this machine.
    """
    if as_matrix:
        _print_matrix(policies, backends, as_json)
        return
    with progress.spinner() as step:
        found = verification.verify(
            policies or None, backends or None, progress=lambda claim: step(f"{claim.policy}: {claim.claim}")
        )
    if as_json:
        output.print_json(found.to_dict())
    else:
        head = ("policy", "version", "claim", "verdict", "cases", "detail")
        output.print_table(head, (attrs.astuple(claim) for claim in found.claims))
    if found.failed:
        raise SystemExit(1)


@click.command()
@click.argument("policy", metavar=METAVAR)
@click.option("--in", "in_channels", default=16, show_default=True, type=int, help="Input channels.")
@click.option("--out", "out_channels", default=32, show_default=True, type=int, help="Output channels.")
@arguments.kernel_size
@click.option("--groups", default=1, show_default=True, type=int, help="Blocked connections from input to output channels.")
@click.option("--seed", default=0, show_default=True, type=int, help="What the framework would be seeded with.")
@click.option("--dtype", default="float32", show_default=True, help="float32, float64, float16; bfloat16 for --stats only.")
@click.option("-o", "--output", "path", type=click.Path(dir_okay=False), help="Write a .safetensors file.")
@click.option("--stats", is_flag=True, help="Print moments and bounds; the default without -o.")
@arguments.as_json
def init(
    policy: str,
    in_channels: int,
    out_channels: int,
    kernel_size: int,
    groups: int,
    seed: int,
    dtype: str,
    path: str | None,
    stats: bool,
    as_json: bool,
) -> None:
    """Draw the weights that a framework starts with.

    They are written to a file (-o), summarized (--stats), or both.
    """
    stats = stats or path is None
    if as_json and not stats:
        raise click.UsageError("--json says how statistics are printed; give --stats too.")
    source = policy_of(policy)
    drawn = source.initial(in_channels, out_channels, kernel_size, groups, seed, dtype=dtype)
    if path is not None:
        one_layer.save(path, source, drawn, groups, seed, dtype)
    if stats:
        rows = one_layer.statistics(drawn)
        if as_json:
            output.print_json(rows)
        else:
            output.print_table(tuple(rows[0]), (tuple(row.values()) for row in rows))


COMMANDS = (list_parts, show, papers, plan, compare_policies, init, verify, plugins)
