"""Checks of a padding rule; see `convpolicy.testing.rules`."""

from __future__ import annotations

from functools import partial

from convpolicy import reference
from convpolicy.core.policy import Policy
from convpolicy.testing.rules import RuleKind
from convpolicy.testing.rules import checks as checks_of_rule

KIND = RuleKind(
    function="pads",
    numbers="pads",
    expression="convpolicy.policy('torch').evolve(padding={choice})",
    policy=lambda choice: Policy("probe", bias=False, padding=choice),
    reference=reference.conv1d,
)
checks = partial(checks_of_rule, kind=KIND)
