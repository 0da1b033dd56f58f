"""What each class of ``mindspore.nn`` and ``mindspore.mint.nn`` computes, as a `Description`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mindspore
import numpy as np
from mindspore import mint, nn
from numpy.typing import NDArray

from convpolicy.frameworks.mindspore.resampling import average_pool, global_pooling, max_pool, mint_average_pool, one, upsampling
from convpolicy.models.description import Description

Describer = Callable[[Any, Any], "Description | None"]  # of a cell and its input


def is_floating(tensor: Any) -> bool:
    """Return True for a tensor of floating numbers."""
    return isinstance(tensor, mindspore.Tensor) and "Float" in str(tensor.dtype)


def numbers(tensor: Any) -> NDArray[Any]:
    """Return a copy of a tensor, a bfloat16 one as float32."""
    return np.array((tensor.astype(mindspore.float32) if str(tensor.dtype) == "BFloat16" else tensor).asnumpy())


def arrays(**tensors: Any) -> dict[str, NDArray[Any]]:
    """Return tensors as copies, without those that are None."""
    return {role: numbers(tensor) for role, tensor in tensors.items() if tensor is not None}


def _bias(cell: Any) -> Any:
    return cell.bias if getattr(cell, "has_bias", True) else None


def _convolution(cell: Any, _x: Any) -> Description:
    values = arrays(weight=cell.weight, bias=_bias(cell))
    weight = values["weight"]
    values["weight"] = weight[:, :, 0] if weight.ndim == 4 else weight  # its axis of height 1
    return Description("convolution", axis=1, layer=cell, arrays=values)


def _more_axes(cell: Any, _x: Any) -> Description:
    settings = {name: getattr(cell, name) for name in ("kernel_size", "stride", "padding", "dilation")}
    settings["groups"] = cell.groups if hasattr(cell, "groups") else cell.group
    settings["padding"] = cell.padding if getattr(cell, "pad_mode", "pad") == "pad" else cell.pad_mode
    settings["transposed"] = "Transpose" in type(cell).__name__
    return Description("convolution of more axes", settings, arrays(weight=cell.weight, bias=_bias(cell)), axis=1)


def linear(weight: Any, bias: Any) -> Description:
    """Return the description of a product with a weight (out, in)."""
    return Description("linear", arrays=arrays(weight=weight, bias=bias))


def _batch_norm(cell: Any, _x: Any) -> Description:
    """``momentum`` is 1 minus the argument; eps is part of the primitives."""
    uses_batch = cell.training if cell.use_batch_statistics is None else cell.use_batch_statistics
    eps = (cell.bn_train if uses_batch else cell.bn_infer).epsilon
    settings = {"eps": eps, "momentum": 1 - cell.momentum, "batch_statistics": bool(uses_batch)}
    values = arrays(scale=cell.gamma, shift=cell.beta, mean=cell.moving_mean, variance=cell.moving_variance)
    return Description("batch norm", settings, values, axis=1)


def _mint_batch_norm(cell: Any, _x: Any) -> Description:
    momentum = None if cell.momentum is None else 1 - cell.momentum
    settings = {"eps": cell.eps, "momentum": momentum, "batch_statistics": bool(cell.training or cell.running_mean is None)}
    values = arrays(scale=cell.weight, shift=cell.bias, mean=cell.running_mean, variance=cell.running_var)
    return Description("batch norm", settings, values, axis=1)


def _layer_norm(cell: Any, x: Any) -> Description | None:
    axes = len(cell.normalized_shape)
    begin = cell.layer_norm.init_attrs["begin_norm_axis"]
    if begin not in (-axes, x.ndim - axes) or cell.begin_params_axis not in (-axes, x.ndim - axes):
        return None
    settings = {"eps": cell.layer_norm.init_attrs["epsilon"], "axes": axes}
    return Description("layer norm", settings, arrays(scale=cell.gamma, shift=cell.beta))


def _mint_layer_norm(cell: Any, _x: Any) -> Description:
    settings = {"eps": cell.eps, "axes": len(cell.normalized_shape)}
    return Description("layer norm", settings, arrays(scale=cell.weight, shift=cell.bias))


def _group_norm(cell: Any, _x: Any) -> Description:
    settings = {"eps": cell.eps, "groups": cell.num_groups}
    return Description("group norm", settings, arrays(scale=cell.gamma, shift=cell.beta), axis=1)


def _mint_group_norm(cell: Any, _x: Any) -> Description:
    settings = {"eps": cell.eps, "groups": cell.num_groups}
    return Description("group norm", settings, arrays(scale=cell.weight, shift=cell.bias), axis=1)


def _instance_norm(cell: Any, _x: Any) -> Description:
    settings = {"eps": cell.instance_bn.init_attrs["epsilon"], "groups": cell.num_features}
    return Description("group norm", settings, arrays(scale=cell.gamma, shift=cell.beta), axis=1)


def function(name: str, **settings: Any) -> Description:
    """Return the description of an activation."""
    return Description("activation", {"function": name, **settings})


def _plain(name: str) -> Describer:
    return lambda _cell, _x: function(name)


def tanh(*_args: Any, **_kwargs: Any) -> Description:
    """Return the description of tanh, which MindSpore's CPU kernel approximates."""
    return function("tanh by a fraction" if mindspore.get_context("device_target") == "CPU" else "tanh")


def gelu(approximate: Any) -> Description:
    """Return the description of GELU, whose ``approximate`` is "tanh" or "none"."""
    return function("gelu by tanh" if approximate == "tanh" else "gelu")


def _prelu(cell: Any, _x: Any) -> Description:
    weight = cell.w if hasattr(cell, "w") else cell.weight
    return Description("activation", {"function": "leaky relu"}, arrays(weight=weight), axis=1)


def dropout(rate: Any, *, training: bool) -> Description:
    """Return the description of a dropout."""
    return Description("dropout", {"rate": rate, "active": bool(training and rate > 0)})


def _dropout(cell: Any, _x: Any) -> Description:
    return dropout(1 - cell.keep_prob if cell.p is None else cell.p, training=cell.training)


def padding(x: Any, pads: Any, mode: str, value: Any = 0.0) -> Description | None:
    """Return the description of a padding of the last axis; a list of pairs must be zero for the other axes."""
    pads = np.asarray(pads if not isinstance(pads, mindspore.Tensor) else pads.asnumpy()).ravel().tolist()
    if x.ndim != 3 or any(pads[:-2]):
        return None
    settings = {"left": pads[-2], "right": pads[-1], "mode": mode, "value": float(value or 0.0) if mode == "constant" else 0.0}
    return Description("padding", settings, axis=1)


def _padding(mode: str) -> Describer:
    return lambda cell, x: padding(x, cell.padding, mode, getattr(cell, "value", 0.0))


def flatten(x: Any, start: int, end: int) -> Description | None:
    """Return the description of a flatten that keeps the batch."""
    return Description("flatten") if start == 1 and end in (-1, x.ndim - 1) else None


def _recurrent(cell: Any, _x: Any) -> Description:
    settings = {"cell": type(cell).__name__.lower(), "bidirectional": cell.bidirectional, "layers": cell.num_layers}
    values = {value.name.rpartition(".")[2]: value for value in cell.get_parameters()}
    return Description("recurrent", settings, arrays(**values))


def _softmax(name: str, attribute: str) -> Describer:
    return lambda cell, _x: function(name, axis=one(getattr(cell, attribute).init_attrs["axis"]))


def _mint_softmax(name: str) -> Describer:
    return lambda cell, _x: None if cell.dim is None else function(name, axis=cell.dim)


def _hard_tanh(cell: Any, _x: Any) -> Description | None:
    return function("hard tanh") if (cell.min_val, cell.max_val) == (-1, 1) else None


# Class -> description. A subclass is described as its nearest base class here if it has the same ``construct``.
CLASSES: dict[type, Describer] = {
    **dict.fromkeys((nn.Conv1d, nn.Conv1dTranspose, mint.nn.Conv1d), _convolution),
    **dict.fromkeys((nn.Conv2d, nn.Conv3d, nn.Conv2dTranspose, nn.Conv3dTranspose), _more_axes),
    **dict.fromkeys((mint.nn.Conv2d, mint.nn.Conv3d, mint.nn.ConvTranspose2d), _more_axes),
    **dict.fromkeys((nn.Dense, mint.nn.Linear), lambda cell, _x: linear(cell.weight, _bias(cell))),
    **dict.fromkeys((nn.BatchNorm1d, nn.BatchNorm2d), _batch_norm),
    **dict.fromkeys((mint.nn.BatchNorm1d, mint.nn.BatchNorm2d, mint.nn.BatchNorm3d), _mint_batch_norm),
    nn.LayerNorm: _layer_norm,
    mint.nn.LayerNorm: _mint_layer_norm,
    nn.GroupNorm: _group_norm,
    mint.nn.GroupNorm: _mint_group_norm,
    **dict.fromkeys((nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d), _instance_norm),
    nn.ReLU: _plain("relu"),
    **dict.fromkeys((nn.ReLU6, mint.nn.ReLU6), _plain("relu6")),
    nn.LeakyReLU: lambda cell, _x: function("leaky relu", slope=cell.alpha),
    **dict.fromkeys((nn.GELU, mint.nn.GELU), lambda cell, _x: gelu(cell.approximate)),
    nn.FastGelu: _plain("gelu by sigmoid"),
    **dict.fromkeys((nn.SiLU, mint.nn.SiLU), _plain("silu")),
    **dict.fromkeys((nn.Sigmoid, mint.nn.Sigmoid), _plain("sigmoid")),
    nn.HSigmoid: _plain("hard sigmoid"),
    nn.HSwish: _plain("hard swish"),
    **dict.fromkeys((nn.Tanh, mint.nn.Tanh), tanh),
    **dict.fromkeys((nn.Hardtanh, mint.nn.Hardtanh), _hard_tanh),
    nn.ELU: lambda cell, _x: function("elu", slope=cell.elu.init_attrs["alpha"]),
    mint.nn.ELU: lambda cell, _x: function("elu", slope=cell.alpha),
    nn.CELU: lambda cell, _x: function("elu", slope=1.0) if cell.celu.init_attrs["alpha"] == 1 else None,
    **dict.fromkeys((nn.SeLU, mint.nn.SELU), _plain("selu")),
    nn.Softsign: _plain("softsign"),
    **dict.fromkeys((nn.Mish, mint.nn.Mish), _plain("mish")),
    **dict.fromkeys((nn.LogSigmoid, mint.nn.LogSigmoid), _plain("log sigmoid")),
    nn.Softmax: _softmax("softmax", "softmax"),
    nn.LogSoftmax: _softmax("log softmax", "log_softmax"),
    mint.nn.Softmax: _mint_softmax("softmax"),
    mint.nn.LogSoftmax: _mint_softmax("log softmax"),
    **dict.fromkeys((nn.PReLU, mint.nn.PReLU), _prelu),
    nn.MaxPool1d: max_pool,
    nn.AvgPool1d: average_pool,
    mint.nn.AvgPool1d: mint_average_pool,
    **dict.fromkeys(
        (nn.AdaptiveAvgPool1d, mint.nn.AdaptiveAvgPool1d), lambda cell, x: global_pooling("average", x, cell.output_size)
    ),
    **dict.fromkeys(
        (nn.AdaptiveMaxPool1d, mint.nn.AdaptiveMaxPool1d), lambda cell, x: global_pooling("max", x, cell.output_size)
    ),
    **dict.fromkeys(
        (nn.Upsample, mint.nn.Upsample), lambda cell, x: upsampling(x, cell.mode, cell.scale_factor, cell.align_corners)
    ),
    nn.Dropout: _dropout,
    **dict.fromkeys((nn.Dropout1d, nn.Dropout2d), lambda cell, _x: dropout(cell.prob, training=cell.training)),
    mint.nn.Dropout: lambda cell, _x: dropout(cell.p, training=cell.training),
    nn.Embedding: lambda cell, _x: Description("embedding", arrays=arrays(weight=cell.embedding_table)),
    mint.nn.Embedding: lambda cell, _x: Description("embedding", arrays=arrays(weight=cell.weight)),
    **dict.fromkeys((nn.Flatten, mint.nn.Flatten), lambda cell, x: flatten(x, cell.start_dim, cell.end_dim)),
    nn.Identity: lambda _cell, _x: Description("identity"),
    **dict.fromkeys((nn.ConstantPad1d, mint.nn.ConstantPad1d, mint.nn.ZeroPad1d), _padding("constant")),
    **dict.fromkeys((nn.ReflectionPad1d, mint.nn.ReflectionPad1d), _padding("reflect")),
    **dict.fromkeys((nn.ReplicationPad1d, mint.nn.ReplicationPad1d), _padding("replicate")),
    nn.Pad: lambda cell, x: padding(x, cell.paddings, cell.mode.lower()),
    **dict.fromkeys((nn.LSTM, nn.GRU, nn.RNN), _recurrent),
}
CONVOLUTIONS = (nn.Conv1d, nn.Conv1dTranspose, mint.nn.Conv1d)  # `capture` reads them, or refuses another ``construct``


def base_of(cell: Any) -> type | None:
    """Return the class in `CLASSES` whose ``construct`` a cell has, or None."""
    kind = type(cell)
    base: Any = next((known for known in kind.__mro__ if known in CLASSES), None)
    return base if base in CONVOLUTIONS or (base is not None and kind.construct is base.construct) else None


def described(cell: Any, inputs: tuple[Any, ...]) -> Description | None:
    """Return what a cell computes; None for a class that is not known, and for one that defines another ``construct``."""
    base = base_of(cell)
    return None if base is None or not inputs else CLASSES[base](cell, inputs[0])
