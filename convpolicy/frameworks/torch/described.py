"""What each class of ``torch.nn`` computes, as a `Description`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from convpolicy.frameworks.torch.values import as_numpy
from convpolicy.models.description import Description


def arrays(**tensors: Tensor | None) -> dict[str, NDArray[Any]]:
    """Return tensors as copies, without those that are None."""
    return {role: np.array(as_numpy(tensor.detach().cpu())) for role, tensor in tensors.items() if tensor is not None}


def one(size: Any) -> Any:
    """Return a size of one axis as a number."""
    return size[0] if isinstance(size, (tuple, list)) and len(size) == 1 else size


def _convolution(module: Any) -> Description:
    return Description("convolution", axis=1, layer=module, arrays=arrays(weight=module.weight, bias=module.bias))


def _more_axes(module: Any) -> Description:
    names = ("kernel_size", "stride", "padding", "dilation", "groups", "transposed")
    settings = {name: getattr(module, name) for name in names}
    return Description("convolution of more axes", settings, arrays(weight=module.weight, bias=module.bias), axis=1)


def _linear(module: Any) -> Description:
    return Description("linear", arrays=arrays(weight=module.weight, bias=module.bias))


def _linear_by_columns(module: Any) -> Description:  # transformers.pytorch_utils.Conv1D, of GPT-2
    return Description("linear", arrays=arrays(weight=module.weight.T, bias=module.bias))


def _batch_norm(module: Any) -> Description:
    settings = {
        "eps": module.eps,
        "momentum": None if module.momentum is None else 1 - module.momentum,
        "batch_statistics": module.training or module.running_mean is None,
    }
    values = arrays(scale=module.weight, shift=module.bias, mean=module.running_mean, variance=module.running_var)
    return Description("batch norm", settings, values, axis=1)


def _layer_norm(module: Any) -> Description:
    shape = tuple(module.normalized_shape)
    while len(shape) > 1 and shape[0] == 1:  # the mean over an axis of length 1 changes nothing
        shape = shape[1:]
    values = arrays(scale=module.weight, shift=getattr(module, "bias", None))
    return Description(
        "layer norm", {"eps": module.eps, "axes": len(shape)}, {role: row.reshape(shape) for role, row in values.items()}
    )


def _rms_norm(module: Any) -> Description:
    eps = torch.finfo(module.weight.dtype).eps if module.eps is None else module.eps
    return Description("rms norm", {"eps": eps}, arrays(scale=module.weight))


def _group_norm(module: Any) -> Description:
    settings = {"eps": module.eps, "groups": module.num_groups}
    return Description("group norm", settings, arrays(scale=module.weight, shift=module.bias), axis=1)


def _instance_norm(module: Any) -> Description | None:
    if module.track_running_stats and not module.training:
        return None
    settings = {"eps": module.eps, "groups": module.num_features}
    return Description("group norm", settings, arrays(scale=module.weight, shift=module.bias), axis=1)


def function(name: str, **settings: Any) -> Description:
    """Return the description of an activation."""
    return Description("activation", {"function": name, **settings})


def _plain(name: str) -> Callable[[Any], Description]:
    return lambda _module: function(name)


def _gelu(module: Any) -> Description:
    return function("gelu" if module.approximate == "none" else "gelu by tanh")


def _hard_tanh(module: Any) -> Description | None:
    return function("hard tanh") if (module.min_val, module.max_val) == (-1, 1) else None


def _softplus(module: Any) -> Description | None:
    return function("softplus") if module.beta == 1 else None


def _prelu(module: Any) -> Description:
    return Description("activation", {"function": "leaky relu"}, arrays(weight=module.weight), axis=1)


def _pooling(name: str) -> Callable[[Any], Description | None]:
    def describe(module: Any) -> Description | None:
        if one(getattr(module, "dilation", 1)) != 1 or getattr(module, "return_indices", False):
            return None
        return pooling(
            name,
            module.kernel_size,
            module.stride,
            module.padding,
            ceil_mode=module.ceil_mode,
            count_padding=getattr(module, "count_include_pad", False),
        )

    return describe


def pooling(name: str, kernel: Any, stride: Any, pads: Any, *, ceil_mode: bool, count_padding: bool) -> Description:
    """Return the description of a pooling over one axis."""
    settings = {
        "function": name,
        "kernel_size": one(kernel),
        "stride": one(stride if stride is not None else kernel),
        "padding": (one(pads), one(pads)),
        "ceil_mode": bool(ceil_mode),
        "count_padding": bool(count_padding),
    }
    return Description("pooling", settings, axis=1)


def _global(name: str) -> Callable[[Any], Description | None]:
    def describe(module: Any) -> Description | None:
        return Description("global pooling", {"function": name}, axis=1) if one(module.output_size) == 1 else None

    return describe


def upsampling(mode: str, factor: Any, align_corners: Any) -> Description | None:
    """Return the description of an interpolation over one axis; None for one that is not supported."""
    factor = one(factor)
    if mode not in ("nearest", "linear") or not isinstance(factor, (int, float)):
        return None
    return Description("upsampling", {"function": mode, "factor": factor, "align_corners": bool(align_corners)}, axis=1)


def _upsample(module: Any) -> Description | None:
    return upsampling(module.mode, module.scale_factor, module.align_corners)


def _dropout(module: Any) -> Description:
    return Description("dropout", {"rate": module.p, "active": bool(module.training and module.p > 0)})


def _embedding(module: Any) -> Description:
    return Description("embedding", arrays=arrays(weight=module.weight))


def _padding(mode: str) -> Callable[[Any], Description]:
    def describe(module: Any) -> Description:
        left, right = module.padding
        return padding(left, right, mode, getattr(module, "value", 0.0))

    return describe


def padding(left: int, right: int, mode: str, value: Any) -> Description:
    """Return the description of a padding of the last axis."""
    return Description("padding", {"left": left, "right": right, "mode": mode, "value": value or 0.0}, axis=1)


def _recurrent(module: Any) -> Description:
    settings = {"cell": module.mode.lower(), "bidirectional": module.bidirectional, "layers": module.num_layers}
    return Description("recurrent", settings, arrays(**dict(module.named_parameters())))


# Class -> description. A subclass is described as its nearest base class here if it has the same forward.
CLASSES: dict[type, Callable[[Any], Description | None]] = {
    nn.Conv1d: _convolution,
    nn.ConvTranspose1d: _convolution,
    **dict.fromkeys((nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d, nn.ConvTranspose3d), _more_axes),
    nn.Linear: _linear,
    **dict.fromkeys((nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm), _batch_norm),
    nn.LayerNorm: _layer_norm,
    nn.RMSNorm: _rms_norm,
    nn.GroupNorm: _group_norm,
    **dict.fromkeys((nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d), _instance_norm),
    nn.ReLU: _plain("relu"),
    nn.ReLU6: _plain("relu6"),
    nn.LeakyReLU: lambda module: function("leaky relu", slope=module.negative_slope),
    nn.GELU: _gelu,
    nn.SiLU: _plain("silu"),
    nn.Sigmoid: _plain("sigmoid"),
    nn.Hardsigmoid: _plain("hard sigmoid"),
    nn.Hardswish: _plain("hard swish"),
    nn.Tanh: _plain("tanh"),
    nn.Hardtanh: _hard_tanh,
    nn.ELU: lambda module: function("elu", slope=module.alpha),
    nn.SELU: _plain("selu"),
    nn.Softplus: _softplus,
    nn.Softsign: _plain("softsign"),
    nn.Mish: _plain("mish"),
    nn.LogSigmoid: _plain("log sigmoid"),
    nn.Softmax: lambda module: None if module.dim is None else function("softmax", axis=module.dim),
    nn.LogSoftmax: lambda module: None if module.dim is None else function("log softmax", axis=module.dim),
    nn.PReLU: _prelu,
    nn.MaxPool1d: _pooling("max"),
    nn.AvgPool1d: _pooling("average"),
    nn.AdaptiveAvgPool1d: _global("average"),
    nn.AdaptiveMaxPool1d: _global("max"),
    nn.Upsample: _upsample,
    **dict.fromkeys((nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.AlphaDropout), _dropout),
    nn.Embedding: _embedding,
    nn.Flatten: lambda _module: Description("flatten"),
    nn.Identity: lambda _module: Description("identity"),
    nn.ConstantPad1d: _padding("constant"),
    nn.ZeroPad1d: _padding("constant"),
    nn.ReflectionPad1d: _padding("reflect"),
    nn.ReplicationPad1d: _padding("replicate"),
    nn.CircularPad1d: _padding("circular"),
    **dict.fromkeys((nn.LSTM, nn.GRU, nn.RNN), _recurrent),
}
# The same for classes of packages, by name.
NAMED: dict[str, Callable[[Any], Description | None]] = {
    "GELUActivation": _plain("gelu"),
    "NewGELUActivation": _plain("gelu by tanh"),
    "GELUTanh": _plain("gelu by tanh"),
    "PytorchGELUTanh": _plain("gelu by tanh"),
    "FastGELUActivation": _plain("gelu by tanh"),
    "QuickGELUActivation": _plain("gelu by sigmoid"),
    "SiLUActivation": _plain("silu"),
    "Conv1D": _linear_by_columns,
}


def described(module: nn.Module) -> Description | None:
    """Return what a module computes; None for a class that is not known, and for one that defines another forward."""
    kind: Any = type(module)
    base: Any = next((known for known in kind.__mro__ if known in CLASSES), None)
    if base is not None and (kind.forward is base.forward or base in (nn.Conv1d, nn.ConvTranspose1d)):
        return CLASSES[base](module)
    if kind.__name__ in NAMED and kind.__module__.startswith("transformers."):
        return NAMED[kind.__name__](module)
    return None
