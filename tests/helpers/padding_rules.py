"""Padding rules by their published formulas."""

from __future__ import annotations

import itertools

from helpers.differential import Choice, Sizes, defined_pads

import convpolicy as cp

TORCH = cp.policy("torch")
STRIDE_ONE = ("torch_same", "torch-left")  # refuse any other stride
DILATION_ONE = ("paddle_same",)  # refuses any other dilation
RULES = [name for name, rule in cp.padding_rules().items() if rule.provider == "padding_rules"]  # the built-in ones
GRID = [*itertools.product((1, 2, 3, 4, 5, 8), (1, 2, 3, 4, 7), (1, 2, 3))]  # kernel, stride, dilation
LENGTHS = (1, 2, 3, 5, 8, 9, 12, 13, 30)


def choice_of(rule):
    """Return the rule as the tests ask for it; ``explicit`` has no meaning without its numbers."""
    return Choice(rule, left=3, right=1) if rule == "explicit" else Choice(rule)


def sizes_for(rule):
    """Return the grid of (kernel, stride, dilation) that a rule takes."""
    takes_stride, takes_dilation = rule not in STRIDE_ONE, rule not in DILATION_ONE
    return [sizes for sizes in GRID if (sizes[1] == 1 or takes_stride) and (sizes[2] == 1 or takes_dilation)]


def refuses(policy, sizes):
    """Return whether a rule refuses these sizes."""
    try:
        policy.plan(*sizes, length=9)
    except ValueError:
        return True
    return False


def check_rule(chosen, defined):
    """Assert that plans with the rule ``chosen`` pad, or are refused, as the rule ``defined`` is published, for all sizes."""
    policy = TORCH.evolve(padding=chosen)
    taken = sizes_for(defined.name)
    assert [sizes for sizes in GRID if not refuses(policy, sizes)] == taken, f"{chosen} takes other sizes"
    for (kernel, stride, dilation), length in itertools.product(taken, LENGTHS):
        sizes = Sizes(kernel, stride, dilation, groups=1, bias=False)
        plan = policy.plan(kernel, stride, dilation, length=length)
        assert (plan.left, plan.right) == defined_pads(defined, sizes, length), f"{chosen} pads otherwise: {plan}"
