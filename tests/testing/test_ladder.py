"""The ladder in pytest, and a fault that only a batch size shows."""

from __future__ import annotations

import attrs
import pytest

import convpolicy as cp
from convpolicy import testing
from convpolicy.testing import ConformanceError

LADDER = """
import attrs
import convpolicy as cp
from convpolicy.testing import parametrize_with_checks

numpy = cp.backends()["numpy"]


@parametrize_with_checks([attrs.evolve(numpy, name="wrong", assign=lambda layer: None)], max_examples=5)
def test_wrong(check):
    check()
"""


def test_the_ladder_in_pytest(pytester):
    """One wrong signature fails one check; those above it are skipped, with its name."""
    pytester.makepyfile(LADDER)
    result = pytester.runpytest_inprocess("-rs", "-p", "no:cacheprovider")
    outcomes = result.parseoutcomes()
    assert (outcomes["failed"], outcomes["passed"]) == (1, 1)
    assert outcomes["skipped"] > 5
    result.stdout.fnmatch_lines(["*not reached: check 'signatures' of 'wrong' failed*"])


def test_a_batch_is_named():
    """A backend that fails for an empty batch is told so."""
    numpy = cp.backends()["numpy"]

    def run(layer, data):
        if not len(data):
            raise ZeroDivisionError("nothing to divide")
        return numpy.run(layer, data)

    with pytest.raises(ConformanceError, match=r"it raises ZeroDivisionError: nothing to divide, for .*, batch 0, length"):
        testing.check_backend(attrs.evolve(numpy, run=run), max_examples=5)
