"""How many terms a gradient is a sum of, which the kit's bounds are made from: the most products that any number of it adds."""

from __future__ import annotations

import numpy as np
import pytest

from convpolicy.testing.adjoint import adjoint, counts
from convpolicy.testing.backend_cases import IN, sample
from convpolicy.testing.learned import MODES

COPYING = ("zeros", "replicate", "reflect", "symmetric", "circular")


def products(case, plan):
    """The gradients of a layer of ones, with data and upstream of ones: each product counts once where samples are copied."""
    spec = case.spec
    ones = np.ones(spec.weight_shape), np.ones((2, IN, plan.length)), np.ones((2, spec.out_channels, plan.length_out))
    return adjoint(spec, plan, *ones, absolute=True)


@pytest.mark.parametrize("case", [case for case in sample(60, "counts") if case.mode.name in COPYING], ids=str)
def test_counts_of_copies(case):
    """No number adds more, and the one to the input that adds the most adds as many."""
    plan = case.plan()
    found, terms = products(case, plan), counts(case.spec, plan)
    assert terms["input"] == max(found["input"].max(), 1)
    assert terms["bias"] == found["bias"].max()
    assert terms["weight"] >= found["weight"].max()


@pytest.mark.parametrize("mode", MODES, ids=str)
def test_counts_of_a_learned_constant(mode):
    """The gradient to one number adds those of all channels."""
    for case in sample(12, "counts of learned", modes=[mode]):
        plan = case.plan()
        terms = counts(case.spec, plan)["padding_value"]
        assert products(case, plan)["padding_value"].sum() <= terms <= products(case, plan)["padding_value"].sum() + 10
