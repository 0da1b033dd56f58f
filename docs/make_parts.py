"""Print docs/reference/parts.md: every registered part, with the description in its docstring.

python docs/make_parts.py > docs/reference/parts.md
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import Any

from marks import sizes_heads, table, unbroken

import convpolicy as cp
from convpolicy.parts.mode import OVERFLOW

# kernel, stride, dilation, length: the columns of the table of pads
SIZES = ((4, 1, 1, 10), (3, 2, 1, 10), (3, 2, 1, 11), (5, 3, 1, 10), (4, 1, 3, 10), (3, 2, 2, 10))
CROP_SIZES = ((4, 2, 1, 10), (5, 2, 1, 10), (7, 4, 1, 10), (2, 3, 1, 10), (3, 2, 2, 10), (16, 8, 1, 10))
LETTERS = "123456789abc"

HEAD = """# Every part

Every registered padding rule, padding mode, initializer, random stream, layout and policy. Lengths are in samples. `e` is the effective
kernel, `(kernel - 1) * dilation + 1`. `convpolicy list` prints the same names with those of your plugins, and the [gallery](../gallery.md)
draws them. `python docs/make_parts.py` makes this page from the descriptions of the parts.
"""
RULES = """## Padding rules: how many samples are added on each side

Pass `padding=` a name, an int for both sides, a pair `(left, right)`, or `cp.Choice("same_upper", odd_side="left")`. The table shows
(left, right) → outputs for kernel k, stride s, dilation d and length L. A dash means that the rule refuses these sizes. A negative number is cut
away from the input before the convolution.
"""
ALIASES = """## Aliases of padding rules

Other names for a rule.
"""
CROPS = """## Crop rules: how many samples a transposed convolution cuts

Pass `padding=` of `ConvTranspose1d` a name, an int for both sides, a pair `(left, right)`, or a `cp.Choice`. The table shows (left, right) →
outputs for kernel k, stride s, dilation d and length L. A dash means that the rule refuses these sizes. A negative number appends zeros.
"""
MODES = """## Padding modes: what the added samples are

Pass `padding_mode=` a name, or a pair with one mode for each side. A pad wider than the mode reaches is decided by the parameter
`overflow`:
"""
OVERFLOWS = {
    "error": "refused, as `torch.nn.functional.pad` does",
    "periodic": "reflected or wrapped again and again, as `numpy.pad` of NumPy 2 does",
    "zero-extend": "the input is extended by zeros on the right until the mode reaches, and cut afterwards, as EnCodec does",
}
INITIALIZERS = """## Initializers: how fresh weights and biases are drawn

Pass `weight_init=` and `bias_init=` a name, a `cp.Choice("normal", std=0.02)`, a number, or an array. With a paper's policy `weight_init` also
accepts `"as_written"` and `"as_trained"`: the initializer that the paper's code calls, and the one that training starts from.
"""
STREAMS = """## Random streams: how a seed becomes numbers

Every policy has one, its `random_stream`. `cp.random_stream(name, seed)` starts it, to draw several layers in a row. Each needs NumPy alone
and returns the bits that the framework's own Conv1d has after seeding. `convpolicy verify` compares them on your machine.
"""
LAYOUTS = """## Layouts: axes and names

`O` output channels, `I` input channels of a group, `W` the kernel or the length, `M` outputs per input channel, `1` an axis of
length 1, `N` the batch, `C` channels. `cp.layouts()["WIO"].from_oiw(weight)` and `.to_oiw(stored)` convert.
"""
POLICIES = """## Policies: one part of each kind, as a framework or a paper does it
"""


def description(part: object, function: object) -> str:
    """A part's description, then all but the first line of its function's docstring."""
    rest = inspect.cleandoc(getattr(function, "__doc__", "") or "").partition("\n")[2].strip().replace("``", "`")
    return part.description + (f"\n\n{rest}" if rest else "")


def parameters(part: object) -> str:
    """One line on the parameters and one on what is declared, or nothing."""
    shown = [f"`{name}`" + (f" = {param.default!r}" if param.default is not None else "") for name, param in part.params.items()]
    declared = sorted(getattr(part, "declares", ()))
    return (f"\n\nParameters: {', '.join(shown)}." if shown else "") + (
        f"\n\nDeclares: {', '.join(declared)}." if declared else ""
    )


def section(parts: dict, attribute: str = "") -> str:
    """A heading for each part, its description, the docstring of the function in ``attribute``, its parameters."""
    return "\n".join(
        f"### {name}\n\n{description(part, getattr(part, attribute, None))}{parameters(part)}\n" for name, part in parts.items()
    )


def numbers_table(policy: Any, names: Iterable[str], sizes: Any) -> str:
    """What every rule returns for a few sizes: a padding rule in a `Policy`, a crop rule in a `TransposedPolicy`."""
    rows = []
    for name in names:
        choice = cp.Choice("explicit", left=2, right=1) if name == "explicit" else cp.Choice(name)
        cells = []
        for kernel, stride, dilation, length in sizes:
            try:
                plan = policy.evolve(padding=choice).plan(kernel, stride, dilation, length=length)
                cells.append(unbroken(f"({plan.left}, {plan.right}) → {plan.length_out}"))
            except cp.ConvPolicyError:
                cells.append("–")
        rows.append((f"`{choice}`", *cells))
    return table(("rule", *sizes_heads(sizes)), rows)


def aliases() -> str:
    """A heading for each alias, and the rule that it names."""
    rules = cp.padding_rules().items()
    return "\n".join(f"### {name}\n\n{rule.description}\n" for name, rule in rules if rule.alias_of)


def overflow_list() -> str:
    """Each overflow rule, with what it makes of 12 padded by 3 on both sides in mode reflect."""
    lines = []
    for name in OVERFLOW:
        policy = cp.policy("torch").evolve(padding=3, padding_mode=cp.Choice("reflect", overflow=name))
        try:
            plan = policy.plan(1, length=2)
            left, right = (
                "".join("0" if s < 0 else LETTERS[s] for s in side) for side in (plan.left_sources, plan.right_sources)
            )
            drawn = f"reflect 12, left 3, right 3 -> {left}|12|{right}"
        except cp.ConvPolicyError:
            drawn = "reflect 12, left 3, right 3 -> refused"
        lines.append(f"- `{name}`: {OVERFLOWS[name]}; `{drawn}`.")
    return "\n".join(lines) + "\n"


def policies() -> str:
    """A heading, the sentence, the parts and the source of each policy."""
    blocks = []
    for name in cp.policies():
        policy = cp.policy(name)
        bias = f"bias `{policy.bias_init}`" if policy.bias else f"no bias by default (`{policy.bias_init}` with `bias=True`)"
        modes = {word: f" in mode `{mode}`" for word, mode in policy.mode_names}
        own = ", ".join(f"`{word}` is `{rule}`{modes.get(word, '')}" for word, rule in policy.padding_names)
        norm = "" if policy.weight_norm is None else f"weight normalization over axis {policy.weight_norm}; "
        about = f"Its own names for padding: {own}.\nFor {policy.framework} {policy.versions}; measured on {policy.measured}. Source: {policy.source}.\n"
        if policy.paper is not None:
            about = f"Paper, trap, evidence and layers: [papers/{name.partition('/')[2]}.md](../papers/{name.partition('/')[2]}.md).\n"
        if policy.transposed is not None:
            about += f"Transposed convolution: {in_one_line(policy.transposed)}\n"
        blocks.append(
            f"### {name}\n\n{policy.description}\n\nPadding `{policy.padding}`, mode `{policy.padding_mode}`; weight "
            f"`{policy.weight_init}`, {bias}; layout `{policy.layout}`, data `{policy.data_layout}`; "
            f"{norm}random stream `{policy.random_stream}`.\n{about}"
        )
    return "\n".join(blocks)


def in_one_line(half: cp.TransposedPolicy) -> str:
    """The sentence, the parts and the source of a transposed half."""
    bias = f"bias `{half.bias_init}`" if half.bias else "no bias by default"
    own = ", ".join(f"`{word}` is `{rule}`" for word, rule in half.padding_names)
    return (
        f"{half.description} Crop rule `{half.padding}`; weight `{half.weight_init}`, {bias}; layout `{half.layout}`."
        f"{f' Its own names for padding: {own}.' if own else ''} Source: {half.source}."
    )


def main() -> None:
    """Print the page."""
    print(HEAD)
    print(RULES)
    print(numbers_table(cp.policy("torch"), cp.padding_rules(), SIZES))
    print(section({name: rule for name, rule in cp.padding_rules().items() if not rule.alias_of}, "pads"))
    print(ALIASES)
    print(aliases())
    print(CROPS)
    print(numbers_table(cp.policy("torch").half(), cp.crop_rules(), CROP_SIZES))
    print(section(cp.crop_rules(), "crops"))
    print(MODES)
    print(overflow_list())
    print(section(cp.padding_modes(), "source"))
    print(INITIALIZERS)
    print(section(cp.initializers()))
    print(STREAMS)
    print(section(cp.random_streams()))
    print(LAYOUTS)
    print(section(cp.layouts()))
    print(POLICIES)
    print(policies(), end="")


if __name__ == "__main__":
    main()
