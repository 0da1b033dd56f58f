"""Transposed layers are captured, compiled and built elsewhere, or refused in one sentence."""

from __future__ import annotations

import itertools

import mlx.core as mx
import numpy as np
import pytest
from mlx import nn
from transposed_layers import (  # noqa: F401 - to_multiple is a fixture that pytest finds by its name
    ARGUMENTS,
    BACKEND,
    CROPS,
    IN,
    OUT,
    built,
    ideal,
    own,
    random,
    to_multiple,
)

import convpolicy as cp
from convpolicy_mlx.arrays import as_numpy

SHAPELESS = ("causal", "kept", "same", "same, left", "pair", "groups")  # of kernel 4 and stride 2: the convolution itself cuts


@pytest.mark.parametrize("name", CROPS)
def test_captured_and_built_elsewhere(name):
    """Capture, NumPy, capture, MLX: every bit of the weights, the plan, and the outputs."""
    layer = built(4, 2, **CROPS[name])
    captured = cp.capture(layer)
    data = random(2, IN, 7)
    elsewhere = captured.build("numpy")
    again = cp.capture(elsewhere).build("mlx")
    assert captured.spec.transposed
    assert captured.weight.tobytes() == elsewhere.weight.tobytes()
    assert BACKEND.run(again, data).tobytes() == BACKEND.run(layer, data).tobytes()
    expected, bound = ideal(layer, captured.policy.plan(4, 2, length=7), data)
    assert (np.abs(elsewhere(data) - expected) <= bound).all()


def test_mlxs_own_arguments_are_captured():
    """Each padding and output_padding, also those beyond the kernel: the plan is what MLX computes."""
    for kernel, stride, dilation, (padding, output_padding) in itertools.product((1, 3, 5), (1, 2), (1, 2), ARGUMENTS):
        layer = own(kernel, stride, dilation, padding, output_padding, True)
        captured, data = cp.capture(layer), random(1, IN, 12)
        plan = captured.policy.plan(kernel, stride, dilation, length=12)
        assert captured.policy.padding.name == "explicit"
        if plan.length_out:
            output, (expected, bound) = BACKEND.run(layer, data), ideal(layer, plan, data)
            assert output.shape == expected.shape
            assert (np.abs(output - expected) <= bound).all()
    assert str(cp.capture(own(3, 2, 1, 1, 1, True)).policy.padding) == "explicit(left=1, output_padding=1, right=1)"


class Doubled(nn.ConvTranspose1d):
    """Another function under the same name."""

    def __call__(self, x):
        return 2 * super().__call__(x)


def changed(layer=None, **attributes):
    """A layer, some of whose attributes were written over."""
    layer = own(3, 2, 1, 1, 0, True) if layer is None else layer
    for name, value in attributes.items():
        setattr(layer, name, value)
    return layer


REFUSED = {
    "subclass": (lambda: Doubled(4, 8, 3), "layer Doubled cannot be captured exactly: its class has another __call__; capture a plain nn.ConvT"),
    "pair": (lambda: changed(padding=(1, 2)), r"its padding is \(1, 2\), with which MLX does not run; set an integer"),
    "output_padding": (lambda: changed(output_padding=None), "its output_padding is None, with which MLX does not run"),
    "mixed": (lambda: changed(bias=mx.zeros(OUT, mx.float16)), "its weight and bias are float16, float32"),
    "bias": (lambda: changed(built(3, 2, groups=2), bias=mx.zeros(3)), r"its bias has shape \(3,\); replace it with one of shape \(6,\)"),
    "stride": (lambda: changed(stride=0), "stride must be .*got 0"),
    "resized": (lambda: changed(built(3, 2, groups=2), stride=1), "its sizes or padding were changed after it was built"),
    "cut twice": (lambda: changed(built(3, 2, groups=2), output_padding=1), "its sizes or padding were changed after it was built"),
    "short": (lambda: built(4, 2, padding=(-1, 12))(mx.zeros((1, 2, IN))), "input of length 2 is too short"),
    "channels": (lambda: built(4, 2, groups=2)(mx.zeros((1, IN, 9))), r"input must have shape \(batch, length, 4\), got \(1, 4, 9\)"),
    "reflect": (lambda: built(4, 2, padding_mode="reflect"), "padding_mode of a transposed convolution must be one of zeros, circular, got 'reflect'"),
    "same": (lambda: built(4, 2, padding="same"), "crop rule"),
    "float64": (lambda: built(4, dtype="float64"), "dtype must be one of float32, float16, bfloat16"),
    "device": (lambda: built(4, device="gpu"), "device must be None for backend 'mlx', got 'gpu'"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_refusals(name):
    """Each in one sentence, with the reason."""
    make, says = REFUSED[name]
    with pytest.raises((cp.InvalidValueError, LookupError), match=says) as raised:
        cp.capture(make())
    assert isinstance(raised.value, cp.ConvPolicyError)


@pytest.mark.parametrize("name", CROPS)
def test_compile(name):
    """For every length that comes; with shapeless=True the cuts of the first length are never used for another."""
    layer = built(4, 2, **CROPS[name])
    compiled, shapeless = mx.compile(layer), mx.compile(layer, shapeless=True)
    lengths = (5, 9, 14)
    inputs = [mx.array(random(2, length, IN)) for length in lengths]
    for data in inputs:
        assert mx.allclose(compiled(data), layer(data), rtol=1e-5, atol=1e-6)
    if name in SHAPELESS:
        assert all(as_numpy(shapeless(data)).tobytes() == as_numpy(layer(data)).tobytes() for data in inputs)
    else:
        with pytest.raises(ValueError, match=r"(Pad|Slice|Reshape) cannot infer output shapes"):
            mx.eval([shapeless(data) for data in inputs])
    assert layer(mx.zeros((0, 9, IN))).shape == (0, *layer(inputs[1]).shape[1:])
