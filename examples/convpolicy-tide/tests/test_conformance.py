"""Every part of this plugin keeps what convpolicy asks of it."""

import convpolicy as cp
from convpolicy.testing import parametrize_with_checks


@parametrize_with_checks(
    [
        cp.padding_rules()["tide-lookahead"],
        cp.padding_modes()["tide-alternate"],
        cp.initializers()["tide-smoothing"],
        cp.policy("tide"),
        cp.backends()["tide-einsum"],
    ]
)
def test_conformance(check):
    check()
