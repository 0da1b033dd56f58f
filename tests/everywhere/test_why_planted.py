"""`why` of whole models of every pair among torch, Keras, Flax and MindSpore: each planted difference is found in its module."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from helpers.whole_networks import DIFFERENCES, LENGTH, PATHS, built

import convpolicy as cp

pytestmark = pytest.mark.needs("torch", "mindspore", "keras", "tensorflow", "flax")
PAIRS = list(itertools.combinations(PATHS, 2))
TOGETHER = [("batch norm eps", "gelu"), ("dropout", "transposed"), ("slope", "layer norm eps"), ("flipped", "bias not loaded")]
each_pair = pytest.mark.parametrize("pair", PAIRS, ids="-".join)
X = np.random.default_rng(1).standard_normal((3, 4, LENGTH), dtype=np.float32)


def module(framework, part):
    """Return the path of a part."""
    return PATHS[framework].get(part, part)


@pytest.fixture(scope="module")
def originals():
    """The networks without differences."""
    return {framework: built(framework) for framework in PATHS}


@each_pair
def test_equal_models(originals, pair):
    """Twins are equal up to rounding, in both directions, and nothing is named."""
    for a, b in (pair, pair[::-1]):
        diagnosis = cp.why(originals[a], originals[b], X)
        assert diagnosis.equal, diagnosis
        assert diagnosis.causes == ()


@each_pair
@pytest.mark.parametrize("names", [*((name,) for name in DIFFERENCES), *TOGETHER], ids="+".join)
def test_planted_differences(originals, pair, names):
    """Exactly the right modules, and in each the right cause; alone and in pairs."""
    a, b = pair
    diagnosis = cp.why(originals[a], built(b, *names), X)
    parts = [DIFFERENCES[name][2:] for name in names]
    assert {cause.path_b for cause in diagnosis.causes} == {module(b, part) for part, _aspect in parts}, diagnosis
    assert {(cause.path_b, cause.aspect) for cause in diagnosis.causes} >= {
        (module(b, part), aspect) for part, aspect in parts
    }, diagnosis
