"""Tables of padding rules, from their plans."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations, product
from typing import NamedTuple

from marks import sizes_heads, table, unbroken

import convpolicy as cp
from tables.frameworks import pads

SAME = ("same_upper", "same_lower", "same_static", "half", "same_drop_last")
CAUSAL = ("causal", "encodec_causal", "mimi", "moshi", "semicausal", "nemo_causal")


class Case(NamedTuple):
    """Sizes of one convolution."""

    kernel: int
    stride: int
    dilation: int
    length: int


CASES = tuple(Case(*sizes) for sizes in product((1, 2, 3, 4, 5, 6, 7, 8), (1, 2, 3), (1, 2, 3), range(1, 40)))
PROPERTIES: dict[str, Callable[[Case], bool]] = {
    "dilation 1": lambda case: case.dilation == 1,
    "stride 1": lambda case: case.stride == 1,
    "odd kernel": lambda case: case.kernel % 2 == 1,
}


def ruled(rule: str) -> cp.Policy:
    """Return PyTorch's policy with another rule."""
    return cp.policy("torch").evolve(name="example", padding=rule)


def comparison(rules: Sequence[str], sizes: Sequence[tuple[int, int, int, int]]) -> str:
    """Return a row for each rule and a column for each size."""
    rows = [(f"`{rule}`", *(pads(ruled(rule), *numbers, length=length) for *numbers, length in sizes)) for rule in rules]
    return table(("rule", *sizes_heads(sizes)), rows)


def same() -> str:
    """Return the five rules called "same"."""
    return comparison(SAME, ((3, 1, 1, 9), (4, 1, 1, 9), (4, 2, 1, 9), (3, 2, 1, 10), (4, 1, 2, 9)))


def causal() -> str:
    """Return the six rules called "causal"."""
    return comparison(CAUSAL, ((4, 1, 1, 9), (4, 2, 1, 9), (4, 2, 1, 10), (5, 3, 1, 10), (3, 2, 2, 10)))


def _numbers(rule: str) -> dict[Case, tuple[int, int] | None]:
    policy, found = ruled(rule), {}
    for case in CASES:
        try:
            plan = policy.plan(case.kernel, case.stride, case.dilation, length=case.length)
        except cp.ConvPolicyError:
            found[case] = None
        else:
            found[case] = plan.left, plan.right
    return found


def _condition(differ: Sequence[Case]) -> str:
    """Return the fewest properties that none of these cases has together."""
    for number in range(len(PROPERTIES) + 1):
        for names in combinations(PROPERTIES, number):
            if not any(all(PROPERTIES[name](case) for name in names) for case in differ):
                return ", ".join(name.replace(" 1", unbroken(" 1")) for name in names) or "always"
    return "never"


def agreement(rules: Sequence[str]) -> str:
    """Return for each pair of rules when both give the same pads, of the sizes that both accept."""
    numbers = {rule: _numbers(rule) for rule in rules}
    cells: dict[frozenset[str], str] = {}
    for one, other in combinations(rules, 2):
        pairs = {case: (numbers[one][case], numbers[other][case]) for case in CASES}
        differ = [case for case, pair in pairs.items() if None not in pair and pair[0] != pair[1]]
        cells[frozenset((one, other))] = _condition(differ)
    rows = [(f"`{row}`", *(cells.get(frozenset((row, column)), "") for column in rules)) for row in rules]
    return table(("", *(f"`{rule}`" for rule in rules)), rows)


def in_fact() -> str:
    """Return which rules are causal in fact, found by following every read; kernel 5."""
    columns = (("zeros", 1, 1), ("zeros", 2, 1), ("zeros", 1, 2), ("replicate", 1, 1), ("reflect", 1, 1))
    rows = []
    for rule in (*CAUSAL, "same_upper"):
        found = []
        for mode, stride, dilation in columns:
            policy = ruled(rule).evolve(padding_mode=mode)
            causal = all(policy.is_causal(5, stride, dilation, length=length) for length in (12, 14, 16))
            found.append("yes" if causal else "no")
        rows.append((f"`{rule}`", *found))
    heads = (
        mode + (f", stride {stride}" if stride > 1 else "") + (f", dilation {dilation}" if dilation > 1 else "")
        for mode, stride, dilation in columns
    )
    return table(("rule", *heads), rows)


def phases() -> str:
    """Return where the first window starts and the last one ends, for growing lengths; kernel 3, stride 2."""
    lengths = (8, 9, 10, 11)
    rows = []
    for rule in ("valid", "half", "same_static", "same_upper", "same_lower", "causal"):
        cells = []
        for length in lengths:
            plan = ruled(rule).plan(3, 2, length=length)
            cells.append(f"{plan.receptive_interval(0)[0]} … {plan.receptive_interval(plan.length_out - 1)[1]}")
        rows.append((f"`{rule}`", *cells))
    return table(("rule", *(f"{length} samples" for length in lengths)), rows)


TABLES = {
    "same": same,
    "same agrees": lambda: agreement(SAME),
    "causal": causal,
    "causal agrees": lambda: agreement(CAUSAL),
    "causal in fact": in_fact,
    "phases": phases,
}
