"""Random layers, their judge, and faults that it has to reject. Pads are the plan's; values are `convpolicy.reference`'s."""

from __future__ import annotations

import itertools
import random
from typing import Any, NamedTuple

import numpy as np

import convpolicy as cp
from convpolicy import reference

Choice = cp.Choice
IN, OUT = 4, 8
MIRRORS = ("reflect", "symmetric", "circular")  # the modes that reach only so far
RULES = (
    *(Choice(name) for name in ("valid", "half", "full", "causal", "semicausal", "torch_same", "torch-left", "tf-right")),
    *(Choice(name, odd_side=side) for name in ("same_upper", "same_lower", "same_static") for side in ("left", "right")),
    Choice("explicit", left=2, right=1),
    Choice("explicit", left=0, right=5),
    Choice("mindspore-right"),
    Choice("paddle_same"),
)
MODES = (
    Choice("zeros"),
    Choice("constant", value=1.5),
    Choice("replicate"),
    *(Choice(name) for name in MIRRORS),
    *(Choice(name, overflow=overflow) for name in MIRRORS for overflow in ("periodic", "zero-extend")),
)


class Case(NamedTuple):
    """One layer and one input length."""

    kernel: int
    stride: int
    dilation: int
    groups: int
    bias: bool
    rule: Any
    mode: Any
    length: int
    policy: str = "torch"

    def wanted(self):
        """The policy, without its framework's claims."""
        return cp.policy(self.policy).evolve(
            name="any", stream="numpy", padding=self.rule, padding_mode=self.mode, bias=self.bias
        )

    def plan(self):
        """The plan, or None where the rule, the mode or the length do not allow one."""
        try:
            plan = self.wanted().plan(self.kernel, self.stride, self.dilation, length=self.length)
        except cp.ConvPolicyError:
            return None
        return plan if plan.length_out else None

    def layer(self, backend, weight, bias, **keywords):
        """The layer with these weights."""
        return cp.Conv1d(
            IN, OUT, self.kernel, self.stride, dilation=self.dilation, groups=self.groups, policy=self.wanted(),
            backend=backend, weight_init=weight, bias_init=bias, seed=0, **keywords,
        )  # fmt: skip


def random_cases(count, seed, rules=RULES, modes=MODES):
    """Draw ``count`` cases for each rule × mode, over every policy in turn."""
    draw, policies = random.Random(seed), itertools.cycle(cp.policies())
    for rule, mode in itertools.product(rules, modes):
        drawn = 0
        while drawn < count:
            kernel, dilation = draw.randint(1, 6), draw.randint(1, 2)
            effective = (kernel - 1) * dilation + 1
            shortest = 1 if "overflow" in dict(mode.params) else effective
            case = Case(
                kernel, draw.randint(1, 3), dilation, draw.choice((1, 2, IN)), draw.random() < 0.5, rule, mode,
                draw.randint(shortest, effective + 9), next(policies),
            )  # fmt: skip
            if case.plan() is not None:
                drawn += 1
                yield case


def arrays(seed, case, dtype="float32", batch=1):
    """Random weight, bias or None, and data."""
    draw = np.random.default_rng(seed)
    shapes = (OUT, IN // case.groups, case.kernel), (OUT,), (batch, IN, case.length)
    weight, bias, data = (draw.standard_normal(shape).astype(dtype) for shape in shapes)
    return weight, bias if case.bias else None, data


def judge(case, weight, bias, data, output):
    """Assert that the output is what the reference computes, up to rounding in the output's dtype."""
    plan, dtype = case.plan(), str(data.dtype)
    ideal = reference.conv1d(
        data, weight, bias, left=plan.left, right=plan.right, mode=case.mode.name, **dict(case.mode.params),
        stride=case.stride, dilation=case.dilation, groups=case.groups,
    )  # fmt: skip
    assert (output.dtype, output.shape) == (data.dtype, ideal.output.shape), case
    bound = reference.tolerance(dtype, ideal.terms, ideal.magnitude)
    assert (np.abs(output - ideal.output) <= bound).all(), case


def swap_sides(case, weight, bias):
    """Give each side what the other should have."""
    plan = case.plan()
    return case._replace(rule=Choice("explicit", left=plan.right, right=plan.left)), weight, bias


FAULTS = {
    "sides swapped": swap_sides,
    "kernel flipped": lambda case, weight, bias: (case, weight[..., ::-1], bias),
    "dilation ignored": lambda case, weight, bias: (case._replace(dilation=1), weight, bias),
    "stride ignored": lambda case, weight, bias: (case._replace(stride=1), weight, bias),
    "zeros whatever the mode": lambda case, weight, bias: (case._replace(mode=Choice("zeros")), weight, bias),
    "odd element on the other side": lambda case, weight, bias: (case._replace(rule=other_side(case.rule)), weight, bias),
    "bias along the wrong axis": lambda case, weight, bias: (case, weight, None if bias is None else bias[::-1]),
    "weight rounded": lambda case, weight, bias: (case, weight.astype("float16").astype(weight.dtype), bias),
    "pads 1e-3 more": lambda case, weight, bias: (case._replace(mode=raised(case.mode)), weight, bias),
}


def other_side(rule):
    """The same rule with the odd element on the other side."""
    side = {"left": "right", "right": "left"}.get(dict(rule.params).get("odd_side"))
    return rule if side is None else Choice(rule.name, odd_side=side)


def raised(mode):
    """A constant that is not quite the right one."""
    constants = {"zeros": 0.0, "constant": dict(mode.params).get("value", 0.0)}
    return Choice("constant", value=constants[mode.name] + 1e-3) if mode.name in constants else mode
