"""Functions of Paddle that a model calls without a layer, such as ``paddle.nn.functional.gelu``, as descriptions."""

from __future__ import annotations

import math
from typing import Any

import paddle
from paddle import nn

from convpolicy.core.named import policy
from convpolicy.core.spec import ConvSpec
from convpolicy.frameworks.paddle.described import (
    SELU,
    arrays,
    channels,
    dropout,
    dtype_of,
    flatten,
    function,
    gelu,
    global_pooling,
    linear,
    numbers,
    one,
    padding,
    pooling,
    upsampling,
)
from convpolicy.layers.capture import Capture
from convpolicy.models.description import Description
from convpolicy.models.functions import Describer

F = nn.functional


def _conv1d(
    _x: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
    data_format: str = "NCL",
) -> Description:
    outputs, inputs, kernel = weight.shape
    spec = ConvSpec.of(inputs * groups, outputs, kernel, one(stride), one(dilation), groups)
    pads = padding if isinstance(padding, str) else one(padding)
    named = policy("paddle").evolve(padding=tuple(pads) if isinstance(pads, list) else pads, bias=bias is not None)
    bias_numbers = None if bias is None else numbers(bias)
    captured = Capture(spec, named, numbers(weight), bias_numbers, dtype_of([weight]), "paddle")
    return Description("convolution", axis=channels(data_format), layer=captured, arrays=arrays(weight=weight, bias=bias))


def _batch_norm(
    _x: Any,
    running_mean: Any,
    running_var: Any,
    weight: Any = None,
    bias: Any = None,
    training: bool = False,
    momentum: float = 0.9,
    epsilon: float = 1e-5,
    data_format: str = "NCHW",
    use_global_stats: bool | None = None,
) -> Description:
    uses_running = use_global_stats if use_global_stats is not None else not training
    settings = {"eps": epsilon, "momentum": momentum, "batch_statistics": not uses_running}
    values = arrays(scale=weight, shift=bias, mean=running_mean, variance=running_var)
    return Description("batch norm", settings, values, axis=channels(data_format))


def _layer_norm(_x: Any, normalized_shape: Any, weight: Any = None, bias: Any = None, epsilon: float = 1e-5) -> Description:
    shape = [normalized_shape] if isinstance(normalized_shape, int) else list(normalized_shape)
    values = {role: value.reshape(shape) for role, value in arrays(scale=weight, shift=bias).items()}
    return Description("layer norm", {"eps": epsilon, "axes": len(shape)}, values)


def _group_norm(
    _x: Any, num_groups: int, epsilon: float = 1e-5, weight: Any = None, bias: Any = None, data_format: str = "NCHW"
) -> Description:
    settings = {"eps": epsilon, "groups": num_groups}
    return Description("group norm", settings, arrays(scale=weight, shift=bias), axis=channels(data_format))


def _rms_norm(x: Any, normalized_shape: Any, weight: Any = None, eps: float = 1e-5) -> Description | None:
    whole = tuple(normalized_shape) == (x.shape[-1],)
    return Description("rms norm", {"eps": eps}, arrays(scale=weight)) if whole else None


def _plain(name: str) -> Describer:
    return lambda *_args, **_kwargs: function(name)


def _sloped(name: str, slope: float) -> Describer:
    return lambda _x, alpha=slope, *_name, **kwargs: function(name, slope=kwargs.get("negative_slope", alpha))


def _max_pool1d(
    x: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, return_mask: bool = False, ceil_mode: bool = False
) -> Description | None:
    if return_mask:
        return None
    return pooling("max", x, kernel_size, stride, padding, ceil_mode=ceil_mode, count_padding=False)


def _avg_pool1d(
    x: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, exclusive: bool = True, ceil_mode: bool = False
) -> Description | None:
    return pooling("average", x, kernel_size, stride, padding, ceil_mode=ceil_mode, count_padding=not exclusive)


def _interpolate(
    x: Any,
    _size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool = False,
    align_mode: int = 0,
    data_format: Any = None,
) -> Description | None:
    return upsampling(x, mode.lower(), scale_factor, align_corners, align_mode, data_format)


def _dropout(
    _x: Any, p: Any = 0.5, _axis: Any = None, training: bool = True, _inplace: bool = False, mode: str = "upscale_in_train"
) -> Description | None:
    return dropout(p, mode, training=training)


def _pad(x: Any, pad: Any, mode: str = "constant", value: float = 0.0, data_format: str | None = None) -> Description | None:
    return padding(x, pad, mode, value, data_format or "NCL")


def _reshape(x: Any, shape: Any, *_name: Any) -> Description | None:
    """A reshape that keeps the batch and joins all other axes."""
    sizes = list(shape)
    joined = x.ndim > 2 and len(sizes) == 2 and sizes[0] in (0, x.shape[0]) and sizes[1] in (-1, math.prod(x.shape[1:]))
    return Description("flatten") if joined else None


# Name -> its functions and what describes a call. Methods of tensors are mostly the same functions.
KNOWN: dict[str, tuple[tuple[Any, ...], Describer]] = {
    "conv1d": ((F.conv1d,), _conv1d),
    "linear": ((F.linear,), lambda _x, weight, bias=None, *_name: linear(weight, bias)),
    "batch_norm": ((F.batch_norm,), _batch_norm),
    "layer_norm": ((F.layer_norm,), _layer_norm),
    "group_norm": ((F.group_norm,), _group_norm),
    "rms_norm": ((F.rms_norm,), _rms_norm),
    "gelu": ((F.gelu,), lambda _x, approximate=False, *_name: gelu(approximate)),
    "relu": ((F.relu, F.relu_), _plain("relu")),
    "relu6": ((F.relu6,), _plain("relu6")),
    "silu": ((F.silu, F.swish), _plain("silu")),
    "mish": ((F.mish,), _plain("mish")),
    "selu": ((F.selu,), lambda _x, *sizes: function("selu") if not sizes or tuple(sizes[:2]) == SELU else None),
    "sigmoid": ((F.sigmoid, paddle.sigmoid, paddle.Tensor.sigmoid), _plain("sigmoid")),
    "tanh": ((F.tanh, paddle.tanh, paddle.Tensor.tanh), _plain("tanh")),
    "hardswish": ((F.hardswish,), _plain("hard swish")),
    "hardsigmoid": ((F.hardsigmoid,), _plain("hard sigmoid")),
    "softplus": ((F.softplus,), lambda _x, beta=1, *_rest: function("softplus") if beta == 1 else None),
    "softsign": ((F.softsign,), _plain("softsign")),
    "log_sigmoid": ((F.log_sigmoid,), _plain("log sigmoid")),
    "exp": ((paddle.exp, paddle.Tensor.exp), _plain("exp")),
    "elu": ((F.elu,), _sloped("elu", 1.0)),
    "leaky_relu": ((F.leaky_relu,), _sloped("leaky relu", 0.01)),
    "softmax": ((F.softmax, paddle.Tensor.softmax), lambda _x, axis=-1, *_rest: function("softmax", axis=axis)),
    "log_softmax": ((F.log_softmax,), lambda _x, axis=-1, *_rest: function("log softmax", axis=axis)),
    "max_pool1d": ((F.max_pool1d,), _max_pool1d),
    "avg_pool1d": ((F.avg_pool1d,), _avg_pool1d),
    "adaptive_avg_pool1d": ((F.adaptive_avg_pool1d,), lambda x, size, *_name: global_pooling("average", x, size)),
    "interpolate": ((F.interpolate, F.upsample), _interpolate),
    "dropout": ((F.dropout,), _dropout),
    "pad": ((F.pad,), _pad),
    "flatten": (
        (paddle.flatten, paddle.Tensor.flatten),
        lambda x, start_axis=0, stop_axis=-1, *_n: flatten(x, start_axis, stop_axis),
    ),
    "reshape": ((paddle.reshape, paddle.Tensor.reshape), _reshape),
}
SPACES = (paddle, F, nn, paddle.Tensor)
