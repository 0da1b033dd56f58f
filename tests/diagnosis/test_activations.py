"""`why` finds and names the activation that was applied to an output, and names none for other functions."""

from __future__ import annotations

import math

import attrs
import numpy as np
import pytest
from helpers.diagnosed import X, layer

import convpolicy as cp
from convpolicy.bits.float32 import rounded
from convpolicy.diagnosis.activations import ACTIVATIONS, leaky_relu

WIDE = 8 * X  # outputs on both sides of every bend


def applied(function, base, dtype="float32"):
    """Return the output of a layer with an activation, in its dtype."""
    return function(np.float64(base(WIDE.astype(dtype)))).astype(dtype)


@pytest.mark.parametrize("activation", [*ACTIVATIONS, leaky_relu(0.2), leaky_relu(0.01)], ids=lambda activation: activation.name)
def test_each_activation(activation):
    """It is the one cause, under its name; no other explains it."""
    base = layer(bias_init=0.5)
    found = cp.why(base, applied(activation.function, base), WIDE)
    assert (found.verdict, found.change) == ("one cause", f"in a: apply {activation.name} to the output")
    assert found.alternatives == ()


def test_activations_are_what_they_say():
    """Against formulas written anew, within the range and slope that they claim."""
    x = np.linspace(-9, 9, 4001)
    formulas = {
        "relu": lambda x: x if x > 0 else 0.0,
        "gelu, exact, by erf": lambda x: x * 0.5 * math.erfc(-x / math.sqrt(2)),
        "gelu, approximate, by tanh": lambda x: x / (1 + math.exp(-2 * math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
        "sigmoid": lambda x: 1 / (1 + math.exp(-x)),
        "silu, also called swish": lambda x: x / (1 + math.exp(-x)),
        "elu": lambda x: x if x > 0 else math.exp(x) - 1,
        "softplus": lambda x: math.log(1 + math.exp(x)),
        "mish": lambda x: x * math.tanh(math.log(1 + math.exp(x))),
        "hard_swish": lambda x: x * min(max(x + 3, 0), 6) / 6,
        "log_sigmoid": lambda x: -math.log(1 + math.exp(-x)),
    }
    named = {activation.name: activation for activation in ACTIVATIONS}
    for name, formula in formulas.items():
        np.testing.assert_allclose(named[name].function(x), [formula(number) for number in x], rtol=1e-9, atol=1e-12)
    for activation in ACTIVATIONS:
        y = activation.function(x)
        assert activation.low <= y.min() <= y.max() <= activation.high, activation.name
        assert np.abs(np.diff(y) / np.diff(x)).max() <= activation.slope * (1 + 1e-9), activation.name


@pytest.mark.parametrize("function", [np.sin, np.square, lambda y: np.maximum(y, 0) + 0.01, lambda y: np.where(y > 1, 1, y)])
def test_another_function(function):
    """No activation is named for a function that is not in the table."""
    base = layer()
    assert "activation" not in [cause.aspect for cause in cp.why(base, applied(function, base), WIDE).causes]


def test_an_activation_and_another_change():
    """Both causes are named, and the changed layer has no activation."""
    base, other = layer(), layer(padding=(2, 1))
    found = cp.why(base, np.maximum(other(WIDE), 0), WIDE)
    assert [cause.aspect for cause in found.causes] == ["odd side", "activation"]
    assert found.changed.policy.plan(4, length=9).left == 2


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_in_16_bits(dtype):
    """An activation rounded to 16 bits is found, alone or among indistinguishable alternatives."""
    base = layer()
    from convpolicy.bits.float32 import rounded

    found = cp.why(base, np.asarray(rounded(np.tanh(base(WIDE)), dtype), np.float32), WIDE)
    changes = [found.change, *(cause.change for other in found.alternatives for cause in other.causes)]
    assert any("apply tanh to the output" in change for change in changes)


def test_a_function_needs_no_note():
    """Of an array or a function nothing more could be known, so nothing is said of it."""
    base = layer()
    assert cp.why(base, lambda data: np.maximum(base(data.astype("float32")), 0), WIDE).notes == ()
    assert cp.why(base, base(WIDE), WIDE).notes == ()


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_rounding_is_no_activation(dtype):
    """A layer in another precision has a slope of about 1: the precision is the one cause, and the identity is no activation."""
    base = cp.Conv1d(8, 8, 3, padding=1, seed=0)
    half = attrs.evolve(cp.capture(base), dtype=dtype, weight=rounded(base.weight, dtype), bias=rounded(base.bias, dtype))
    found = cp.why(base, half, np.random.default_rng(0).standard_normal((2, 8, 40), dtype=np.float32))
    assert (found.verdict, found.change) == ("one cause", f"in a: compute in {dtype}: round input, weight and bias to it")
    assert found.alternatives == ()


def test_a_function_receives_the_input_in_its_own_dtype():
    """float32 stays float32; whole numbers come as float64."""
    base, dtypes = layer(bias_init=0.5), []

    def function(data):
        dtypes.append(data.dtype.name)
        return base(data.astype("float32"))

    for data in (X.astype("float32"), X.astype("float16"), np.ones(X.shape, int)):
        cp.why(base, function, data)
    assert dtypes == ["float32", "float16", "float64"]
