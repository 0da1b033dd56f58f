"""Checks of a crop rule; see `convpolicy.testing.rules`."""

from __future__ import annotations

from functools import partial

from convpolicy import reference
from convpolicy.core.transposed_policy import TransposedPolicy
from convpolicy.testing.rules import RuleKind
from convpolicy.testing.rules import checks as checks_of_rule

KIND = RuleKind(
    function="crops",
    numbers="cuts",
    expression="convpolicy.policy('torch').half().evolve(padding={choice})",
    policy=lambda choice: TransposedPolicy("probe", padding=choice),
    reference=reference.conv_transpose1d,
)
checks = partial(checks_of_rule, kind=KIND)
