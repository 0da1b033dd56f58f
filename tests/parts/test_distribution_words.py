"""Distributions as text: the numbers in it are those that are drawn."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest

import convpolicy as cp
from convpolicy.core.initial_values import in_words
from convpolicy.parts.distribution import KINDS, Distribution
from convpolicy.parts.distribution_words import TEXTS
from convpolicy.parts.distribution_words import in_words as text_of

SIZES = (24, 36, 5)  # in, out, kernel
FANS = {"fan_in": 24 * 5, "fan_out": 36 * 5, "fan_avg": 30 * 5}
TEXT = {
    "torch": "uniform ±√(1/fan_in) (PyTorch default)",
    "keras": "uniform ±√(3/fan_avg) (Glorot)",
    "flax": "truncated normal with std √(1/fan_in) (LeCun)",
    "mindspore@2.0": "normal with std 0.01",
}


@pytest.mark.parametrize("name", TEXT)
def test_defaults_of_frameworks(name):
    """The initial weights of known frameworks, as a person says them."""
    assert in_words(cp.policy(name).weight_init) == TEXT[name]
    assert TEXT[name] in str(cp.policy(name))


def test_every_kind_has_a_text():
    """Each kind of distribution that translation knows is put into words; another, or a broken part, is printed as it is."""
    assert set(TEXTS) == set(KINDS)
    assert text_of(Distribution("of-a-plugin", depth=3)) == ""
    assert in_words(cp.Choice("array", values=[1.0])) == "array(values=array([1.0]))"
    assert in_words(cp.Choice("not-registered", std=2)) == "not-registered(std=2)"
    assert text_of(Distribution("uniform", low=-0.5, high=1.0)) == "uniform from -0.5 to 1"
    assert text_of(Distribution("constant", value=0.25)) == "constant 0.25"
    assert text_of(Distribution("normal", mean=1.0, std=0.1)) == "normal with std 0.1 and mean 1"


@pytest.mark.parametrize("name", [name for name in cp.initializers() if re.match("he|lecun|glorot|xavier|kaiming", name)])
def test_the_numbers_are_those_that_are_drawn(name):
    """The bound or standard deviation of the text is that of 100 000 numbers drawn, to one percent."""
    text = in_words(cp.Choice(name))
    share, fan = re.search(r"√\(([0-9.]+)/(fan_[a-z]+)\)", text).groups()
    size = math.sqrt(float(share) / FANS[fan])
    layers = [cp.policy("torch").evolve(weight_init=name).initial(*SIZES, seed=seed)["weight"] for seed in range(24)]
    drawn = np.concatenate([layer.ravel() for layer in layers]).astype(float)
    measured = np.abs(drawn).max() if text.startswith("uniform") else drawn.std()
    assert measured == pytest.approx(size, rel=0.01)
