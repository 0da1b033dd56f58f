"""Functions of MindSpore that a model calls without a cell, such as ``mindspore.ops.gelu``, as descriptions."""

from __future__ import annotations

import math
from typing import Any

from mindspore import Tensor, mint, nn, ops

from convpolicy.frameworks.mindspore.described import arrays, dropout, flatten, function, gelu, linear, padding, tanh
from convpolicy.frameworks.mindspore.resampling import global_pooling, one, pooling, upsampling
from convpolicy.models.description import Description
from convpolicy.models.functions import Describer, Known

F = mint.nn.functional
SPACES = (ops, mint, F, nn, *Tensor.__mro__[:2])  # the methods of tensors are those of the second class


def _layer_norm(_x: Any, normalized_shape: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Description:
    return Description("layer norm", {"eps": eps, "axes": len(normalized_shape)}, arrays(scale=weight, shift=bias))


def _group_norm(_x: Any, num_groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Description:
    return Description("group norm", {"eps": eps, "groups": num_groups}, arrays(scale=weight, shift=bias), axis=1)


def _plain(name: str) -> Describer:
    return lambda *_args, **_kwargs: function(name)


def _gelu(_input: Any = None, approximate: str = "none") -> Description:
    return gelu(approximate)


def _sloped(name: str, slope: float) -> Describer:
    return lambda _x=None, alpha=slope, *_more, **kwargs: function(name, slope=kwargs.get("negative_slope", alpha))


def _along(name: str) -> Describer:
    def describe(_x: Any, axis: Any = None, *_args: Any, **kwargs: Any) -> Description | None:
        axis = kwargs.get("dim", -1 if axis is None else axis)
        return function(name, axis=one(axis)) if isinstance(one(axis), int) else None

    return describe


def _dropout(_input: Any = None, p: float = 0.5, training: bool = True, *_seed: Any) -> Description:
    return dropout(p, training=training)


def _pad(x: Any, pads: Any = None, mode: str = "constant", value: Any = None, **kwargs: Any) -> Description | None:
    pads = kwargs.get("padding", kwargs.get("pad", pads))
    return padding(x, pads, mode, value) if len(pads) == 2 else None


def _avg_pool1d(
    _x: Any,
    kernel_size: Any = 1,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Description:
    pads = (padding, padding) if isinstance(padding, int) else tuple(padding)
    return pooling("average", kernel_size, stride, (pads[0], pads[-1]), ceil_mode=ceil_mode, count_padding=count_include_pad)


def _ops_avg_pool1d(_x: Any, kernel_size: Any = 1, stride: Any = 1, *args: Any, **kwargs: Any) -> Description:
    return _avg_pool1d(_x, kernel_size, stride, *args, **kwargs)  # its stride is 1, where others have the kernel size


def _interpolate(
    x: Any, size: Any = None, scale_factor: Any = None, mode: str = "nearest", align_corners: Any = None, *_more: Any
) -> Description | None:
    return None if size is not None else upsampling(x, mode, scale_factor, align_corners)


def _reshape(x: Any, *shape: Any) -> Description | None:
    """A reshape that keeps the batch and joins all other axes."""
    sizes = tuple(shape[0]) if len(shape) == 1 and isinstance(shape[0], (tuple, list)) else shape
    joined = x.ndim > 2 and len(sizes) == 2 and sizes[0] == x.shape[0] and sizes[1] in (-1, math.prod(x.shape[1:]))
    return Description("flatten") if joined else None


def _flatten(x: Any, *_order: Any, start_dim: int = 1, end_dim: int = -1) -> Description | None:
    return flatten(x, start_dim, end_dim)


def _mint_flatten(x: Any, start_dim: int = 0, end_dim: int = -1) -> Description | None:
    return flatten(x, start_dim, end_dim)


DESCRIBERS: dict[str, Describer] = {
    "gelu": _gelu,
    "fast_gelu": _plain("gelu by sigmoid"),
    "relu": _plain("relu"),
    "relu6": _plain("relu6"),
    "silu": _plain("silu"),
    "mish": _plain("mish"),
    "selu": _plain("selu"),
    "sigmoid": _plain("sigmoid"),
    "tanh": tanh,
    "hardswish": _plain("hard swish"),
    "hardsigmoid": _plain("hard sigmoid"),
    "softplus": lambda _x=None, beta=1, *_rest: function("softplus") if beta == 1 else None,
    "softsign": _plain("softsign"),
    "logsigmoid": _plain("log sigmoid"),
    "exp": _plain("exp"),
    "elu": _sloped("elu", 1.0),
    "softmax": _along("softmax"),
    "log_softmax": _along("log softmax"),
    "layer_norm": _layer_norm,
    "group_norm": _group_norm,
    "dropout": _dropout,
    "pad": _pad,
    "interpolate": _interpolate,
    "adaptive_avg_pool1d": lambda x, output_size: global_pooling("average", x, output_size),
    "adaptive_max_pool1d": lambda x, output_size, *_rest: global_pooling("max", x, output_size),
    "dense": lambda _x, weight, bias=None: linear(weight, bias),
    "linear": lambda _x, weight, bias=None: linear(weight, bias),
    "reshape": _reshape,
}
OTHERS: dict[str, list[tuple[Any, Describer]]] = {  # functions whose defaults differ
    "leaky_relu": [(ops.leaky_relu, _sloped("leaky relu", 0.2)), (F.leaky_relu, _sloped("leaky relu", 0.01))],
    "avg_pool1d": [(ops.avg_pool1d, _ops_avg_pool1d), (F.avg_pool1d, _avg_pool1d)],
    "flatten": [(ops.flatten, _flatten), (Tensor.flatten, _flatten), (F.flatten, _mint_flatten)],
}
HOMES = (ops, mint, F, Tensor)


def _known() -> dict[str, tuple[tuple[Any, ...], Describer]]:
    """Return name -> functions and describer; a name may have a number, where functions have other defaults."""
    known: dict[str, tuple[tuple[Any, ...], Describer]] = {}
    for name, describe in DESCRIBERS.items():
        known[name] = (tuple({id(one): one for one in (getattr(home, name, None) for home in HOMES) if one}.values()), describe)
    for name, pairs in OTHERS.items():
        for number, (one_of, describe) in enumerate(pairs):
            known[f"{name}{'_' * number}"] = ((one_of,), describe)
    return known


KNOWN: Known = _known()
