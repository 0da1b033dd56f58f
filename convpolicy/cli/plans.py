"""``convpolicy plan`` and ``convpolicy compare``: what policies do to an input of one length, drawn."""

from __future__ import annotations

from itertools import zip_longest
from typing import Any

import click

from convpolicy.cli import arguments, output
from convpolicy.cli.completion import MODES, POLICIES, RULES
from convpolicy.cli.policies import METAVAR, policy_of
from convpolicy.comparison import Comparison, compare
from convpolicy.comparison.drawing import draw

GAP = "    "  # between two drawings side by side
ROWS = 4  # windows of each of two drawings
LEGEND = "between | |: the input; outside: padding; ^: what an output reads"


@click.command()
@click.argument("policy", metavar=METAVAR, shell_complete=POLICIES)
@arguments.sizes
@click.option("--padding", shell_complete=RULES, help="Instead of the policy's: 2, 3,1, same, 'same_static(odd_side=left)'.")
@click.option(
    "--padding-mode",
    shell_complete=MODES,
    help="Instead of the policy's: reflect, 'constant(value=1.5)'; left,right: reflect,zeros.",
)
@arguments.as_json
def plan(
    policy: str,
    kernel_size: int,
    stride: int,
    dilation: int,
    length: int,
    padding: str | None,
    padding_mode: str | None,
    as_json: bool,
) -> None:
    """Draw what one policy does to an input."""
    changes: dict[str, Any] = {}
    if padding is not None:
        changes["padding"] = arguments.padding(padding)
    if padding_mode is not None:
        changes["padding_mode"] = arguments.padding_mode(padding_mode)
    made = policy_of(policy).evolve(**changes).plan(kernel_size, stride, dilation, length=length)
    if as_json:
        output.print_json(made.to_dict())
        return
    output.say(made)
    output.say()
    output.say(f"{draw(made)}\n\n{LEGEND}")


@click.command("compare")
@click.argument("a", metavar="A", shell_complete=POLICIES)
@click.argument("b", metavar="B", shell_complete=POLICIES)
@arguments.sizes
@click.option("--all", "everything", is_flag=True, help="Also list what is the same.")
@arguments.as_json
def compare_policies(
    a: str, b: str, kernel_size: int, stride: int, dilation: int, length: int, everything: bool, as_json: bool
) -> None:
    """Compare two policies and draw what differs.

    A and B are policies, each with its own settings: torch, mine.toml, keras:same or torch:padding=1,padding_mode=reflect,bias=False.
    A setting without a name is the padding, in the policy's own words.
    """
    compared = compare(policy_of(a), policy_of(b), kernel_size=kernel_size, stride=stride, dilation=dilation, length=length)
    if as_json:
        output.print_json(compared.to_dict())
        return
    rows = compared.rows if everything else compared.differences
    if rows:
        output.print_table(("", compared.a, compared.b), ((row.aspect, *row.texts) for row in rows))
    else:
        output.say(compared)
    text = drawings(compared, output.width())
    if text:
        output.say(f"\n{text}\n\n{LEGEND}")


def drawings(compared: Comparison, width: int) -> str:
    """Draw both plans: side by side where they fit into ``width`` columns, once where they are equal, none that was refused."""
    names = (compared.a, compared.b)
    drawn = [(name, draw(made, rows=ROWS)) for name, made in zip(names, compared.plans) if made is not None]
    if len(drawn) == 2 and drawn[0][1] == drawn[1][1]:
        return f"{names[0]} and {names[1]} read the same samples\n{drawn[0][1]}"
    blocks = [[name, *text.splitlines()] for name, text in drawn]
    if len(blocks) == 2:
        edge = max(map(len, blocks[0]))
        lines = [f"{left.ljust(edge)}{GAP}{right}".rstrip() for left, right in zip_longest(*blocks, fillvalue="")]
        if max(map(len, lines)) <= width:
            return "\n".join(lines)
    return "\n\n".join("\n".join(block) for block in blocks)
