"""Parameters of parts: what the kit draws for them, and what is refused."""

from __future__ import annotations

import re

import pytest

import convpolicy as cp
from convpolicy import testing
from convpolicy.testing import ConformanceError


def test_a_parameter_with_a_least_value_is_drawn_from_there_on():
    """The kit tries no value that convpolicy refuses, and finds a fault that only larger values show."""
    params = {"depth": cp.Param(2, kind="integer", minimum=2)}

    def rule(depth_of_the_fault):
        def pads(kernel, stride, dilation, length, *, depth):
            """Nothing."""
            return 0 // (depth - depth_of_the_fault), 0

        return cp.PaddingRule("deep", pads, params=params)

    testing.check_padding_rule(rule(1))
    with pytest.raises(ConformanceError, match="ZeroDivisionError"):
        testing.check_padding_rule(rule(4))


def test_names_of_a_parameter_are_a_tuple():
    """A text would be taken for its letters."""
    with pytest.raises(cp.InvalidTypeError, match=re.escape("allowed must be a tuple of names, got 'left'; write ('left',).")):
        cp.Param("left", kind="name", allowed=("left"))
