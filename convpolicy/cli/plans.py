"""``convpolicy plan`` and ``convpolicy compare``: draw the padding and windows of policies."""

from __future__ import annotations

from itertools import zip_longest
from typing import Any

import click

from convpolicy.cli import arguments, output
from convpolicy.cli.completion import MODES, POLICIES, RULES
from convpolicy.cli.policies import METAVAR, policy_of, with_output_padding
from convpolicy.comparison import Comparison, compare
from convpolicy.comparison.drawing import draw

GAP = "    "  # between two drawings side by side
ROWS = 4  # windows in each of two drawings
LEGEND = "between | |: the input; outside: padding; ^: what an output reads"
# what a drawing means; the key is True for transposed convolutions
LEGENDS = {False: LEGEND, True: "between | |: the output; x: cut away; ^: what an input sample reaches"}


@click.command()
@click.argument("policy", metavar=METAVAR, shell_complete=POLICIES)
@arguments.sizes
@click.option("--padding", shell_complete=RULES, help="Replace the padding: 2, 3,1, same, 'same_static(odd_side=left)'.")
@click.option(
    "--padding-mode",
    shell_complete=MODES,
    help="Replace the padding mode: reflect, 'constant(value=1.5)', or reflect,zeros for left,right.",
)
@click.option("--output-padding", type=int, help="Samples that a transposed convolution cuts less on the right.")
@arguments.transposed
@arguments.as_json
def plan(
    policy: str,
    kernel_size: int,
    stride: int,
    dilation: int,
    length: int,
    padding: str | None,
    padding_mode: str | None,
    output_padding: int | None,
    transposed: bool,
    as_json: bool,
) -> None:
    """Draw the padding and windows of one policy.

    With --transposed, or with the setting transposed as in torch:transposed, you see what the transposed convolution cuts from its full
    result.
    """
    changes: dict[str, Any] = {}
    if padding is not None:
        changes["padding"] = arguments.padding(padding)
    if padding_mode is not None:
        changes["padding_mode"] = arguments.padding_mode(padding_mode)
    changed = with_output_padding(policy_of(policy, transposed=transposed).evolve(**changes), output_padding)
    result = changed.plan(kernel_size, stride, dilation, length=length)
    if as_json:
        output.print_json(result.to_dict())
        return
    output.say(result)
    output.say()
    output.say(f"{draw(result)}\n\n{LEGENDS[changed.is_transposed]}")


@click.command("compare")
@click.argument("a", metavar="A", shell_complete=POLICIES)
@click.argument("b", metavar="B", shell_complete=POLICIES)
@arguments.sizes
@click.option("--all", "everything", is_flag=True, help="Also list aspects that are equal.")
@arguments.transposed
@arguments.as_json
def compare_policies(
    a: str,
    b: str,
    kernel_size: int,
    stride: int,
    dilation: int,
    length: int,
    everything: bool,
    transposed: bool,
    as_json: bool,
) -> None:
    """Compare two policies and draw their padding.

    A and B are policies, each with optional settings: torch, mine.toml, keras:same or torch:padding=1,padding_mode=reflect,bias=False.
    A setting without a name is the padding, as the framework names it.
    """
    policies: list[Any] = [policy_of(text, transposed=transposed) for text in (a, b)]
    compared = compare(*policies, kernel_size=kernel_size, stride=stride, dilation=dilation, length=length)
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
        output.say(f"\n{text}\n\n{LEGENDS[policies[0].is_transposed]}")


def drawings(compared: Comparison, width: int) -> str:
    """Draw the plans of a comparison.

    Two plans are drawn side by side if they fit into ``width`` columns. Equal plans are drawn once. A policy that refuses the sizes
    has no drawing.
    """
    names = (compared.a, compared.b)
    plans = [(name, plan) for name, plan in zip(names, compared.plans) if plan is not None]
    drawn = [(name, draw(plan, rows=ROWS)) for name, plan in plans]
    if len(drawn) == 2 and drawn[0][1] == drawn[1][1]:
        return f"{names[0]} and {names[1]} read the same samples at length {plans[0][1].length}\n{drawn[0][1]}"
    blocks = [[name, *text.splitlines()] for name, text in drawn]
    if len(blocks) == 2:
        edge = max(map(len, blocks[0]))
        lines = [f"{left.ljust(edge)}{GAP}{right}".rstrip() for left, right in zip_longest(*blocks, fillvalue="")]
        if max(map(len, lines)) <= width:
            return "\n".join(lines)
    return "\n\n".join("\n".join(block) for block in blocks)
