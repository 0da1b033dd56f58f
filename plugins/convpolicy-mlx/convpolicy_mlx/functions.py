"""Functions of MLX that a model calls without a module, such as ``mlx.nn.gelu``, as descriptions."""

from __future__ import annotations

import math
from typing import Any

import mlx.core as mx
from mlx import nn

import convpolicy as cp
from convpolicy import Capture, ConvSpec
from convpolicy.models.description import Description
from convpolicy.models.functions import Describer
from convpolicy_mlx.arrays import as_numpy
from convpolicy_mlx.described import CHANNELS, SELU, arrays, dtype_name, function, one


def _plain(name: str, **settings: Any) -> Describer:
    return lambda *_args, **_kwargs: function(name, **settings)


def _along(name: str) -> Describer:
    return lambda _x, axis=-1, **_kwargs: function(name, axis=one(axis)) if isinstance(one(axis), int) else None


def _relu(a: Any, b: Any, **_kwargs: Any) -> Description | None:
    return function("relu") if any(isinstance(value, (int, float)) and value == 0 for value in (a, b)) else None


def _hard_tanh(_x: Any, min_val: float = -1.0, max_val: float = 1.0) -> Description | None:
    return function("hard tanh") if (min_val, max_val) == (-1, 1) else None


def _layer_norm(_x: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5, **_kwargs: Any) -> Description:
    return Description("layer norm", {"eps": eps, "axes": 1}, arrays(scale=weight, shift=bias))


def _rms_norm(_x: Any, weight: Any = None, eps: float = 1e-5, **_kwargs: Any) -> Description:
    return Description("rms norm", {"eps": eps}, arrays(scale=weight))


def _conv1d(
    _x: Any, weight: Any, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1, **_kwargs: Any
) -> Description:
    outputs, kernel, inputs = weight.shape
    spec = ConvSpec.of(inputs * groups, outputs, kernel, one(stride), one(dilation), groups)
    oiw = as_numpy(weight.transpose(0, 2, 1))
    policy: Any = cp.policy("mlx").evolve(padding=one(padding), bias=False)
    captured = Capture(spec, policy, oiw, None, dtype_name(weight.dtype), "mlx")
    return Description("convolution", axis=CHANNELS, layer=captured, arrays={"weight": oiw})


def _pad(x: Any, pad_width: Any, mode: str = "constant", constant_values: Any = 0, **_kwargs: Any) -> Description | None:
    pairs = [tuple(pair) for pair in pad_width]
    if x.ndim != 3 or len(pairs) != 3 or pairs[0] != (0, 0) or pairs[2] != (0, 0) or mode not in ("constant", "edge"):
        return None
    settings = {"left": pairs[1][0], "right": pairs[1][1], "mode": "replicate" if mode == "edge" else mode}
    return Description("padding", {**settings, "value": float(constant_values)}, axis=CHANNELS)


def _reshape(x: Any, *shape: Any, **_kwargs: Any) -> Description | None:
    """A reshape that keeps the batch and joins all other axes."""
    sizes = tuple(shape[0]) if len(shape) == 1 and isinstance(shape[0], (tuple, list)) else shape
    joined = x.ndim > 2 and len(sizes) == 2 and sizes[0] == len(x) and sizes[1] in (-1, math.prod(x.shape[1:]))
    return Description("flatten") if joined else None


def _flatten(x: Any, start_axis: int = 0, end_axis: int = -1, **_kwargs: Any) -> Description | None:
    return Description("flatten") if start_axis == 1 and end_axis in (-1, x.ndim - 1) else None


KNOWN: dict[str, tuple[tuple[Any, ...], Describer]] = {
    "gelu": ((nn.gelu,), _plain("gelu")),
    "gelu_approx": ((nn.gelu_approx,), _plain("gelu by tanh")),
    "gelu_fast_approx": ((nn.gelu_fast_approx,), _plain("gelu by sigmoid")),
    "relu": ((nn.relu,), _plain("relu")),
    "maximum": ((mx.maximum,), _relu),
    "relu6": ((nn.relu6,), _plain("relu6")),
    "leaky_relu": ((nn.leaky_relu,), lambda _x, negative_slope=0.01: function("leaky relu", slope=negative_slope)),
    "silu": ((nn.silu,), _plain("silu")),
    "sigmoid": ((nn.sigmoid, mx.sigmoid), _plain("sigmoid")),
    "hardswish": ((nn.hardswish,), _plain("hard swish")),
    "tanh": ((nn.tanh, mx.tanh), _plain("tanh")),
    "hard_tanh": ((nn.hard_tanh,), _hard_tanh),
    "elu": ((nn.elu,), lambda _x, alpha=1.0: function("elu", slope=alpha)),
    "selu": ((nn.selu,), _plain(SELU)),
    "softplus": ((nn.softplus,), _plain("softplus")),
    "softsign": ((nn.softsign,), _plain("softsign")),
    "mish": ((nn.mish,), _plain("mish")),
    "log_sigmoid": ((nn.log_sigmoid,), _plain("log sigmoid")),
    "exp": ((mx.exp,), _plain("exp")),
    "softmax": ((nn.softmax, mx.softmax), _along("softmax")),
    "log_softmax": ((nn.log_softmax,), _along("log softmax")),
    "layer_norm": ((mx.fast.layer_norm,), _layer_norm),
    "rms_norm": ((mx.fast.rms_norm,), _rms_norm),
    "conv1d": ((mx.conv1d,), _conv1d),
    "pad": ((mx.pad,), _pad),
    "reshape": ((mx.reshape, mx.array.reshape), _reshape),
    "flatten": ((mx.flatten, mx.array.flatten), _flatten),
}
SPACES = (nn, nn.layers, nn.layers.activations, mx, mx.fast, mx.array)
