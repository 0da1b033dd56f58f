"""Transposed convolutions against the real ``mlx.nn.ConvTranspose1d``, to the bit, and against the float64 reference."""

from __future__ import annotations

import itertools

import mlx.core as mx
import numpy as np
import pytest
from draws import SEEDS
from mlx import nn

import convpolicy as cp
from convpolicy import reference
from convpolicy_mlx.arrays import as_numpy

IN, OUT = 4, 6
BACKEND = cp.backends()["mlx"]
LAYOUT = cp.layouts()["OWI-transposed"]
TWO_COMPUTATIONS = 2  # the tolerance bounds one of them
STRIDES, DILATIONS = (1, 2, 3, 4, 5), (1, 2, 3)
# padding and output_padding: equal cuts, what output_padding keeps and appends, and the numbers that only MLX accepts
ARGUMENTS = ((0, 0), (1, 0), (1, 1), (0, 1), (3, 2), (2, 4), (9, 0), (-1, 0), (2, -1))
CROPS = {  # what mlx.nn.ConvTranspose1d has no argument for, and what it would need a wrong gradient for
    "causal": {"padding": "causal"},
    "kept": {"padding": "at_least_stride"},
    "same": {"padding": "same_upper"},
    "same, left": {"padding": "same_lower"},
    "pair": {"padding": (3, 1)},
    "appended": {"padding": (-2, 1)},
    "appended on both sides": {"padding": (-1, -3)},
    "groups": {"padding": 1, "groups": 2},
    "groups, appended": {"padding": (-2, 2), "groups": 2},
    "circular": {"padding": (2, 1), "padding_mode": "circular"},
    "circular, appended": {"padding": (-1, 2), "padding_mode": "circular", "groups": 2},
    "by length": {"padding": "to_multiple"},
}
SHAPELESS = ("causal", "kept", "same", "same, left", "pair", "groups")  # of kernel 4 and stride 2: the convolution itself cuts


class ToMultiple:
    """A plugin with a crop rule that depends on the length: it keeps the last multiple of 4."""

    @cp.hookimpl
    def convpolicy_crop_rules(self):
        """Return the rule."""

        def to_multiple(kernel, stride, dilation, length):
            return 0, ((length - 1) * stride + (kernel - 1) * dilation + 1) % 4

        return [cp.CropRule("to_multiple", to_multiple, needs_length=True)]


@pytest.fixture(autouse=True, scope="module")
def to_multiple():
    """Register the plugin."""
    cp.register(ToMultiple(), "to-multiple")
    yield
    cp.unregister("to-multiple")


def random(*shape, seed=0):
    """Random numbers, the same at every call."""
    return np.random.default_rng([seed, *shape]).standard_normal(shape).astype(np.float32)


def values(kernel, groups=1):
    """Random weight (in, out/groups, kernel) and bias."""
    return {"weight": random(IN, OUT // groups, kernel), "bias": random(OUT)}


def built(kernel, stride=1, dilation=1, **options):
    """A layer of the backend with the weights of `values`."""
    words = {"policy": "mlx", "backend": "mlx", "seed": 0, "dilation": dilation} | options
    layer = cp.ConvTranspose1d(IN, OUT, kernel, stride, **words)
    weights = values(kernel, options.get("groups", 1))
    BACKEND.assign(layer, weights if options.get("bias", True) else {"weight": weights["weight"]})
    return layer


def own(kernel, stride, dilation, padding, output_padding, bias, dtype=mx.float32):
    """MLX's own layer with the same weights."""
    layer = nn.ConvTranspose1d(IN, OUT, kernel, stride, padding, dilation, output_padding, bias)
    weights = values(kernel)
    layer.weight = mx.array(weights["weight"].transpose(1, 2, 0))
    if bias:
        layer.bias = mx.array(weights["bias"])
    layer.set_dtype(dtype)
    return layer


def ideal(layer, plan, data):
    """The float64 reference of a layer, and the tolerance of two computations."""
    weights, spec = BACKEND.parameters(layer), plan
    groups = OUT // weights["weight"].shape[1]
    result = reference.conv_transpose1d(
        data, weights["weight"], weights["bias"], left=plan.left, right=plan.right, mode=plan.mode, stride=spec.stride,
        dilation=spec.dilation, groups=groups,
    )  # fmt: skip
    return result.output, TWO_COMPUTATIONS * reference.tolerance("float32", result.terms, result.magnitude)


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
