"""Padding rules: each against its published formula, the measured golden table, and what its sentence claims, by brute force."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from helpers.differential import Choice
from helpers.measured import CAUSAL, COLUMNS, SAME_LOWER, SAME_UPPER, TORCH_SAME
from helpers.padding_rules import GRID, LENGTHS, RULES, STRIDE_ONE, TORCH, check_rule, choice_of, sizes_for

import convpolicy as cp
from convpolicy import reference

SAMES = ("same_upper", "same_lower", "tf-right", "mindspore-right")  # stride-aware, ceil(length / stride) outputs
ODD_SIDE = {
    "same_upper": "right",
    "same_lower": "left",
    "same_static": "right",
    "tf-right": "right",
    "mindspore-right": "right",
}


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_is_its_published_formula(rule):
    """All registered rules, on every size and length of the grid."""
    check_rule(choice_of(rule), choice_of(rule))


@pytest.mark.parametrize("mode", ["zeros", "reflect", "odd"])
@pytest.mark.parametrize("pads", [(1, -1), (-2, 3), (-1, -2), (2, 1)])
def test_a_pair_adds_and_cuts(pads, mode):
    """A negative number in a pair cuts samples away on its side, after the other side was added from the whole input."""
    data = np.random.default_rng(0).standard_normal((1, 1, 7))
    layer = cp.Conv1d(1, 1, 1, padding=pads, padding_mode=mode, weight_init=1.0, bias=False, dtype="float64")
    whole = [max(pad, 0) for pad in pads]
    padded = reference.pad(data[0, 0].tolist(), *whole, mode)
    assert layer(data)[0, 0].tolist() == padded[max(-pads[0], 0) : len(padded) - max(-pads[1], 0)]
    assert (layer.plan(7).left, layer.plan(7).right) == pads


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("rule", ODD_SIDE)
def test_the_odd_side_is_a_field(rule, side):
    """Every rule that splits an odd total takes ``odd_side``; only that field decides, whatever the rule's name says."""
    total_by = "same_static" if rule == "same_static" else "same_upper"
    check_rule(Choice(rule, odd_side=side), Choice(total_by, odd_side=side))


def test_which_rules_have_an_odd_side_and_its_default():
    """The default is the side of the framework or paper that the rule is named after; no other rule has the field."""
    defaults = {name: part.params["odd_side"].default for name, part in cp.padding_rules().items() if "odd_side" in part.params}
    assert defaults == ODD_SIDE | {"torch_same": "right", "torch-left": "left"}


# -- the golden table: (left, right, length_out) for the sizes and lengths in COLUMNS ---------------------------------------

GOLDEN = {
    # measured on the frameworks; None: torch refuses
    "same_upper": SAME_UPPER,
    "tf-right": SAME_UPPER,
    "mindspore-right": SAME_UPPER,
    "same_lower": SAME_LOWER,
    "causal": CAUSAL,
    "torch_same": TORCH_SAME,
    "paddle_same": [pads if dilation == 1 else None for (*_, dilation, _length), pads in zip(COLUMNS, SAME_UPPER)],
    # worked out by hand
    "torch-left": [(2, 1, 10), None, None, None, (5, 4, 10), (2, 2, 10), None],
    "valid": [(0, 0, 7), (0, 0, 4), (0, 0, 5), (0, 0, 2), (0, 0, 1), (0, 0, 6), (0, 0, 3)],
    "explicit": [(3, 1, 11), (3, 1, 6), (3, 1, 7), (3, 1, 4), (3, 1, 5), (3, 1, 10), (3, 1, 5)],
    "same_static": [(1, 2, 10), (1, 1, 5), (1, 1, 6), (2, 2, 4), (4, 5, 10), (2, 2, 10), (2, 2, 5)],
    "half": [(2, 2, 11), (1, 1, 5), (1, 1, 6), (2, 2, 4), (2, 2, 5), (1, 1, 8), (1, 1, 4)],
    "full": [(3, 3, 13), (2, 2, 6), (2, 2, 7), (4, 4, 5), (9, 9, 19), (4, 4, 14), (4, 4, 7)],
    "semicausal": [(3, 0, 10), (1, 1, 5), (1, 1, 6), (2, 2, 4), (9, 0, 10), (4, 0, 10), (3, 1, 5)],
    "semicausal_full": [(3, 3, 13), (1, 2, 6), (1, 2, 6), (2, 4, 4), (9, 9, 19), (4, 4, 14), (3, 4, 7)],
    "reverse_causal": [(0, 3, 10), (0, 2, 5), (0, 2, 6), (0, 4, 4), (0, 9, 10), (0, 4, 10), (0, 4, 5)],
}


@pytest.mark.parametrize("rule", RULES)
def test_the_golden_table(rule):
    """Pads and output lengths measured on the frameworks, and by hand for the rules that none has; every rule has a row."""
    policy = TORCH.evolve(padding=choice_of(rule))
    for (*sizes, length), expected in zip(COLUMNS, GOLDEN[rule]):
        if expected is None:
            with pytest.raises(
                cp.ConvPolicyError,
                match=f"padding rule '{rule}': (stride must be 1, got {sizes[1]}|dilation must be 1, got {sizes[2]})",
            ):
                policy.plan(*sizes, length=length)
        else:
            plan = policy.plan(*sizes, length=length)
            assert (plan.left, plan.right, plan.length_out) == expected, (sizes, length)


@pytest.mark.parametrize("rule", STRIDE_ONE)
def test_stride_is_refused_before_any_length_is_known(rule):
    """As torch does at construction: the layer is not built, and stride 1 is."""
    with pytest.raises(ValueError, match="stride must be 1, got 2"):
        cp.Conv1d(1, 1, 3, 2, rule)
    assert cp.Conv1d(1, 1, 3, 1, rule).weight.shape == (1, 1, 3)


# -- what the rules claim, by brute force ---------------------------------------------------------------------------------


def starts(length, kernel, stride, dilation, left, right):
    """Place windows one by one; return the input positions at which each begins."""
    placed, start = [], -left
    while start + (kernel - 1) * dilation < length + right:
        placed.append(start)
        start += stride
    return placed


@pytest.mark.parametrize("rule", SAMES)
def test_same_gives_one_output_per_stride_with_least_padding(rule):
    """ceil(length / stride) outputs, divisible or not; with one element less there would be fewer."""
    for (kernel, stride, dilation), length in itertools.product(GRID, LENGTHS):
        plan = TORCH.evolve(padding=rule).plan(kernel, stride, dilation, length=length)
        blocks = len(range(0, length, stride))
        assert plan.length_out == blocks
        total = plan.left + plan.right
        enough = [n for n in range(total + 1) if len(starts(length, kernel, stride, dilation, n, 0)) >= blocks]
        assert enough == [total]
        odd = (plan.left > plan.right) - (plan.left < plan.right)
        assert odd == (total % 2) * (1 if ODD_SIDE[rule] == "left" else -1)


def reads(rule, kernel, stride, dilation, length):
    """Return for each window the input positions that it reads, padding included."""
    plan = TORCH.evolve(padding=rule).plan(kernel, stride, dilation, length=length)
    placed = starts(length, kernel, stride, dilation, plan.left, plan.right)
    assert len(placed) == plan.length_out
    return [range(start, start + (kernel - 1) * dilation + 1, dilation) for start in placed]


@pytest.mark.parametrize(("kernel", "stride", "dilation"), GRID)
def test_what_the_one_sided_and_wide_rules_claim(kernel, stride, dilation):
    """Causal outputs end at their own sample, semicausal ones with their block; full holds every window that touches."""
    for length in (5, 12, 13):
        causal = reads("causal", kernel, stride, dilation, length)
        assert [taps[-1] for taps in causal] == [*range(0, length, stride)]
        semicausal = reads("semicausal", kernel, stride, dilation, length)
        if stride <= (kernel - 1) * dilation + 1:
            ends = range(stride - 1, length + stride - 1, stride)
            assert [taps[-1] for taps in semicausal] == [*ends]
        else:
            assert all(taps[0] == n * stride for n, taps in enumerate(semicausal))
        full = reads("full", kernel, stride, dilation, length)
        assert [taps[0] for taps in full] == [*range(-(kernel - 1) * dilation, length, stride)]


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_is_static_where_every_length_gets_the_same_pads(rule):
    """``static_pads`` gives these pads, and None exactly where two lengths differ."""
    policy = TORCH.evolve(padding=choice_of(rule))
    for sizes in sizes_for(rule):
        plans = [policy.plan(*sizes, length=length) for length in range(1, 20)]
        pads = {(plan.left, plan.right) for plan in plans}
        assert policy.static_pads(*sizes) == (pads.pop() if len(pads) == 1 else None), sizes


def test_only_a_rule_that_needs_the_length_gets_it():
    """``needs_length`` True, False or a function of the sizes decides whether the rule is told the length or None."""
    asked = []

    def pads(kernel, stride, dilation, length):
        asked.append(length)
        return 0, 0

    for needs in (False, True, lambda kernel, stride, dilation: stride > 1):
        for stride in (1, 2):
            cp.PaddingRule("spy", pads, needs_length=needs).resolve(3, stride, 1, 9, {})
    assert asked == [None, None, 9, 9, None, 9]


@pytest.mark.parametrize(("given", "pads"), [(3, (3, 3)), (0, (0, 0)), ((2, 5), (2, 5)), ([0, 4], (0, 4)), ((6,), (6, 6))])
def test_numbers_are_explicit_pads(given, pads):
    """A whole number is both sides, a pair is (left, right), and ``explicit`` without numbers adds nothing."""
    plan = TORCH.evolve(padding=given).plan(4, 2, 3, length=20)
    assert (plan.left, plan.right) == pads
    plan = TORCH.evolve(padding="explicit").plan(4, 2, 3, length=20)
    assert (plan.left, plan.right) == (0, 0)


def test_the_cards_names_say_what_was_measured():
    """``torch-left`` keeps the documented meaning and says that torch pads right; all three say what they are another name of."""
    rules = cp.padding_rules()
    assert "Torch itself puts it on the right" in rules["torch-left"].description
    assert rules["torch-left"].alias_of == "torch_same"
    for name in ("tf-right", "mindspore-right"):
        assert rules[name].alias_of == "same_upper"
        assert rules[name].description.startswith("Alias of same_upper: ")
