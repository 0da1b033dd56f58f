"""Transposed convolutions against the real ``mlx.nn.ConvTranspose1d``, to the bit, and against the float64 reference."""

from __future__ import annotations

import itertools

import mlx.core as mx
import numpy as np
import pytest
from draws import SEEDS
from mlx import nn
from transposed_layers import (  # noqa: F401 - to_multiple is a fixture that pytest finds by its name
    ARGUMENTS,
    BACKEND,
    CROPS,
    IN,
    OUT,
    TWO_COMPUTATIONS,
    built,
    ideal,
    own,
    random,
    to_multiple,
)

import convpolicy as cp
from convpolicy import reference
from convpolicy_mlx.arrays import as_numpy

STRIDES, DILATIONS = (1, 2, 3, 4, 5), (1, 2, 3)


@pytest.mark.parametrize("kernel", range(1, 10))
def test_the_policy_is_mlxs_own_layer_to_the_bit(kernel):
    """Strides 1-5, dilations 1-3, each padding and output_padding that MLX takes: the same bits, or a refusal by both."""
    compared = refused = 0
    for stride, dilation, (padding, output_padding) in itertools.product(STRIDES, DILATIONS, ARGUMENTS):
        bias = bool((stride + dilation) % 2)
        theirs = own(kernel, stride, dilation, padding, output_padding, bias)
        layer = built(kernel, stride, dilation, padding=padding, output_padding=output_padding, bias=bias)
        assert isinstance(layer, nn.ConvTranspose1d)
        for length in (2, 7):
            data = random(2, IN, length)
            try:
                output = BACKEND.run(layer, data)
            except ValueError:
                refused += 1
                if (kernel - 1) * dilation + length > padding:  # otherwise MLX removes the input and computes with nothing
                    with pytest.raises(ValueError, match="cannot be smaller than weight"):
                        BACKEND.run(theirs, data)
                continue
            expected = BACKEND.run(theirs, data)
            assert (output.dtype, output.shape) == (expected.dtype, expected.shape)
            assert output.tobytes() == expected.tobytes(), (stride, dilation, padding, output_padding, length)
            compared += 1
    assert compared >= 180
    assert compared + refused == 270


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_sixteen_bits_are_mlxs_own_too(dtype):
    """The same bits in the 16-bit types."""
    for kernel, stride, dilation, (padding, output_padding) in itertools.product((1, 4, 7), (1, 3), (1, 2), ARGUMENTS[:4]):
        theirs = own(kernel, stride, dilation, padding, output_padding, True, getattr(mx, dtype))
        layer = built(kernel, stride, dilation, padding=padding, output_padding=output_padding, dtype=dtype)
        data = random(2, IN, 9).astype("float16" if dtype == "float16" else "float32")
        assert BACKEND.run(layer, data).tobytes() == BACKEND.run(theirs, data).tobytes()


@pytest.mark.grid(every=2)
@pytest.mark.parametrize("kernel", [1, 2, 3, 4, 5, 9])
def test_every_crop_is_the_reference(kernel):
    """Every crop, on both sides of the kernel and the stride: within the tolerance of float64, and the gradients of the adjoint."""
    compared = 0
    for stride, dilation, (name, options) in itertools.product((1, 2, 3, 5), (1, 3), CROPS.items()):
        layer = built(kernel, stride, dilation, **options)
        for length in (3, 6):
            try:
                plan = (
                    layer.plan(length)
                    if hasattr(layer, "plan")
                    else cp.capture(layer).policy.plan(kernel, stride, dilation, length=length)
                )
                if not plan.length_out:
                    continue
            except cp.InvalidValueError:
                continue
            data = random(2, IN, length)
            output, (expected, bound) = BACKEND.run(layer, data), ideal(layer, plan, data)
            assert output.shape == expected.shape
            assert (np.abs(output - expected) <= bound).all(), (name, stride, dilation, length)
            upstream = random(*output.shape)
            check_gradients(layer, plan, data, upstream)
            compared += 1
    assert compared >= 120


def check_gradients(layer, plan, data, upstream):
    """Gradients are those of the adjoint: ``sum(output * upstream)`` is linear in the data, in the weight and in the bias."""
    found, weights = BACKEND.gradients(layer, data, upstream), BACKEND.parameters(layer)
    magnitude = np.abs(upstream).sum() * max(np.abs(data).max(), np.abs(weights["weight"]).max(), 1)
    bound = TWO_COMPUTATIONS * reference.tolerance("float32", upstream.size + weights["weight"].size, magnitude)
    direction = {"input": random(*data.shape, seed=1), "weight": random(*weights["weight"].shape, seed=1)}
    for name, value in direction.items():
        assert found[name].shape == value.shape, f"shape of {name}"
        changed = {"input": data, "weight": weights["weight"]} | {name: value}
        groups = OUT // weights["weight"].shape[1]
        slope = reference.conv_transpose1d(
            changed["input"], changed["weight"], None, left=plan.left, right=plan.right, mode=plan.mode, stride=plan.stride,
            dilation=plan.dilation, groups=groups,
        ).output  # fmt: skip
        assert abs((found[name] * value).sum() - (slope * upstream).sum()) <= bound, name
    assert np.abs(found["bias"] - upstream.sum((0, 2))).max() <= bound


def test_mlxs_own_gradient_is_wrong_where_it_appends_zeros():
    """The reason for the subclass: with a stride above 1 and appended zeros, MLX's own layer has another gradient of the input."""
    theirs = own(3, 2, 1, 0, 1, True)
    layer = built(3, 2, 1, output_padding=1)
    data = random(2, IN, 5)
    output = BACKEND.run(layer, data)
    assert output.tobytes() == BACKEND.run(theirs, data).tobytes()
    plan = layer.plan(5)
    check_gradients(layer, plan, data, random(*output.shape))
    with pytest.raises(AssertionError, match="input"):
        check_gradients(theirs, plan, data, random(*output.shape))


def test_which_layers_are_mlxs_own():
    """A plain layer where MLX can cut exactly and its gradient is right, otherwise a subclass."""
    plain = (
        {},
        {"padding": 2},
        {"padding": (3, 0)},
        {"padding": "causal"},
        {"padding": "same_lower"},
        {"padding": 1, "output_padding": 1},
    )
    for options in plain:
        assert type(built(5, 2, **options)) is nn.ConvTranspose1d
    assert type(built(5, 1, padding=(-1, 0))) is nn.ConvTranspose1d
    for options in (
        {"output_padding": 1},
        {"padding": 5},
        {"groups": 2},
        {"padding_mode": "circular"},
        {"padding": "to_multiple"},
    ):
        assert type(built(5, 2, **options)).__name__ == "CroppedConvTranspose1d"


@pytest.mark.parametrize("dtype", BACKEND.dtypes)
def test_initial_weights(dtype):
    """After a seed, with NumPy alone and without a seed: the bits of layers in a row, and the state behind them."""
    for seed in SEEDS:
        mx.random.seed(seed)
        stream = cp.random_stream("mlx", seed)
        for inputs, outputs, kernel in ((3, 4, 5), (4, 8, 3), (1, 1, 1), (128, 96, 9)):
            theirs = nn.ConvTranspose1d(inputs, outputs, kernel)
            theirs.set_dtype(getattr(mx, dtype))
            for policy in ("mlx", "mlx@0.32.3"):
                half = cp.policy(policy).half()
                again = half.initial(inputs, outputs, kernel, stream=stream if policy == "mlx" else None, seed=seed, dtype=dtype)
                if policy == "mlx":
                    assert np.array_equal(as_numpy(theirs.weight), again["weight"].transpose(1, 2, 0))
                    assert np.array_equal(as_numpy(theirs.bias), again["bias"])
        assert tuple(mx.random.state[0].tolist()) == stream.key
        mx.random.seed(seed)
        first = nn.ConvTranspose1d(4, 8, 3)
        after = mx.random.uniform(shape=(4,))
        for options in ({}, {"output_padding": 1}, {"padding_mode": "circular", "padding": 1}):
            mx.random.seed(seed)
            layer = cp.ConvTranspose1d(4, 8, 3, 2, policy="mlx", backend="mlx", **options)
            assert np.array_equal(as_numpy(layer.weight), as_numpy(first.weight))
            assert np.array_equal(as_numpy(mx.random.uniform(shape=(4,))), as_numpy(after))


FAULTS = {
    "the other side": lambda weights, options: (weights, options | {"padding": (1, 2)}),
    "axes exchanged": lambda weights, options: ({**weights, "weight": weights["weight"].transpose(1, 0, 2)}, options),
    "kernel reversed": lambda weights, options: ({**weights, "weight": weights["weight"][..., ::-1]}, options),
    "bias reversed": lambda weights, options: ({**weights, "bias": weights["bias"][::-1]}, options),
    "one sample more": lambda weights, options: (weights, options | {"padding": (2, 0)}),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_wrong_layer_is_rejected(fault):
    """The comparison with the reference tells a layer with a fault from the right one."""
    square = {"weight": random(IN, IN, 5), "bias": random(IN)}
    data, options = random(2, IN, 7), {"padding": (2, 1)}

    def output(weights, options):
        layer = cp.ConvTranspose1d(IN, IN, 5, 2, policy="mlx", backend="mlx", **options)
        BACKEND.assign(layer, weights)
        return BACKEND.run(layer, data)

    result = reference.conv_transpose1d(data, square["weight"], square["bias"], left=2, right=1, stride=2)
    bound = TWO_COMPUTATIONS * reference.tolerance("float32", result.terms, result.magnitude)
    assert (np.abs(output(square, options) - result.output) <= bound).all()
    wrong = output(*FAULTS[fault](square, options))
    assert wrong.shape != result.output.shape or not (np.abs(wrong - result.output) <= bound).all()
