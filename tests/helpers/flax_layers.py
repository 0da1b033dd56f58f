"""Layers of both backends for the tests, and how they are compared."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np

import convpolicy as cp
from convpolicy import reference
from convpolicy.frameworks.flax.linen_layer import LinenConv1d

Choice = cp.Choice
NAMES = ("flax", "flax-linen")
LAYERS = {
    "native": {},
    "pair": {"padding": (3, 1)},
    "CIRCULAR": {"padding": "CIRCULAR", "stride": 2},
    "reflect, pair": {"padding": (2, 1), "padding_mode": "reflect"},
    "cut": {"padding": Choice("crop", left=1, right=2), "padding_mode": "replicate"},
    "constant": {"padding": "causal", "padding_mode": Choice("constant", value=1.5), "dilation": 2},
    "symmetric by length": {"padding": "same_lower", "stride": 2, "padding_mode": "symmetric"},
    "zero-extended": {"padding": (20, 1), "padding_mode": Choice("reflect", overflow="zero-extend")},
}
NATIVE = ("native", "pair", "CIRCULAR")
PADDED = tuple(name for name in LAYERS if name not in NATIVE)


def built(options, backend="flax", **more):
    """A layer of 4 → 8 channels, kernel 3."""
    return cp.Conv1d(4, 8, 3, **({"policy": backend, "backend": backend, "seed": 3} | options | more))


def random(*shape):
    """Random data, the same at every call."""
    return jnp.asarray(np.random.default_rng(0).standard_normal(shape), "float32")


def weights(layer):
    """Kernel and bias as Flax has them."""
    if isinstance(layer, LinenConv1d):
        return dict(layer.variables["params"])
    return {"kernel": layer.kernel.value, "bias": layer.bias.value}


def same(a, b):
    """Whether two dictionaries of arrays hold the same bits."""
    return {n: (v.dtype, np.asarray(v).tobytes()) for n, v in a.items()} == {
        n: (v.dtype, np.asarray(v).tobytes()) for n, v in b.items()
    }


def assert_near(found, expected, layer, data):
    """Assert that two computations of the layer's output on this data differ by rounding only."""
    kernel = np.abs(weights(layer)["kernel"])
    magnitude = kernel.sum((0, 1)).max() * max(float(jnp.abs(data).max()), 1.5) + 1  # 1.5: the constant
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= 2 * reference.tolerance("float32", kernel[..., 0].size + 1, magnitude)
