"""A stranger's initializer is translated by the distribution that it says it draws."""

from __future__ import annotations

import pytest
from helpers.tide import CONV

import convpolicy as cp
from convpolicy.parts.choice import Choice
from convpolicy.translation.dialect import Dialect, Reader
from convpolicy.translation.distributions import Distribution
from convpolicy.translation.initializer_words import plain


def broken():
    """Fails with an error of Python's own."""
    raise KeyError("seven")


class Smooth:
    """A plugin with an initializer, and a dialect that reads it."""

    def __init__(self, distribution):
        self.initializer = cp.Initializer(
            "smooth", lambda draws, target: draws.normal(target.shape, 0, 1), distribution=distribution
        )

    @cp.hookimpl
    def convpolicy_initializers(self):
        return [self.initializer]

    @cp.hookimpl
    def convpolicy_dialects(self):
        return [Dialect("tide", reader=Reader(classes=(CONV,), initializers={"smooth": plain("smooth")}), policy="torch")]


SMOOTH = "tide.Conv(2, 4, 3, fill='smooth')"


def test_a_strangers_initializer_is_written_by_its_distribution(register):
    """In every framework; without a distribution, or with one that none of them has, a comment says that the default is left."""
    register(Smooth(lambda: Distribution("normal", mean=0.0, std=2.0)))
    assert "nn.init.normal_(layer.weight, mean=0.0, std=2.0)" in cp.translate(SMOOTH, "tide", "torch")
    assert "initializer.Normal(sigma=2.0, mean=0.0)" in cp.translate(SMOOTH, "tide", "mindspore")
    assert "RandomNormal(mean=0.0, stddev=2.0)" in cp.translate(SMOOTH, "tide", "keras")
    assert "nnx.initializers.normal(2.0)" in cp.translate(SMOOTH, "tide", "flax")
    assert "nn.initializer.Normal(mean=0.0, std=2.0)" in cp.translate(SMOOTH, "tide", "paddle")


@pytest.mark.parametrize(
    "distribution", [None, lambda: Distribution("cauchy", width=1.0), lambda: Distribution("constant", value=1e999)]
)
def test_an_initializer_without_a_counterpart_is_a_comment(register, distribution):
    """Not an error, whatever the target."""
    register(Smooth(distribution))
    for target in ("torch", "mindspore", "keras", "flax", "paddle"):
        assert "# initial weight: smooth has no counterpart here" in cp.translate(SMOOTH, "tide", target)


@pytest.mark.parametrize(("distribution", "sentence"), [
    (broken, r"distribution of initializer 'smooth' \(stranger\) failed for {}: KeyError: 'seven'"),
    (lambda: "normal", r"distribution of initializer 'smooth' \(stranger\) must return a Distribution, got str"),
    (lambda: Distribution("normal", sigma=1.0), "distribution 'normal' must have mean, std, got sigma"),
])  # fmt: skip
def test_a_wrong_distribution_is_reported(register, distribution, sentence):
    """With the initializer, its plugin and what came."""
    register(Smooth(distribution))
    with pytest.raises(cp.ConvPolicyError, match=sentence):
        cp.translate(SMOOTH, "tide", "torch")


def test_every_initializer_has_a_distribution_that_names_its_parameters():
    """Of the built-in ones all but fixed arrays and a depthwise kernel's, which no other framework has."""
    without = {name for name, part in cp.initializers().items() if part.distribution is None}
    assert without == {"array", "keras_depthwise_glorot_uniform"}
    for name, part in cp.initializers().items():
        if name not in without:
            assert isinstance(part.distribution(**part.arguments(Choice(name))), Distribution)
