"""Functions of torch that a model calls without a module, such as ``torch.nn.functional.gelu``, as descriptions."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from convpolicy.core.named import policy
from convpolicy.core.spec import ConvSpec
from convpolicy.frameworks.torch import described
from convpolicy.frameworks.torch.described import arrays, function, one, upsampling
from convpolicy.frameworks.torch.values import as_numpy, dtype_name
from convpolicy.layers.capture import Capture
from convpolicy.models.description import Description
from convpolicy.models.reader import Record

Describer = Callable[..., Description | None]


def _array(tensor: Tensor | None) -> Any:
    return None if tensor is None else np.array(as_numpy(tensor.detach().cpu()))


def _conv1d(
    _input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Description | None:
    spec = ConvSpec.of(weight.shape[1] * groups, weight.shape[0], weight.shape[2], one(stride), one(dilation), groups)
    named = policy("torch").evolve(padding=padding if isinstance(padding, str) else one(padding), bias=bias is not None)
    dtype = dtype_name(weight.dtype)
    return Description("convolution", axis=1, layer=Capture(spec, named, _array(weight), _array(bias), dtype, "torch"),
                       arrays=arrays(weight=weight, bias=bias))  # fmt: skip


def _linear(_input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Description:
    return Description("linear", arrays=arrays(weight=weight, bias=bias))


def _layer_norm(
    _input: Tensor,
    normalized_shape: Any,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
    *_cudnn: Any,
) -> Description:
    return Description("layer norm", {"eps": eps, "axes": len(normalized_shape)}, arrays(scale=weight, shift=bias))


def _group_norm(
    _input: Tensor, num_groups: int, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5, *_cudnn: Any
) -> Description:
    return Description("group norm", {"eps": eps, "groups": num_groups}, arrays(scale=weight, shift=bias), axis=1)


def _batch_norm(
    _input: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Description:
    settings = {"eps": eps, "momentum": 1 - momentum, "batch_statistics": training or running_mean is None}
    values = arrays(scale=weight, shift=bias, mean=running_mean, variance=running_var)
    return Description("batch norm", settings, values, axis=1)


def _plain(name: str) -> Describer:
    return lambda *_args, **_kwargs: function(name)


def _gelu(_input: Tensor, *, approximate: str = "none") -> Description:
    return function("gelu" if approximate == "none" else "gelu by tanh")


def _sloped(name: str, slope: float) -> Describer:
    return lambda _input, alpha=slope, *_inplace, **kwargs: function(name, slope=kwargs.get("negative_slope", alpha))


def _along(name: str) -> Describer:
    def describe(_input: Tensor, dim: int | None = None, *_args: Any, **_kwargs: Any) -> Description | None:
        return None if dim is None else function(name, axis=dim)

    return describe


def _dropout(_input: Tensor, p: float = 0.5, training: bool = True, _inplace: bool = False) -> Description:
    return Description("dropout", {"rate": p, "active": bool(training and p > 0)})


def _pad(_input: Tensor, pad: Any, mode: str = "constant", value: float | None = None) -> Description | None:
    return described.padding(pad[0], pad[1], mode, value) if len(pad) == 2 else None


def _max_pool1d(
    _input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Description | None:
    if one(dilation) != 1 or return_indices:
        return None
    return described.pooling("max", kernel_size, stride or None, padding, ceil_mode=ceil_mode, count_padding=False)


def _avg_pool1d(
    _input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Description:
    return described.pooling(
        "average", kernel_size, stride or None, padding, ceil_mode=ceil_mode, count_padding=count_include_pad
    )


def _interpolate(
    input: Tensor,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    **_more: Any,
) -> Description | None:
    return None if input.ndim != 3 else upsampling(mode, scale_factor, align_corners)


# Name -> its functions and what describes a call. Tensors have methods of the same names.
KNOWN: dict[str, tuple[tuple[Any, ...], Describer]] = {
    "conv1d": ((torch.conv1d, functional.conv1d), _conv1d),
    "linear": ((functional.linear,), _linear),
    "layer_norm": ((functional.layer_norm, torch.layer_norm), _layer_norm),
    "group_norm": ((functional.group_norm, torch.group_norm), _group_norm),
    "batch_norm": ((functional.batch_norm,), _batch_norm),
    "gelu": ((functional.gelu,), _gelu),
    "relu": ((functional.relu, torch.relu, torch.relu_, Tensor.relu, Tensor.relu_), _plain("relu")),
    "relu6": ((functional.relu6,), _plain("relu6")),
    "silu": ((functional.silu,), _plain("silu")),
    "mish": ((functional.mish,), _plain("mish")),
    "selu": ((functional.selu, torch.selu), _plain("selu")),
    "sigmoid": ((functional.sigmoid, torch.sigmoid, Tensor.sigmoid), _plain("sigmoid")),
    "tanh": ((functional.tanh, torch.tanh, Tensor.tanh), _plain("tanh")),
    "hardswish": ((functional.hardswish,), _plain("hard swish")),
    "hardsigmoid": ((functional.hardsigmoid,), _plain("hard sigmoid")),
    "softplus": ((functional.softplus,), lambda _input, beta=1.0, *_rest: function("softplus") if beta == 1 else None),
    "logsigmoid": ((functional.logsigmoid,), _plain("log sigmoid")),
    "exp": ((torch.exp, Tensor.exp), _plain("exp")),
    "elu": ((functional.elu,), _sloped("elu", 1.0)),
    "leaky_relu": ((functional.leaky_relu,), _sloped("leaky relu", 0.01)),
    "softmax": ((functional.softmax, torch.softmax, Tensor.softmax), _along("softmax")),
    "log_softmax": ((functional.log_softmax, torch.log_softmax, Tensor.log_softmax), _along("log softmax")),
    "dropout": ((functional.dropout, torch.dropout), _dropout),
    "pad": ((functional.pad,), _pad),
    "max_pool1d": ((functional.max_pool1d, torch.max_pool1d), _max_pool1d),
    "avg_pool1d": ((functional.avg_pool1d, torch.avg_pool1d), _avg_pool1d),
    "interpolate": ((functional.interpolate,), _interpolate),
    "flatten": ((torch.flatten, Tensor.flatten), lambda *_args, **_kwargs: Description("flatten")),
}
NAMES = {id(one_of): name for name, (functions, _describe) in KNOWN.items() for one_of in functions}


class Functions(TorchFunctionMode):
    """Records the calls of functions in `KNOWN`."""

    def __init__(self, record: Record) -> None:
        super().__init__()
        self.record = record

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Run one function, and record it if it is known."""
        del types
        kwargs = dict(kwargs or {})
        name = NAMES.get(id(func))
        description = None if name is None else _described(name, args, kwargs)
        if name is None or description is None:
            return func(*args, **kwargs)
        return self.record(name, func, args, kwargs, description)


def _described(name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Description | None:
    describe = KNOWN[name][1]
    known = inspect.signature(describe).parameters
    more = {key: value for key, value in kwargs.items() if key in known or any(p.kind is p.VAR_KEYWORD for p in known.values())}
    more.pop("input", None)
    try:
        return describe(*args, **more) if args else describe(kwargs.get("input"), **more)
    except Exception:  # a form of the call that is not known here
        return None
