"""What each class of ``flax.nnx`` computes, as a `Description`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from flax import nnx
from flax.nnx.nn.linear import canonicalize_padding
from numpy.typing import NDArray

from convpolicy.frameworks.flax.nnx_layer import PaddedConv
from convpolicy.frameworks.flax.nnx_transposed import CroppedConvTranspose
from convpolicy.frameworks.flax.values import as_numpy, layout_in, unpacked
from convpolicy.models.description import Description

Describer = Callable[[Any, Any, Mapping[str, Any]], Description | None]  # of the module, its input, and the keyword arguments


def _value(variable: Any) -> Any:
    return None if variable is None else variable.value


def arrays(**variables: Any) -> dict[str, NDArray[Any]]:
    """Return variables as copies, without those that are None."""
    return {role: np.array(as_numpy(_value(item))) for role, item in variables.items() if _value(item) is not None}


def _convolution(module: Any, _data: Any, _arguments: Mapping[str, Any]) -> Description | None:
    if getattr(module, "mask", None) is not None:
        return None
    weights = {name: _value(getattr(module, name, None)) for name in ("kernel", "bias")}
    present = {name: value for name, value in weights.items() if value is not None}
    if present["kernel"].ndim != 3:
        return _more_axes(module, present)
    values = {role: np.array(array) for role, array in unpacked(present, layout_in(module)).items() if array is not None}
    return Description("convolution", axis=-1, layer=module, arrays=values)


def _more_axes(module: Any, weights: Mapping[str, Any]) -> Description:
    kernel = as_numpy(weights["kernel"])
    rank = kernel.ndim - 2
    transposed = isinstance(module, nnx.ConvTranspose)
    if not transposed or module.transpose_kernel:  # (kernel…, in/groups, out)
        weight = np.moveaxis(kernel, (-1, -2), (0, 1))
    else:  # (kernel…, in, out), in reverse
        weight = np.moveaxis(np.flip(kernel, tuple(range(rank))), (-2, -1), (0, 1))
    stride, dilation = _sizes(module.strides, rank), _sizes(module.kernel_dilation, rank)
    settings = {
        "kernel_size": tuple(kernel.shape[:rank]),
        "stride": stride,
        "padding": _pads(module.padding, stride, [(size - 1) * rate for size, rate in zip(kernel.shape, dilation)]),
        "dilation": dilation,
        "groups": getattr(module, "feature_group_count", 1),
        "transposed": transposed,
    }
    bias = {"bias": np.array(as_numpy(weights["bias"]))} if "bias" in weights else {}
    return Description("convolution of more axes", settings, {"weight": np.array(weight, order="C"), **bias}, axis=-1)


def _pads(padding: Any, stride: tuple[int, ...], extents: list[int]) -> Any:
    """Return the padding as one number for each axis, as in PyTorch, or Flax's own form of it if the two sides may differ."""
    pads = canonicalize_padding(padding, len(extents))
    if pads == "VALID":
        return (0,) * len(extents)
    if pads == "SAME" and set(stride) == {1} and not any(extent % 2 for extent in extents):
        return tuple(extent // 2 for extent in extents)
    is_symmetric = not isinstance(pads, str) and all(left == right for left, right in pads)
    return tuple(left for left, _right in pads) if is_symmetric else pads


def _sizes(size: Any, rank: int) -> tuple[int, ...]:
    return (size or 1,) * rank if size is None or isinstance(size, int) else tuple(size)


def _linear(module: Any, _data: Any, _arguments: Mapping[str, Any]) -> Description:
    values = arrays(weight=module.kernel, bias=module.bias)
    return Description("linear", arrays={**values, "weight": np.array(values["weight"].T, order="C")})


def _linear_general(module: Any, data: Any, arguments: Mapping[str, Any]) -> Description | None:
    last = module.axis == (-1,) or module.axis == (data.ndim - 1,)
    return _linear(module, data, arguments) if last and len(module.kernel.value.shape) == 2 and not module.batch_axis else None


def _is_last(axis: Any, data: Any) -> bool:
    return axis in (-1, data.ndim - 1, (-1,), [-1])


def _batch_norm(module: Any, data: Any, arguments: Mapping[str, Any]) -> Description | None:
    average = arguments.get("use_running_average")
    average = module.use_running_average if average is None else average
    axis = -1 if _is_last(module.axis, data) else 1 if module.axis == 1 else None
    if axis is None or (arguments.get("mask") is not None and not average):
        return None
    settings = {"eps": module.epsilon, "momentum": module.momentum, "batch_statistics": not average}
    values = arrays(scale=module.scale, shift=module.bias, mean=module.mean, variance=module.var)
    return Description("batch norm", settings, values, axis=axis)


def _layer_norm(module: Any, data: Any, arguments: Mapping[str, Any]) -> Description | None:
    axes = [
        sorted(axis - data.ndim if axis >= 0 else axis for axis in (item if isinstance(item, (tuple, list)) else (item,)))
        for item in (module.reduction_axes, module.feature_axes)
    ]
    if axes[0] != axes[1] or axes[0] != list(range(-len(axes[0]), 0)) or arguments.get("mask") is not None:
        return None
    return Description("layer norm", {"eps": module.epsilon, "axes": len(axes[0])}, arrays(scale=module.scale, shift=module.bias))


def _rms_norm(module: Any, data: Any, arguments: Mapping[str, Any]) -> Description | None:
    last = _is_last(module.reduction_axes, data) and _is_last(module.feature_axes, data)
    if not last or arguments.get("mask") is not None:
        return None
    return Description("rms norm", {"eps": module.epsilon}, arrays(scale=module.scale))


def _group_norm(module: Any, _data: Any, arguments: Mapping[str, Any]) -> Description | None:
    if module.reduction_axes is not None or arguments.get("mask") is not None:
        return None
    settings = {"eps": module.epsilon, "groups": module.num_groups}
    return Description("group norm", settings, arrays(scale=module.scale, shift=module.bias), axis=-1)


def _instance_norm(module: Any, data: Any, arguments: Mapping[str, Any]) -> Description | None:
    if not _is_last(module.feature_axes, data) or arguments.get("mask") is not None:
        return None
    settings = {"eps": module.epsilon, "groups": int(data.shape[-1])}
    return Description("group norm", settings, arrays(scale=module.scale, shift=module.bias), axis=-1)


def _prelu(module: Any, data: Any, _arguments: Mapping[str, Any]) -> Description:
    slope = np.asarray(as_numpy(module.negative_slope.value)).reshape(-1)
    return Description("activation", {"function": "leaky relu"}, {"weight": slope}, axis=-1 if data.ndim > 2 else None)


def _dropout(module: Any, _data: Any, arguments: Mapping[str, Any]) -> Description:
    off = arguments.get("deterministic")
    off = module.deterministic if off is None else off
    return Description("dropout", {"rate": float(module.rate), "active": bool(not off and module.rate > 0)})


def _embedding(module: Any, _data: Any, _arguments: Mapping[str, Any]) -> Description:
    return Description("embedding", arrays=arrays(weight=module.embedding))


CELLS: dict[type, str] = {nnx.LSTMCell: "lstm", nnx.OptimizedLSTMCell: "lstm", nnx.GRUCell: "gru", nnx.SimpleCell: "rnn"}


def _recurrent(module: Any, _data: Any, _arguments: Mapping[str, Any]) -> Description | None:
    parts = [module.forward_rnn, module.backward_rnn] if isinstance(module, nnx.Bidirectional) else [module]
    cells = [getattr(part, "cell", None) for part in parts]
    if type(cells[0]) not in CELLS or len({type(cell) for cell in cells}) > 1:
        return None
    state = nnx.to_flat_state(nnx.state(module, nnx.Param))
    values = {".".join(map(str, path)): np.array(as_numpy(value.value)) for path, value in state}
    settings = {"cell": CELLS[type(cells[0])], "bidirectional": len(cells) > 1, "layers": 1}
    return Description("recurrent", settings, values)


# Class -> description. A subclass is described as its nearest base class here if it has the same ``__call__``.
CLASSES: dict[type, Describer] = {
    **dict.fromkeys((nnx.Conv, nnx.ConvTranspose, PaddedConv, CroppedConvTranspose), _convolution),
    nnx.Linear: _linear,
    nnx.LinearGeneral: _linear_general,
    nnx.BatchNorm: _batch_norm,
    nnx.LayerNorm: _layer_norm,
    nnx.RMSNorm: _rms_norm,
    nnx.GroupNorm: _group_norm,
    nnx.InstanceNorm: _instance_norm,
    nnx.PReLU: _prelu,
    nnx.Dropout: _dropout,
    nnx.Embed: _embedding,
    nnx.RNN: _recurrent,
    nnx.Bidirectional: _recurrent,
}


def base_of(kind: Any) -> type | None:
    """Return the class in `CLASSES` whose ``__call__`` a class has, or None."""
    base: Any = next((known for known in kind.__mro__ if known in CLASSES), None)
    return base if base is not None and kind.__call__ is base.__call__ else None


def described(base: type, module: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Description | None:
    """Return what a call of a module computes; None for a form of the call that no other framework has.

    Args:
        base: the class in `CLASSES` whose ``__call__`` the module has.
        module: the module.
        args, kwargs: arguments of the call.
    """
    data = args[0] if args else next((kwargs[name] for name in ("inputs", "x", "input_array") if name in kwargs), None)
    if data is None or not hasattr(data, "ndim"):
        return None
    return CLASSES[base](module, data, kwargs)
