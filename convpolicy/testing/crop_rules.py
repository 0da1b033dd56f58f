"""Checks of a crop rule; see `convpolicy.testing.rules`."""

from __future__ import annotations

import numpy as np

from convpolicy import reference
from convpolicy.core.transposed_policy import TransposedPolicy
from convpolicy.parts.choice import Choice
from convpolicy.parts.crop import CropRule
from convpolicy.testing import rules
from convpolicy.testing.backend_cases import TWO_COMPUTATIONS
from convpolicy.testing.common import MAX_EXAMPLES, Sizes, offered, require
from convpolicy.testing.ladder import Check
from convpolicy.testing.probe import layer_of, plan_of


def checks(rule: CropRule, max_examples: int = MAX_EXAMPLES) -> list[Check]:
    """Return the checks of a crop rule, lowest rung first, with one for each property that it declares."""
    return rules.checks(rule, KIND, max_examples)


def _policy(choice: Choice) -> TransposedPolicy:
    return TransposedPolicy("probe", padding=choice)


def _values(rule: CropRule, sizes: Sizes, choice: Choice) -> None:
    """A transposed layer with this rule equals the float64 reference with what the rule cuts, also where it appends zeros."""
    cuts = rules.resolved(rule, sizes, choice)
    with offered(rule) as name:
        policy = _policy(Choice(name, **dict(choice.params)))
        if cuts is None or plan_of(policy, sizes) is None:
            return
        data = np.random.default_rng(sizes.length).integers(-9, 9, (1, 1, sizes.length))
        output = layer_of(policy, sizes)(data[0])
    ideal = reference.conv_transpose1d(
        data, np.ones((1, 1, sizes.kernel)), [1.0], left=cuts[0], right=cuts[1], stride=sizes.stride, dilation=sizes.dilation
    )
    bound = TWO_COMPUTATIONS * reference.tolerance("float64", ideal.terms, ideal.magnitude)
    same = output.shape == ideal.output[0].shape and bool((np.abs(output - ideal.output[0]) <= bound[0]).all())
    require(same, f"a layer returns {output.tolist()}, and with cuts {cuts} {ideal.output[0].tolist()} is expected, for {sizes}.")


KIND = rules.RuleKind("crops", "convpolicy.policy('torch').half().evolve(padding={choice})", _policy, _values)
