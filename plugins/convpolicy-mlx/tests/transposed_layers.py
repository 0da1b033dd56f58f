"""Transposed layers of MLX and of the backend with the same random weights, and every way to cut."""

from __future__ import annotations

import mlx.core as mx
import numpy as np
import pytest
from mlx import nn

import convpolicy as cp
from convpolicy import reference

IN, OUT = 4, 6
BACKEND = cp.backends()["mlx"]
TWO_COMPUTATIONS = 2  # the tolerance bounds one of them
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
