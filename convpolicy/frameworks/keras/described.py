"""What each layer of Keras computes, as a `Description`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray

from convpolicy.errors import ConvPolicyError, InvalidValueError
from convpolicy.frameworks.keras import functions
from convpolicy.frameworks.keras.capture import capture_without_activation
from convpolicy.frameworks.keras.functions import channels_axis, from_the_end, function, one, rectified
from convpolicy.frameworks.keras.initial import as_numpy
from convpolicy.frameworks.keras.layer import PaddedConv1D, PaddedDepthwiseConv1D
from convpolicy.frameworks.keras.plugin import RUNS_ON
from convpolicy.frameworks.keras.transposed_layer import CroppedConv1DTranspose
from convpolicy.frameworks.keras.values import parameters
from convpolicy.models.description import Description

Describer = Callable[[Any, Any, bool], Description | None]  # of the layer, its input, and whether it trains
BACKEND = next(name for name, framework in RUNS_ON.items() if framework == keras.config.backend())
OWN = (PaddedConv1D, PaddedDepthwiseConv1D, CroppedConv1DTranspose)


def arrays(**variables: Any) -> dict[str, NDArray[Any]]:
    """Return variables as copies, without those that are None."""
    return {role: np.array(as_numpy(variable)) for role, variable in variables.items() if variable is not None}


def _convolution(layer: Any, _data: Any, _training: bool) -> Description:
    try:
        captured = capture_without_activation(layer)
        native = captured and attrs.evolve(captured, backend=BACKEND)
    except ConvPolicyError:
        native = None
    values = {role: array for role, array in parameters(layer).items() if array is not None}
    return Description("convolution", axis=channels_axis(layer.data_format), layer=native or layer, arrays=values)


def _more_axes(layer: Any, _data: Any, _training: bool) -> Description:
    rank = layer.rank
    kernel = as_numpy(layer.kernel)
    axes = range(rank)
    is_depthwise = isinstance(layer, layers.DepthwiseConv2D)
    if is_depthwise:  # (kernel…, in, multiplier)
        weight = np.moveaxis(kernel, (-2, -1), (0, 1)).reshape(-1, 1, *kernel.shape[:rank])
    else:  # (kernel…, in, out), of a transposed one (kernel…, out, in)
        weight = np.moveaxis(kernel, (-1, -2), (0, 1))
    settings = {
        "kernel_size": tuple(layer.kernel_size),
        "stride": tuple(layer.strides),
        "padding": _pads(layer, axes),
        "dilation": tuple(layer.dilation_rate),
        "groups": kernel.shape[rank] if is_depthwise else getattr(layer, "groups", 1),
        "transposed": isinstance(layer, (layers.Conv2DTranspose, layers.Conv3DTranspose)),
    }
    bias = arrays(bias=layer.bias if layer.use_bias else None)
    values = {"weight": np.array(weight, order="C"), **bias}
    return Description("convolution of more axes", settings, values, axis=channels_axis(layer.data_format))


def _pads(layer: Any, axes: Any) -> Any:
    """Return the padding as one number for each axis, as in PyTorch, or Keras's name for it if the two sides may differ."""
    extents = [layer.dilation_rate[axis] * (layer.kernel_size[axis] - 1) for axis in axes]
    if layer.padding == "valid":
        return (0,) * len(extents)
    is_symmetric = set(layer.strides) == {1} and not any(extent % 2 for extent in extents)
    return tuple(extent // 2 for extent in extents) if layer.padding == "same" and is_symmetric else layer.padding


def _dense(layer: Any, _data: Any, _training: bool) -> Description:
    values = arrays(weight=layer.kernel, bias=layer.bias if layer.use_bias else None)
    return Description("linear", arrays={**values, "weight": np.array(values["weight"].T, order="C")})


def _axis(axis: int, data: Any) -> int | None:
    """Return an axis of channels as 1 or -1; None for another one."""
    rank = len(data.shape)
    return -1 if axis in (-1, rank - 1) else 1 if axis in (1, 1 - rank) else None


def _batch_norm(layer: Any, data: Any, training: bool) -> Description | None:
    axis = _axis(layer.axis, data)
    uses_batch = bool(training and layer.trainable)
    if axis is None or (uses_batch and layer.renorm):
        return None
    settings = {"eps": layer.epsilon, "momentum": layer.momentum, "batch_statistics": uses_batch}
    values = arrays(scale=layer.gamma, shift=layer.beta, mean=layer.moving_mean, variance=layer.moving_variance)
    return Description("batch norm", settings, values, axis=axis)


def _layer_norm(layer: Any, data: Any, _training: bool) -> Description | None:
    axes = sorted(from_the_end(axis, data) for axis in (layer.axis if isinstance(layer.axis, (list, tuple)) else [layer.axis]))
    if axes != list(range(-len(axes), 0)) or getattr(layer, "rms_scaling", False):
        return None
    values = arrays(scale=layer.gamma if layer.scale else None, shift=layer.beta if layer.center else None)
    return Description("layer norm", {"eps": layer.epsilon, "axes": len(axes)}, values)


def _rms_norm(layer: Any, data: Any, _training: bool) -> Description | None:
    axes = layer.axis if isinstance(layer.axis, (list, tuple)) else [layer.axis]
    if [from_the_end(axis, data) for axis in axes] != [-1]:
        return None
    return Description("rms norm", {"eps": layer.epsilon}, arrays(scale=layer.scale))


def _group_norm(layer: Any, data: Any, _training: bool) -> Description | None:
    axis = _axis(layer.axis, data)
    if axis is None:
        return None
    groups = int(data.shape[layer.axis]) if layer.groups == -1 else layer.groups
    values = arrays(scale=layer.gamma if layer.scale else None, shift=layer.beta if layer.center else None)
    return Description("group norm", {"eps": layer.epsilon, "groups": groups}, values, axis=axis)


def _activation(layer: Any, data: Any, _training: bool) -> Description | None:
    return functions.described(layer.activation, (data,), {})


def _prelu(layer: Any, data: Any, _training: bool) -> Description | None:
    alpha = as_numpy(layer.alpha)
    if alpha.size != alpha.shape[-1]:  # a slope for each position
        return None
    return Description("activation", {"function": "leaky relu"}, {"weight": alpha.reshape(-1)}, axis=_axis(-1, data))


def _softmax(layer: Any, data: Any, _training: bool) -> Description | None:
    axis = from_the_end(one(layer.axis), data)
    return function("softmax", axis=axis) if isinstance(axis, int) else None


def _pooling(name: str) -> Describer:
    def describe(layer: Any, data: Any, _training: bool) -> Description | None:
        return functions.pooling(name, data, layer.pool_size, layer.strides, layer.padding, layer.data_format)

    return describe


def _global(name: str) -> Describer:
    return lambda layer, _data, _training: Description(
        "global pooling", {"function": name}, axis=channels_axis(layer.data_format)
    )


def _adaptive(name: str) -> Describer:
    def describe(layer: Any, data: Any, training: bool) -> Description | None:
        return _global(name)(layer, data, training) if one(layer.output_size) == 1 else None

    return describe


def _padding(layer: Any, _data: Any, _training: bool) -> Description:
    signs, amounts = (-1, layer.cropping) if isinstance(layer, layers.Cropping1D) else (1, layer.padding)
    settings = {"left": signs * amounts[0], "right": signs * amounts[1], "mode": "constant", "value": 0.0}
    return Description("padding", settings, axis=channels_axis(getattr(layer, "data_format", "channels_last")))


def _upsampling(layer: Any, _data: Any, _training: bool) -> Description:
    return Description("upsampling", {"function": "nearest", "factor": one(layer.size), "align_corners": False}, axis=-1)


def _dropout(layer: Any, _data: Any, training: bool) -> Description:
    return Description("dropout", {"rate": float(layer.rate), "active": bool(training and layer.rate > 0)})


def _embedding(layer: Any, _data: Any, _training: bool) -> Description:
    return Description("embedding", arrays=arrays(weight=layer.embeddings))


def _recurrent(layer: Any, _data: Any, _training: bool) -> Description:
    inner = layer.forward_layer if isinstance(layer, layers.Bidirectional) else layer
    cell = {layers.LSTM: "lstm", layers.GRU: "gru", layers.SimpleRNN: "rnn"}[type(inner)]
    settings = {"cell": cell, "bidirectional": inner is not layer, "layers": 1}
    if cell == "gru" and not inner.reset_after:
        settings["reset_after"] = False
    names = [f"{weight.path}".rpartition(f"{layer.name}/")[2] for weight in layer.weights]
    return Description("recurrent", settings, arrays(**dict(zip(names, layer.weights))))


def _bidirectional(layer: Any, data: Any, training: bool) -> Description | None:
    known = type(layer.forward_layer) in (layers.LSTM, layers.GRU, layers.SimpleRNN)
    return _recurrent(layer, data, training) if known and layer.merge_mode == "concat" else None


# Class -> description. A subclass is described as its nearest base class here if it has the same ``call``.
CLASSES: dict[type, Describer] = {
    **dict.fromkeys((*OWN, layers.Conv1D, layers.Conv1DTranspose, layers.DepthwiseConv1D), _convolution),
    **dict.fromkeys(
        (layers.Conv2D, layers.Conv3D, layers.Conv2DTranspose, layers.Conv3DTranspose, layers.DepthwiseConv2D), _more_axes
    ),
    layers.Dense: _dense,
    layers.BatchNormalization: _batch_norm,
    layers.LayerNormalization: _layer_norm,
    layers.RMSNormalization: _rms_norm,
    layers.GroupNormalization: _group_norm,
    layers.Activation: _activation,
    layers.ReLU: lambda layer, _data, _training: rectified(layer.negative_slope, layer.max_value, layer.threshold),
    layers.LeakyReLU: lambda layer, _data, _training: function("leaky relu", slope=float(layer.negative_slope)),
    layers.ELU: lambda layer, _data, _training: function("elu", slope=float(layer.alpha)),
    layers.PReLU: _prelu,
    layers.Softmax: _softmax,
    layers.MaxPooling1D: _pooling("max"),
    layers.AveragePooling1D: _pooling("average"),
    **dict.fromkeys((layers.GlobalMaxPooling1D, layers.GlobalMaxPooling2D, layers.GlobalMaxPooling3D), _global("max")),
    **dict.fromkeys(
        (layers.GlobalAveragePooling1D, layers.GlobalAveragePooling2D, layers.GlobalAveragePooling3D), _global("average")
    ),
    layers.AdaptiveAveragePooling1D: _adaptive("average"),
    layers.AdaptiveMaxPooling1D: _adaptive("max"),
    layers.ZeroPadding1D: _padding,
    layers.Cropping1D: _padding,
    layers.UpSampling1D: _upsampling,
    **dict.fromkeys(
        (layers.Dropout, layers.SpatialDropout1D, layers.SpatialDropout2D, layers.AlphaDropout, layers.GaussianDropout), _dropout
    ),
    layers.Embedding: _embedding,
    layers.Flatten: lambda _layer, _data, _training: Description("flatten"),
    layers.Identity: lambda _layer, _data, _training: Description("identity"),
    **dict.fromkeys((layers.LSTM, layers.GRU, layers.SimpleRNN), _recurrent),
    layers.Bidirectional: _bidirectional,
}
ACTIVATED = tuple(kind for kind, describe in CLASSES.items() if describe in (_convolution, _more_axes, _dense))


def base_of(layer: Any) -> type | None:
    """Return the class in `CLASSES` whose ``call`` a layer has, or None."""
    kind: Any = type(layer)
    base: Any = next((known for known in kind.__mro__ if known in CLASSES), None)
    return base if base is not None and kind.call is base.call and "call" not in vars(layer) else None


def described(layer: Any, args: tuple[Any, ...], training: bool) -> Description | None:
    """Return what a layer computes from its input; None for a class that is not known, and for one that defines another ``call``.

    Raises:
        InvalidValueError: the layer has no weights yet. The message contains its path.
    """
    base = base_of(layer)
    if base is None or not args or not hasattr(args[0], "shape") or layer.quantization_mode is not None:
        return None
    if not layer.built and base is not layers.Bidirectional:
        raise InvalidValueError(
            f"layer {layer.path or layer.name!r} has no weights yet; call the model once on an input, and load its weights."
        )
    return CLASSES[base](layer, args[0], training)
