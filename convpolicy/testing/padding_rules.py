"""Checks of a padding rule; see `convpolicy.testing.rules`."""

from __future__ import annotations

import numpy as np

from convpolicy import reference
from convpolicy.core.policy import Policy
from convpolicy.parts.choice import Choice
from convpolicy.parts.padding import PaddingRule
from convpolicy.testing import rules
from convpolicy.testing.backend_cases import TWO_COMPUTATIONS
from convpolicy.testing.common import MAX_EXAMPLES, Sizes, offered, require
from convpolicy.testing.ladder import Check
from convpolicy.testing.probe import layer_of, plan_of


def checks(rule: PaddingRule, max_examples: int = MAX_EXAMPLES) -> list[Check]:
    """Return the checks of a padding rule, lowest rung first, with one for each property that it declares."""
    return rules.checks(rule, KIND, max_examples)


def _policy(choice: Choice) -> Policy:
    return Policy("probe", bias=False, padding=choice)


def _values(rule: PaddingRule, sizes: Sizes, choice: Choice) -> None:
    """A layer with this rule equals the float64 reference with the padding that the rule returns."""
    pads = rules.resolved(rule, sizes, choice)
    with offered(rule) as name:
        policy = _policy(Choice(name, **dict(choice.params)))
        if pads is None or plan_of(policy, sizes) is None:
            return
        data = np.random.default_rng(sizes.length).integers(-9, 9, (1, 1, sizes.length))
        output = layer_of(policy, sizes)(data[0])
    ideal = reference.conv1d(
        data, np.ones((1, 1, sizes.kernel)), left=pads[0], right=pads[1], stride=sizes.stride, dilation=sizes.dilation
    )
    bound = TWO_COMPUTATIONS * reference.tolerance("float64", ideal.terms, ideal.magnitude)
    same = output.shape == ideal.output[0].shape and bool((np.abs(output - ideal.output[0]) <= bound[0]).all())
    require(same, f"a layer returns {output.tolist()}, and with pads {pads} {ideal.output[0].tolist()} is expected, for {sizes}.")


KIND = rules.RuleKind("pads", "convpolicy.policy('torch').evolve(padding={choice})", _policy, _values)
