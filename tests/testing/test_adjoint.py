"""The kit's reference gradients, and how many terms each is a sum of: the most products that any number of it adds."""

from __future__ import annotations

import numpy as np
import pytest

from convpolicy.testing.adjoint import adjoint, counts, transposed_adjoint, transposed_counts
from convpolicy.testing.backend_cases import IN, arrays, ideal_of, sample
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


TRANSPOSED = sample(40, "transposed", transposed=True)


def upstream_of(case, plan):
    """Random whole numbers, so that every sum is exact."""
    return (
        np.random.default_rng(plan.length_out)
        .integers(-9, 10, (case.batch, case.spec.out_channels, plan.length_out))
        .astype(float)
    )


@pytest.mark.parametrize("case", TRANSPOSED, ids=str)
def test_gradients_of_transposed_layers(case):
    """The output is linear in the input and in the weight: each gradient gives the difference that a change of it makes, exactly."""
    plan, (values, data) = case.plan(), arrays(0, case, "float64")
    weight, bias, data = (np.round(9 * array) for array in (values["weight"], np.ones(case.spec.out_channels), data))
    upstream = upstream_of(case, plan)
    gradients = transposed_adjoint(case.spec, plan, weight, data, upstream)
    sums = [
        (ideal_of(case, {"weight": weight, "bias": None}, data).output * upstream).sum(),
        (ideal_of(case, {"weight": 0 * weight, "bias": bias}, data).output * upstream).sum(),
    ]
    assert (gradients["input"] * data).sum() == (gradients["weight"] * weight).sum() == sums[0]
    assert (gradients["bias"] * bias).sum() == sums[1]
    for array, role in ((data, "input"), (weight, "weight")):
        changed = np.zeros_like(array)
        changed.ravel()[array.size // 2] = 1
        arguments = {"weight": weight, "bias": None}, changed
        if role == "weight":
            arguments = {"weight": changed, "bias": None}, data
        difference = (ideal_of(case, *arguments).output * upstream).sum()
        assert gradients[role].ravel()[array.size // 2] == difference


@pytest.mark.parametrize("case", TRANSPOSED, ids=str)
def test_counts_of_transposed_layers(case):
    """With ones everywhere each product counts once: no number adds more terms than are counted, and the busiest adds as many."""
    spec, plan = case.spec, case.plan()
    ones = np.ones(spec.weight_shape), np.ones((2, IN, plan.length)), np.ones((2, spec.out_channels, plan.length_out))
    found, terms = transposed_adjoint(spec, plan, *ones, absolute=True), transposed_counts(spec, plan)
    for role in ("weight", "bias"):
        assert terms[role] == found[role].max()
    assert terms["input"] == max(found["input"].max(), spec.out_channels // spec.groups)
