"""The commands ``plugins``, ``verify`` and ``init``, and the list of short built-in commands."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import attrs
import click

from convpolicy import progress, registry, verification
from convpolicy.cli import arguments, output
from convpolicy.cli.completion import POLICIES
from convpolicy.cli.find import find
from convpolicy.cli.list_parts import list_parts
from convpolicy.cli.papers import papers
from convpolicy.cli.plans import compare_policies, plan
from convpolicy.cli.policies import METAVAR, policy_of
from convpolicy.cli.show import show
from convpolicy.conversion import one_layer
from convpolicy.verification import matrix, streams

RESULT = {name: name for name in ("claim", "verdict", "cases", "detail")}  # last columns of a table of claims: heading -> field


@click.command()
@arguments.as_json
def plugins(as_json: bool) -> None:
    """List plugins and the errors of broken ones."""
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
        result = matrix.matrix(policies or None, backends or None, progress=step)
    if as_json:
        output.print_json(result.to_dict())
    else:
        for layer in result.layers:
            output.print_table(*result.table(layer))
    for cell in result.failed:
        output.say_beside(f"{cell.layer} of {cell.policy} on {cell.backend}: {cell.verdict}: {cell.detail}")
    if result.failed:
        raise SystemExit(1)


def _print_claims(measure: Callable[..., Any], columns: dict[str, str], as_json: bool) -> None:
    """Print the claims of a `Verification`; ``columns``: heading -> field of a `Claim`."""
    with progress.spinner() as step:
        report = measure(progress=lambda claim: step(f"{claim.policy}: {claim.claim}"))
    if as_json:
        output.print_json(report.to_dict())
    else:
        output.print_table(
            tuple(columns), (tuple(getattr(claim, field) for field in columns.values()) for claim in report.claims)
        )
    if report.failed:
        raise SystemExit(1)


@click.command()
@click.argument("policies", nargs=-1, shell_complete=POLICIES)
@click.option("--backend", "backends", multiple=True, help="Compare layers of this backend only. Repeatable.")
@click.option("--matrix", "as_matrix", is_flag=True, help="Print a table of policies and backends with the largest difference.")
@click.option(
    "--streaming", "as_streams", is_flag=True, help="Compare layers that take chunks with the layer on the whole input."
)
@arguments.as_json
def verify(policies: tuple[str, ...], backends: tuple[str, ...], as_matrix: bool, as_streams: bool, as_json: bool) -> None:
    """Compare policies with the installed frameworks.

    Without POLICIES every installed framework is compared. The exit status is 1 if a policy differs from its framework.
    """
    if as_matrix and as_streams:
        raise click.UsageError("--matrix and --streaming are two reports; pass one of them.")
    if as_streams and policies:
        raise click.UsageError("--streaming compares backends, not policies; leave the policies out, and pass --backend.")
    if as_matrix:
        _print_matrix(policies, backends, as_json)
        return
    if as_streams:
        measure: Callable[..., Any] = partial(streams.verify_streams, backends or None)
        _print_claims(measure, {"backend": "policy"} | RESULT, as_json)
    else:
        measure = partial(verification.verify, policies or None, backends or None)
        _print_claims(measure, {"policy": "policy", "version": "version"} | RESULT, as_json)


@click.command()
@click.argument("policy", metavar=METAVAR, shell_complete=POLICIES)
@click.option("--in", "in_channels", default=16, show_default=True, type=int, help="Input channels.")
@click.option("--out", "out_channels", default=32, show_default=True, type=int, help="Output channels.")
@arguments.kernel_size
@click.option("--groups", default=1, show_default=True, type=int, help="Groups of channels.")
@click.option("--seed", default=0, show_default=True, type=int, help="Seed, as you would set it in the framework.")
@click.option("--dtype", default="float32", show_default=True, help="float32, float64 or float16; bfloat16 with --stats only.")
@click.option("-o", "--output", "path", type=click.Path(dir_okay=False), help="Write the weights to a .safetensors file.")
@click.option("--stats", is_flag=True, help="Print statistics of the weights; the default without -o.")
@arguments.transposed
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
    transposed: bool,
    as_json: bool,
) -> None:
    """Draw the initial weights of a framework.

    They are the weights that the framework draws for this seed. Write them to a file (-o), print their statistics (--stats), or
    both.
    """
    stats = stats or path is None
    if as_json and not stats:
        raise click.UsageError("--json is the format of the statistics; add --stats.")
    source = policy_of(policy, transposed=transposed)
    drawn = source.initial(in_channels, out_channels, kernel_size, groups, seed, dtype=dtype)
    if path is not None:
        one_layer.save(path, source, drawn, groups, seed, dtype)
    if stats:
        rows = one_layer.statistics(drawn)
        if as_json:
            output.print_json(rows)
        else:
            output.print_table(tuple(rows[0]), (tuple(row.values()) for row in rows))


COMMANDS = (list_parts, show, find, papers, plan, compare_policies, init, verify, plugins)
