"""Parameters of parts: what the kit draws for them, and what is refused."""

from __future__ import annotations

import re

import pytest

import convpolicy as cp
from convpolicy import testing
from convpolicy.testing import ConformanceError


def test_a_parameter_with_a_least_value_is_drawn_from_there_on():
    """The kit tries no value that convpolicy refuses, which it would call a fault, and finds a fault that only larger values show."""
    params = {"depth": cp.Param(2, kind="integer", minimum=2)}

    def mode(depth_of_the_fault):
        def source(positions, length, *, depth):
            """Copies of the first sample."""
            return positions * (0 // (depth - depth_of_the_fault))

        return cp.PaddingMode("deep", source, params=params)

    testing.check_padding_mode(mode(1))
    with pytest.raises(ConformanceError, match="ZeroDivisionError"):
        testing.check_padding_mode(mode(4))


def test_names_of_a_parameter_are_a_tuple():
    """A text would be taken for its letters."""
    with pytest.raises(cp.InvalidTypeError, match=re.escape("allowed must be a tuple of names, got 'left'; write ('left',).")):
        cp.Param("left", kind="name", allowed=("left"))
