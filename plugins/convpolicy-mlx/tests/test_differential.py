"""The plugin against the real MLX, to the bit: outputs of ``mlx.nn.Conv1d``, and draws of ``mx.random`` and ``mlx.nn.init``."""

from __future__ import annotations

import itertools
import math

import mlx.core as mx
import numpy as np
import pytest
from draws import SEEDS
from mlx import nn

import convpolicy as cp
from convpolicy_mlx import bits
from convpolicy_mlx.arrays import as_numpy

IN, OUT = 4, 8
BACKEND = cp.backends()["mlx"]
PADDINGS = (0, 1, 3, -1)
INIT_SHAPES = ((8, 3, 4), (33, 5, 2), (7, 1, 1), (64, 9, 16))  # (out, kernel, in)


@pytest.mark.parametrize("dtype", BACKEND.dtypes)
@pytest.mark.parametrize("kernel", range(1, 7))
def test_the_policy_mlx_is_mlxs_own_layer_to_the_bit(kernel, dtype):
    """Strides 1-3, dilations 1-2, groups 1, 2 and depthwise, with and without bias, padding on both sides: the same bits."""
    compared = 0
    for stride, dilation, groups, bias in itertools.product((1, 2, 3), (1, 2), (1, 2, IN), (True, False)):
        draw = np.random.default_rng(compared)
        shapes = (OUT, IN // groups, kernel), (OUT,), (2, IN, (kernel - 1) * dilation + 13)
        weight, bias_values, data = (draw.standard_normal(shape).astype(np.float32) for shape in shapes)
        data = data if dtype == "bfloat16" else data.astype(dtype)
        for padding in PADDINGS:
            sizes = {"stride": stride, "dilation": dilation, "groups": groups}
            rule = cp.Choice("crop", left=-padding, right=-padding) if padding < 0 else padding
            ours = cp.Conv1d(IN, OUT, kernel, padding=rule, bias=bias, policy="mlx", backend="mlx", dtype=dtype, **sizes)
            own = nn.Conv1d(IN, OUT, kernel, padding=padding, bias=bias, **sizes)
            own.set_dtype(getattr(mx, dtype))
            assert type(ours) is nn.Conv1d
            assert list(ours.parameters()) == list(own.parameters())
            for layer in (ours, own):
                BACKEND.assign(layer, {"weight": weight, "bias": bias_values if bias else None})
            for cut in (0, 5, 9):
                expected, actual = (BACKEND.run(layer, data[..., cut:]) for layer in (own, ours))
                assert (expected.dtype, expected.shape) == (actual.dtype, actual.shape)
                assert expected.tobytes() == actual.tobytes(), (sizes, padding)
        compared += 1
    assert compared == 36


@pytest.mark.parametrize("dtype", BACKEND.dtypes)
@pytest.mark.parametrize(("left", "right"), [(2, 0), (0, 3), (5, 1), (-2, 0), (0, -1), (-1, -3)])
def test_unequal_zeros_are_an_input_that_was_padded_before(left, right, dtype):
    """The subclass that pads inside the convolution, and the one that pads by length, have the bits of mx.pad before the layer."""
    for stride, dilation, groups in itertools.product((1, 2), (1, 2), (1, 2)):
        sizes = {"stride": stride, "dilation": dilation, "groups": groups, "backend": "mlx", "dtype": dtype, "policy": "mlx"}
        rule = cp.Choice("crop", left=max(-left, 0), right=max(-right, 0)) if min(left, right) < 0 else (left, right)
        plain = cp.Conv1d(IN, OUT, 3, seed=0, **sizes)
        modes = ("zeros", cp.Choice("constant"))
        layers = [cp.Conv1d(IN, OUT, 3, padding=rule, padding_mode=mode, seed=0, **sizes) for mode in modes]
        data = np.random.default_rng(1).standard_normal((2, IN, 17)).astype("float16" if dtype == "float16" else "float32")
        padded = np.pad(data, [(0, 0), (0, 0), (max(left, 0), max(right, 0))])
        padded = padded[..., max(-left, 0) : padded.shape[-1] - max(-right, 0)]
        for layer in layers:
            assert BACKEND.run(layer, data).tobytes() == BACKEND.run(plain, padded).tobytes()


@pytest.mark.parametrize("seed", SEEDS)
def test_layers_after_a_seed(seed):
    """Five layers in a row, then a random number: weights and the state behind, in every dtype that set_dtype gives."""
    for dtype in BACKEND.dtypes:
        mx.random.seed(seed)
        stream = cp.random_stream("mlx", seed)
        for inputs, outputs, kernel, groups in ((3, 4, 5, 1), (4, 8, 3, 2), (6, 6, 7, 6), (1, 1, 1, 1), (128, 96, 9, 1)):
            own = nn.Conv1d(inputs, outputs, kernel, groups=groups)
            own.set_dtype(getattr(mx, dtype))
            drawn = cp.policy("mlx").initial(inputs, outputs, kernel, groups, stream=stream, dtype=dtype)
            assert np.array_equal(as_numpy(own.weight), drawn["weight"].transpose(0, 2, 1))
            assert np.array_equal(as_numpy(own.bias), drawn["bias"])
        assert tuple(mx.random.state[0].tolist()) == stream.key


INITIALIZERS = {  # MLX's initializer -> convpolicy's
    "uniform": (lambda dtype: nn.init.uniform(-0.3, 0.7, dtype), cp.Choice("uniform", low=-0.3, high=0.7)),
    "normal": (lambda dtype: nn.init.normal(0.1, 0.02, dtype), cp.Choice("normal", mean=0.1, std=0.02)),
    "he_uniform": (nn.init.he_uniform, cp.Choice("lecun_uniform")),
    "he_normal": (nn.init.he_normal, cp.Choice("lecun_normal")),
    "he_normal, fan_out": (
        lambda dtype: lambda array: nn.init.he_normal(dtype)(array, mode="fan_out", gain=math.sqrt(2)),
        cp.Choice("he_normal", fan="fan_out"),
    ),
    "glorot_uniform": (nn.init.glorot_uniform, cp.Choice("glorot_uniform")),
    "glorot_normal": (nn.init.glorot_normal, cp.Choice("glorot_normal")),
}


@pytest.mark.parametrize("dtype", BACKEND.dtypes)
@pytest.mark.parametrize("name", INITIALIZERS)
def test_the_initializers_of_mlx(name, dtype):
    """``mlx.nn.init`` in the tensor's own dtype, and in float32 converted by set_dtype."""
    make, chosen = INITIALIZERS[name]
    for own_dtype, seed, (outputs, kernel, inputs) in itertools.product(("same", "float32"), (0, 42, 2**40 + 3), INIT_SHAPES):
        policy = cp.policy("mlx").evolve(weight_init=chosen, random_stream=cp.Choice("mlx", init_dtype=own_dtype))
        mx.random.seed(seed)
        array = make(getattr(mx, dtype if own_dtype == "same" else "float32"))(mx.zeros((outputs, kernel, inputs)))
        own = as_numpy(array.astype(getattr(mx, dtype)))
        drawn = policy.initial(inputs, outputs, kernel, seed=seed, dtype=dtype)["weight"].transpose(0, 2, 1)
        assert own.tobytes() == np.ascontiguousarray(drawn).tobytes(), (own_dtype, seed)


def test_every_number_that_a_normal_draw_can_come_from():
    """The inverse error function for all 2**24 multiples of 2**-24 below 1, both signs: every bit of MLX's."""
    for start in range(0, 2**24, 2**18):
        x = np.arange(start, start + 2**18, dtype=np.float32) * np.float32(2.0**-24)
        expected = bits.erfinv(x)
        for sign in (np.float32(1), np.float32(-1)):
            assert (sign * expected).tobytes() == np.array(mx.erfinv(mx.array(sign * x))).tobytes()


def test_the_scale_of_every_layer():
    """±√(1/fan) has one float32 value, whichever way it is computed, for every fan up to a million."""
    fan = np.arange(1, 1_000_001, dtype=np.float64)
    own = np.sqrt(1 / fan).astype(np.float32)
    assert np.array_equal(own, (1 / np.sqrt(fan)).astype(np.float32))
    assert np.array_equal(own, (math.sqrt(1 / 3) * np.sqrt(3 / fan)).astype(np.float32))
