"""Arguments of transposed convolutions that a crop rule interprets, and cuts that are wider than the full result."""

from __future__ import annotations

import numpy as np
import pytest

import convpolicy as cp
from convpolicy import reference


class Plugin:
    """A rule that counts padding from the outside, and a rule whose output_padding moves the cut but not the length."""

    @cp.hookimpl
    def convpolicy_crop_rules(self):
        """Return the rules."""

        def outer(kernel, stride, dilation, length, *, padding, output_padding):
            return 10 - padding, 10 - padding - output_padding

        def moved(kernel, stride, dilation, length, *, output_padding):
            return output_padding, 2 - output_padding

        params = {name: cp.Param(0, kind="offset") for name in ("padding", "output_padding")}
        return [
            cp.CropRule("outer", outer, params=params),
            cp.CropRule("moved", moved, params={"output_padding": cp.Param(0, kind="offset")}),
        ]


@pytest.fixture(autouse=True)
def _plugin():
    cp.register(Plugin(), "arguments")
    yield
    cp.unregister("arguments")


@pytest.mark.parametrize("padding", [3, np.int64(3)])
def test_an_int_sets_the_parameter_of_the_rule(padding):
    """Only an int, and only for a rule with the parameter: a pair is what is cut, and other rules keep their meaning."""
    half = cp.policy("torch").half().evolve(padding="outer")
    policy = half.evolve(padding=padding)
    assert policy.padding == cp.Choice("outer", padding=3)
    assert policy.static_pads(3, 2, 1) == (7, 7)
    layer = cp.ConvTranspose1d(1, 1, 3, 2, padding, 1, policy=half)
    assert layer.policy.padding == cp.Choice("outer", padding=3, output_padding=1)
    assert half.evolve(padding=(3, 2)).static_pads(3, 2, 1) == (3, 2)
    assert cp.policy("torch").half().evolve(padding=padding).static_pads(3, 2, 1) == (3, 3)
    with pytest.raises(cp.InvalidTypeError, match="padding must be an integer, got True"):
        half.evolve(padding=True)


def test_an_output_size_that_the_rule_cannot_give_is_refused():
    """output_padding of this rule moves the cut, so that the wanted length would not come out."""
    half = cp.policy("torch").half().evolve(padding="moved")
    assert half.plan(3, 2, length=5, output_size=9).length_out == 9
    with pytest.raises(cp.InvalidValueError, match="output_size must be 9 for crop rule 'moved', whose parameter output_padding"):
        half.plan(3, 2, length=5, output_size=10)


@pytest.mark.parametrize("cuts", [(-5, 6), (6, -5), (-9, 7)])
def test_a_side_may_cut_more_than_the_full_result(cuts):
    """The appended zeros are cut too: the reference's output, not one of another length."""
    draw = np.random.default_rng(0)
    weight, data = draw.standard_normal((2, 3, 3)), draw.standard_normal((1, 2, 3))
    layer = cp.ConvTranspose1d(2, 3, 3, padding=cuts, weight_init=weight, bias=False, dtype="float64")
    result = reference.conv_transpose1d(data, weight, left=cuts[0], right=cuts[1])
    output = layer(data)
    assert output.shape == result.output.shape
    assert (np.abs(output - result.output) <= 2 * reference.tolerance("float64", result.terms, result.magnitude)).all()
