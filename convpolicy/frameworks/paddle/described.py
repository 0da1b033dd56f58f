"""What each class of ``paddle.nn`` computes, as a `Description`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import attrs as attributes
import numpy as np
import paddle
from numpy.typing import NDArray
from paddle import nn
from paddle.nn.functional.pooling import _update_padding_nd

from convpolicy.arithmetic import split
from convpolicy.models.description import Description

Describer = Callable[[Any, Any], "Description | None"]  # of a layer and its input


def dtype_of(tensors: Iterable[Any]) -> str:
    """Return the dtype of the first floating tensor, float32 without one."""
    dtypes = (tensor.dtype for tensor in tensors if isinstance(tensor, paddle.Tensor) and tensor.is_floating_point())
    return str(next(dtypes, paddle.float32)).rpartition(".")[2]


def numbers(tensor: Any) -> NDArray[Any]:
    """Return a copy of a tensor, a bfloat16 one as float32."""
    return np.array((tensor.astype("float32") if tensor.dtype == paddle.bfloat16 else tensor).numpy())


def arrays(**tensors: Any) -> dict[str, NDArray[Any]]:
    """Return tensors as copies, without those that are None."""
    return {role: numbers(tensor) for role, tensor in tensors.items() if tensor is not None}


def one(size: Any) -> Any:
    """Return a size of one axis as a number."""
    return size[0] if isinstance(size, (tuple, list)) and len(size) == 1 else size


def channels(data_format: str) -> int:
    """Return the axis of the channels, 1 or -1, in a data format such as ``"NCL"``."""
    return 1 if data_format[1] == "C" else -1


def _convolution(layer: Any, _x: Any) -> Description:
    values = arrays(weight=layer.weight, bias=layer.bias)
    return Description("convolution", axis=channels(layer._data_format), layer=layer, arrays=values)


def _more_axes(layer: Any, _x: Any) -> Description:
    settings = {name: getattr(layer, f"_{name}") for name in ("kernel_size", "stride", "padding", "dilation", "groups")}
    settings = {name: tuple(value) if isinstance(value, list) else value for name, value in settings.items()}
    settings["transposed"] = isinstance(layer, (nn.Conv2DTranspose, nn.Conv3DTranspose))
    values = arrays(weight=layer.weight, bias=layer.bias)
    return Description("convolution of more axes", settings, values, axis=channels(layer._data_format))


def linear(weight: Any, bias: Any) -> Description:
    """Return the description of a product with a weight (in, out)."""
    return Description("linear", arrays=arrays(weight=weight.T, bias=bias))


def _batch_norm(layer: Any, _x: Any) -> Description | None:
    is_old = isinstance(layer, nn.BatchNorm)  # which applies an activation, and counts False for use_global_stats as None
    if is_old and layer._act:
        return None
    running = layer._use_global_stats or None if is_old else layer._use_global_stats
    settings = {
        "eps": layer._epsilon,
        "momentum": layer._momentum,
        "batch_statistics": bool(layer.training if running is None else not running),
    }
    values = arrays(scale=layer.weight, shift=layer.bias, mean=layer._mean, variance=layer._variance)
    return Description("batch norm", settings, values, axis=channels(layer._data_layout if is_old else layer._data_format))


def _layer_norm(layer: Any, _x: Any) -> Description:
    settings = {"eps": layer._epsilon, "axes": len(layer._normalized_shape)}
    shape = layer._normalized_shape
    values = {role: value.reshape(shape) for role, value in arrays(scale=layer.weight, shift=layer.bias).items()}
    return Description("layer norm", settings, values)


def _group_norm(layer: Any, _x: Any) -> Description:
    settings = {"eps": layer._epsilon, "groups": layer._num_groups}
    return Description("group norm", settings, arrays(scale=layer.weight, shift=layer.bias), axis=channels(layer._data_format))


def _instance_norm(layer: Any, _x: Any) -> Description:
    settings = {"eps": layer._epsilon, "groups": layer._num_features}
    return Description("group norm", settings, arrays(scale=layer.scale, shift=layer.bias), axis=1)


def function(name: str, **settings: Any) -> Description:
    """Return the description of an activation."""
    return Description("activation", {"function": name, **settings})


def _plain(name: str) -> Describer:
    return lambda _layer, _x: function(name)


def gelu(approximate: Any) -> Description:
    """Return the description of GELU, whose ``approximate`` is a boolean, "tanh" or "none"."""
    return function("gelu by tanh" if approximate in (True, "tanh") else "gelu")


def _prelu(layer: Any, _x: Any) -> Description:
    values = arrays(weight=layer._weight)
    return Description("activation", {"function": "leaky relu"}, values, axis=channels(layer._data_format))


def pooling(
    name: str, x: Any, kernel: Any, stride: Any, padding: Any, *, ceil_mode: bool, count_padding: bool
) -> Description | None:
    """Return the description of a pooling over one axis; ``padding`` may be a name, which depends on the length."""
    kernel, stride = one(kernel), one(kernel if stride is None else stride)
    pads, algorithm = _update_padding_nd(padding, 1, ceil_mode=ceil_mode)
    pair = (pads[0], pads[-1])
    if algorithm == "SAME":
        length = x.shape[2]
        left, right = split(max((-(-length // stride) - 1) * stride + kernel - length, 0), "right")
        pair = (left, right)
    settings = {
        "function": name,
        "kernel_size": kernel,
        "stride": stride,
        "padding": pair,
        "ceil_mode": bool(ceil_mode),
        "count_padding": bool(count_padding),
    }
    return Description("pooling", settings, axis=1)


def _max_pool(layer: Any, x: Any) -> Description | None:
    if layer.return_mask:
        return None
    sizes = layer.kernel_size, layer.stride, layer.padding
    return pooling("max", x, *sizes, ceil_mode=layer.ceil_mode, count_padding=False)


def _average_pool(layer: Any, x: Any) -> Description | None:
    sizes = layer.kernel_size, layer.stride, layer.padding
    return pooling("average", x, *sizes, ceil_mode=layer.ceil_mode, count_padding=not layer.exclusive)


def global_pooling(name: str, x: Any, output_size: Any) -> Description | None:
    """Return the description of an adaptive pooling to one output for each channel."""
    return Description("global pooling", {"function": name}, axis=1) if one(output_size) == 1 and x.ndim == 3 else None


def upsampling(x: Any, mode: str, factor: Any, align_corners: Any, align_mode: int, data_format: Any) -> Description | None:
    """Return the description of an interpolation over one axis; None for one that is not supported."""
    factor = one(factor)
    if x.ndim != 3 or mode != "linear" or not isinstance(factor, (int, float)) or (align_mode and not align_corners):
        return None
    settings = {"function": mode, "factor": factor, "align_corners": bool(align_corners)}
    return Description("upsampling", settings, axis=channels(data_format or "NCW"))


def _upsample(layer: Any, x: Any) -> Description | None:
    return upsampling(x, layer.mode, layer.scale_factor, layer.align_corners, layer.align_mode, layer.data_format)


def dropout(rate: Any, mode: str, *, training: bool) -> Description | None:
    """Return the description of a dropout; None for one that scales its input when it is off."""
    if mode != "upscale_in_train" and not training:
        return None
    return Description("dropout", {"rate": rate, "active": bool(training and rate > 0)})


def _dropout(layer: Any, _x: Any) -> Description | None:
    return dropout(layer.p, getattr(layer, "mode", "upscale_in_train"), training=layer.training)


def _embedding(layer: Any, _x: Any) -> Description | None:
    values = arrays(weight=layer.weight)
    if layer._padding_idx not in (None, -1):
        values["weight"][layer._padding_idx] = 0.0  # Paddle returns zeros for this word, whatever the weight is
    return Description("embedding", arrays=values)


def padding(x: Any, pads: Any, mode: str, value: Any, data_format: str) -> Description | None:
    """Return the description of a padding of one axis."""
    if x.ndim != 3 or len(pads) != 2:
        return None
    left, right = (int(pad) for pad in pads)
    settings = {"left": left, "right": right, "mode": mode, "value": float(value) if mode == "constant" else 0.0}
    return Description("padding", settings, axis=channels(data_format))


def _padding(layer: Any, x: Any) -> Description | None:
    return padding(x, layer.padding, layer._mode, layer.value, layer._data_format)


def flatten(x: Any, start_axis: int, stop_axis: int) -> Description | None:
    """Return the description of a flatten that keeps the batch."""
    return Description("flatten") if start_axis == 1 and stop_axis in (-1, x.ndim - 1) else None


def _recurrent(layer: Any, _x: Any) -> Description:
    cell = layer.mode.lower().partition("_")[0]
    settings = {"cell": cell, "bidirectional": layer.num_directions == 2, "layers": layer.num_layers}
    return Description("recurrent", settings, arrays(**dict(layer.named_parameters(include_sublayers=False))))


SELU = (1.0507009873554805, 1.6732632423543772)  # scale and alpha
PADS = (nn.Pad1D, nn.ConstantPad1D, nn.ReplicationPad1D, nn.ReflectionPad1D, nn.ZeroPad1D, nn.CircularPad1D)
# Class -> description. A subclass is described as its nearest base class here if it has the same forward.
CLASSES: dict[type, Describer] = {
    nn.Conv1D: _convolution,
    nn.Conv1DTranspose: _convolution,
    **dict.fromkeys((nn.Conv2D, nn.Conv3D, nn.Conv2DTranspose, nn.Conv3DTranspose), _more_axes),
    nn.Linear: lambda layer, _x: linear(layer.weight, layer.bias),
    **dict.fromkeys((nn.BatchNorm, nn.BatchNorm1D, nn.BatchNorm2D, nn.BatchNorm3D, nn.SyncBatchNorm), _batch_norm),
    nn.LayerNorm: _layer_norm,
    nn.GroupNorm: _group_norm,
    **dict.fromkeys((nn.InstanceNorm1D, nn.InstanceNorm2D, nn.InstanceNorm3D), _instance_norm),
    nn.ReLU: _plain("relu"),
    nn.ReLU6: _plain("relu6"),
    nn.LeakyReLU: lambda layer, _x: function("leaky relu", slope=layer._negative_slope),
    nn.GELU: lambda layer, _x: gelu(layer._approximate),
    **dict.fromkeys((nn.Silu, nn.Swish), _plain("silu")),
    nn.Sigmoid: _plain("sigmoid"),
    nn.Hardsigmoid: _plain("hard sigmoid"),
    nn.Hardswish: _plain("hard swish"),
    nn.Tanh: _plain("tanh"),
    nn.Hardtanh: lambda layer, _x: function("hard tanh") if (layer._min, layer._max) == (-1, 1) else None,
    nn.ELU: lambda layer, _x: function("elu", slope=layer._alpha),
    nn.CELU: lambda layer, _x: function("elu", slope=1.0) if layer._alpha == 1 else None,
    nn.SELU: lambda layer, _x: function("selu") if (layer._scale, layer._alpha) == SELU else None,
    nn.Softplus: lambda layer, _x: function("softplus") if layer._beta == 1 else None,
    nn.Softsign: _plain("softsign"),
    nn.Mish: _plain("mish"),
    nn.LogSigmoid: _plain("log sigmoid"),
    nn.Softmax: lambda layer, _x: function("softmax", axis=layer._axis),
    nn.LogSoftmax: lambda layer, _x: function("log softmax", axis=layer._axis),
    nn.PReLU: _prelu,
    nn.MaxPool1D: _max_pool,
    nn.AvgPool1D: _average_pool,
    nn.AdaptiveAvgPool1D: lambda layer, x: global_pooling("average", x, layer.output_size),
    nn.AdaptiveMaxPool1D: lambda layer, x: None if layer.return_mask else global_pooling("max", x, layer.output_size),
    nn.Upsample: _upsample,
    **dict.fromkeys((nn.Dropout, nn.Dropout2D, nn.Dropout3D, nn.AlphaDropout), _dropout),
    nn.Embedding: _embedding,
    nn.Flatten: lambda layer, x: flatten(x, layer.start_axis, layer.stop_axis),
    nn.Identity: lambda _layer, _x: Description("identity"),
    **dict.fromkeys(PADS, _padding),
    **dict.fromkeys((nn.LSTM, nn.GRU, nn.SimpleRNN), _recurrent),
}
CONVOLUTIONS = (nn.Conv1D, nn.Conv1DTranspose)  # `capture` reads them, or refuses a class with another forward


def described(layer: Any, inputs: tuple[Any, ...]) -> Description | None:
    """Return what a layer computes; None for a class that is not known, and for one that defines another forward."""
    kind = type(layer)
    base: Any = next((known for known in kind.__mro__ if known in CLASSES), None)
    if base is None or not inputs or (kind.forward is not base.forward and base not in CONVOLUTIONS):
        return None
    found = CLASSES[base](layer, inputs[0])
    if found is None or found.kind not in ("batch norm", "layer norm") or dtype_of(inputs) != "float64":
        return found
    eps = float(np.float32(found.settings["eps"]))  # as their kernels read it
    return attributes.evolve(found, settings={**found.settings, "eps": eps})
