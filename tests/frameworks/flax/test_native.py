"""Both backends against the real ``flax.nnx.Conv`` and ``flax.linen.Conv``, to the bit."""

from __future__ import annotations

import itertools
import random

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen, nnx

import convpolicy as cp

IN, OUT = 4, 8
WORDS = ("SAME", "SAME_LOWER", "VALID", "CAUSAL", "CIRCULAR", "REFLECT", "same", "valid", None, 0, 2, (3, 1))
BACKENDS = {name: cp.backends()[name] for name in ("flax", "flax-linen")}


def sizes(count, seed):
    """Random kernel, stride, dilation, groups and bias."""
    draw = random.Random(seed)
    for number in range(count):
        yield draw.randint(1, 5), draw.randint(1, 3), draw.randint(1, 2), (1, 2, IN)[number % 3], draw.random() < 0.5


def own_arguments(kernel, stride, dilation, groups, bias, word, dtype):
    """What Flax's own layer is built with."""
    padding = {} if word is None else {"padding": [word] if isinstance(word, tuple) else word}
    return {"kernel_size": (kernel,), "strides": stride, "kernel_dilation": dilation, "feature_group_count": groups,
            "use_bias": bias, "param_dtype": jnp.dtype(dtype), **padding}  # fmt: skip


def compare(word, dtype, count):
    """Count the outputs that are Flax's own, bit for bit, on both backends; layers have random weights."""
    compared = 0
    for number, (kernel, stride, dilation, groups, bias) in enumerate(sizes(count, f"{word}{dtype}")):
        draw = np.random.default_rng(number)
        weight, bias_values = draw.standard_normal((OUT, IN // groups, kernel)), draw.standard_normal(OUT) if bias else None
        ours = {
            name: cp.Conv1d(
                IN, OUT, kernel, stride, word, dilation, groups, bias, policy=name, backend=name, weight_init=weight,
                bias_init=bias_values, seed=0, dtype=dtype,
            )
            for name in BACKENDS
        }  # fmt: skip
        arguments = own_arguments(kernel, stride, dilation, groups, bias, word, dtype)
        params = {"kernel": jnp.asarray(weight.transpose(2, 1, 0), dtype)}
        params |= {"bias": jnp.asarray(bias_values, dtype)} if bias else {}
        own_nnx = nnx.Conv(IN, OUT, **arguments, rngs=nnx.Rngs(0))
        own_nnx.kernel.value = params["kernel"]
        if bias:
            own_nnx.bias.value = params["bias"]
        own = {"flax": own_nnx, "flax-linen": linen.Conv(OUT, **arguments).bind({"params": params})}
        assert type(ours["flax"]) is nnx.Conv
        assert type(ours["flax-linen"].module) is linen.Conv
        for length in ((kernel - 1) * dilation + 1, (kernel - 1) * dilation + 8):
            data = jnp.asarray(draw.standard_normal((2, length, IN)), dtype)
            for name, layer in own.items():
                expected, actual = layer(data), ours[name](data)
                assert (expected.shape, expected.dtype) == (actual.shape, actual.dtype)
                assert np.asarray(expected).tobytes() == np.asarray(actual).tobytes(), (name, word, number, length)
                compared += 1
    return compared


@pytest.mark.grid(every=5)
@pytest.mark.parametrize("word", WORDS, ids=str)
def test_flaxs_own_layer_to_the_bit(word):
    """Each of Flax's words, numbers and pairs, kernels 1-5, strides 1-3, dilations 1-2, groups 1, 2 and depthwise: float32."""
    assert compare(word, "float32", 4) == 16


@pytest.mark.grid(every=2)
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_narrow_dtypes(dtype):
    """A word that pads before the convolution, one that pads within, and pairs."""
    assert sum(compare(word, dtype, 2) for word in ("SAME", "REFLECT", (3, 1))) == 24


def test_float64():
    """In JAX's 64-bit mode."""
    with jax.experimental.enable_x64():
        assert sum(compare(word, "float64", 2) for word in ("SAME", "CAUSAL", (3, 1))) == 24


def test_another_layer_is_not_equal():
    """The comparison above tells apart what is deliberately another layer."""
    data = np.random.default_rng(0).standard_normal((1, IN, 11)).astype("float32")
    for (name, backend), word in itertools.product(BACKENDS.items(), ("SAME_LOWER", "CIRCULAR", "CAUSAL")):
        layer = cp.Conv1d(IN, OUT, 4, padding=word, policy=name, backend=name, seed=0)
        right = cp.Conv1d(IN, OUT, 4, policy=name, backend=name, seed=0)
        assert not np.array_equal(backend.run(layer, data), backend.run(right, data))


def test_the_graph_is_flaxs_own():
    """A layer's GraphDef is equal to that of an ``nnx.Conv`` made without convpolicy, so that one is compiled for both."""
    for word in ("SAME", "CIRCULAR"):
        own = nnx.Conv(IN, OUT, (3,), padding=word, rngs=nnx.Rngs(0))
        ours = cp.Conv1d(IN, OUT, 3, padding=word, policy="flax", backend="flax", seed=5)
        assert nnx.graphdef(own) == nnx.graphdef(ours)
