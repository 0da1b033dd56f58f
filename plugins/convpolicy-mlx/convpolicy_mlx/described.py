"""What each class of ``mlx.nn`` computes, as a `Description`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mlx.core as mx
from mlx import nn
from numpy.typing import NDArray

from convpolicy.models.description import Description
from convpolicy_mlx.arrays import as_numpy

Describer = Callable[[Any], "Description | None"]
CHANNELS = -1


def arrays(**values: Any) -> dict[str, NDArray[Any]]:
    """Return MLX's arrays as copies, without those that are None."""
    return {role: as_numpy(value) for role, value in values.items() if value is not None}


def dtype_name(dtype: Any) -> str:
    """Return the canonical name of a dtype."""
    return str(dtype).rpartition(".")[2]


def one(size: Any) -> Any:
    """Return a size of one axis as a number."""
    return size[0] if isinstance(size, (tuple, list)) and len(size) == 1 else size


def _convolution(module: Any) -> Description:
    axes = (2, 0, 1) if isinstance(module, nn.ConvTranspose1d) else (0, 2, 1)
    weight = module.weight.transpose(axes) if module.weight.ndim == 3 else module.weight
    return Description("convolution", axis=CHANNELS, layer=module, arrays=arrays(weight=weight, bias=module.get("bias")))


def _more_axes(module: Any) -> Description:
    transposed = isinstance(module, (nn.ConvTranspose2d, nn.ConvTranspose3d))
    settings = {
        "kernel_size": tuple(module.weight.shape[1:-1]),
        "stride": module.stride,
        "padding": module.padding,
        "dilation": module.dilation,
        "groups": getattr(module, "groups", 1),
        "transposed": transposed,
    }
    weight = mx.moveaxis(module.weight, -1, 0 if transposed else 1)
    return Description("convolution of more axes", settings, arrays(weight=weight, bias=module.get("bias")), axis=CHANNELS)


def _linear(module: Any) -> Description:
    return Description("linear", arrays=arrays(weight=module.weight, bias=module.get("bias")))


def _scales(module: Any) -> dict[str, NDArray[Any]]:
    return arrays(scale=module.get("weight"), shift=module.get("bias"))


def _batch_norm(module: Any) -> Description:
    tracked = module.track_running_stats
    settings = {"eps": module.eps, "momentum": 1 - module.momentum, "batch_statistics": bool(module.training or not tracked)}
    running = arrays(mean=module.running_mean, variance=module.running_var) if tracked else {}
    return Description("batch norm", settings, {**_scales(module), **running}, axis=CHANNELS)


def _layer_norm(module: Any) -> Description:
    return Description("layer norm", {"eps": module.eps, "axes": 1}, _scales(module))


def _rms_norm(module: Any) -> Description:
    return Description("rms norm", {"eps": module.eps}, arrays(scale=module.weight))


def _group_norm(module: Any) -> Description:
    settings = {"eps": module.eps, "groups": module.num_groups}
    if not module.pytorch_compatible and 1 < module.num_groups < module.dims:
        settings["interleaved"] = True
    return Description("group norm", settings, _scales(module), axis=CHANNELS)


def _instance_norm(module: Any) -> Description:
    return Description("group norm", {"eps": module.eps, "groups": module.dims}, _scales(module), axis=CHANNELS)


def function(name: str, **settings: Any) -> Description:
    """Return the description of an activation."""
    return Description("activation", {"function": name, **settings})


def plain(name: str, **settings: Any) -> Describer:
    """Return a describer of an activation without parameters."""
    return lambda _module: function(name, **settings)


GELUS = {"none": "gelu", "precise": "gelu by tanh", "tanh": "gelu by tanh", "fast": "gelu by sigmoid"}
SELU = "selu of rounded constants"


def _prelu(module: Any) -> Description:
    return Description("activation", {"function": "leaky relu"}, arrays(weight=module.weight), axis=CHANNELS)


def _pooling(name: str) -> Describer:
    def describe(module: Any) -> Description:
        settings = {
            "function": name,
            "kernel_size": one(module._kernel_size),
            "stride": one(module._stride),
            "padding": tuple(module._padding[0]),
            "ceil_mode": False,
            "count_padding": name == "average",
        }
        return Description("pooling", settings, axis=CHANNELS)

    return describe


def _upsample(module: Any) -> Description | None:
    factor, mode = one(module.scale_factor), module.mode
    if mode not in ("nearest", "linear") or not isinstance(factor, (int, float)) or getattr(module, "antialias", False):
        return None
    if mode == "nearest" and factor != int(factor):
        mode = "nearest exact"
    settings = {"function": mode, "factor": factor, "align_corners": bool(mode == "linear" and module.align_corners)}
    return Description("upsampling", settings, axis=CHANNELS)


def _dropout(module: Any) -> Description:
    rate = 1 - module._p_1
    return Description("dropout", {"rate": rate, "active": bool(module.training and rate > 0)})


def _recurrent(cell: str) -> Describer:
    def describe(module: Any) -> Description:
        values = {name: value for name, value in module.items() if isinstance(value, mx.array)}
        return Description("recurrent", {"cell": cell, "bidirectional": False, "layers": 1}, arrays(**values))

    return describe


# Class -> description. A subclass is described as its nearest base class here if it has the same ``__call__``.
CLASSES: dict[type, Describer] = {
    nn.Conv1d: _convolution,
    nn.ConvTranspose1d: _convolution,
    **dict.fromkeys((nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d, nn.ConvTranspose3d), _more_axes),
    nn.Linear: _linear,
    nn.BatchNorm: _batch_norm,
    nn.LayerNorm: _layer_norm,
    nn.RMSNorm: _rms_norm,
    nn.GroupNorm: _group_norm,
    nn.InstanceNorm: _instance_norm,
    nn.ReLU: plain("relu"),
    nn.ReLU6: plain("relu6"),
    nn.LeakyReLU: lambda module: function("leaky relu", slope=module._negative_slope),
    nn.GELU: lambda module: function(GELUS[module._approx]),
    nn.SiLU: plain("silu"),
    nn.Sigmoid: plain("sigmoid"),
    nn.Hardswish: plain("hard swish"),
    nn.Tanh: plain("tanh"),
    nn.HardTanh: plain("hard tanh"),
    nn.ELU: lambda module: function("elu", slope=module._alpha),
    nn.CELU: lambda module: function("elu", slope=1.0) if module._alpha == 1 else None,
    nn.SELU: plain(SELU),
    nn.Softplus: plain("softplus"),
    nn.Softsign: plain("softsign"),
    nn.Mish: plain("mish"),
    nn.LogSigmoid: plain("log sigmoid"),
    nn.Softmax: plain("softmax", axis=-1),
    nn.LogSoftmax: plain("log softmax", axis=-1),
    nn.PReLU: _prelu,
    nn.MaxPool1d: _pooling("max"),
    nn.AvgPool1d: _pooling("average"),
    nn.Upsample: _upsample,
    **dict.fromkeys((nn.Dropout, nn.Dropout2d, nn.Dropout3d), _dropout),
    nn.Embedding: lambda module: Description("embedding", arrays=arrays(weight=module.weight)),
    nn.Identity: lambda _module: Description("identity"),
    nn.LSTM: _recurrent("lstm"),
    nn.GRU: _recurrent("gru"),
    nn.RNN: _recurrent("rnn"),
}
CONVOLUTIONS = (nn.Conv1d, nn.ConvTranspose1d)  # `capture` reads them, or refuses a class with another ``__call__``


def known_class(kind: type) -> type | None:
    """Return the class in `CLASSES` that computes what a class computes; None if there is none."""
    base = next((known for known in kind.__mro__ if known in CLASSES), None)
    same = base is not None and (kind.__call__ is base.__call__ or base in CONVOLUTIONS)  # type: ignore[operator]
    return base if same else None
