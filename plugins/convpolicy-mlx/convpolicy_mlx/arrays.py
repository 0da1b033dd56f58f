"""Data and parameters of MLX's layers as NumPy arrays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import mlx.core as mx
import numpy as np
from mlx import nn

import convpolicy as cp
from convpolicy import InvalidValueError, Layout
from convpolicy.layers.backend import LEARNED
from convpolicy_mlx import LAYOUTS

PARAMETERS = ("weight", "bias", LEARNED)
# MLX's own types; NumPy knows the name "bfloat16" only after another package registers it
DTYPES = {"float32": mx.float32, "float16": mx.float16, "bfloat16": mx.bfloat16}
Layer: TypeAlias = "nn.Conv1d | nn.ConvTranspose1d"


def layout_of(layer: Layer) -> Layout:
    """Return the layout of a layer's weight."""
    return cp.layouts()[LAYOUTS[isinstance(layer, nn.ConvTranspose1d)]]


def as_numpy(array: Any) -> Any:
    """Return an MLX array as a new NumPy array; bfloat16 becomes float32, since NumPy has no bfloat16."""
    return np.array(array.astype(mx.float32) if array.dtype == mx.bfloat16 else array)


def as_mlx(data: Any, layer: Layer) -> Any:
    """Convert a NumPy array (batch, channels, length) to an MLX array (batch, length, channels) for a layer.

    float32 data becomes bfloat16 for a bfloat16 layer, since NumPy has no such dtype.

    Raises:
        InvalidValueError: data of another dtype; the message contains it.
    """
    data = np.ascontiguousarray(cp.layouts()["NWC"].from_ncw(np.asarray(data)))
    if str(data.dtype) not in DTYPES:
        raise InvalidValueError(f"data must be of dtype float32 or float16, got {data.dtype}; convert it.")
    is_bfloat16 = layer.weight.dtype == mx.bfloat16 and data.dtype == np.float32
    return mx.array(data, mx.bfloat16 if is_bfloat16 else DTYPES[str(data.dtype)])


def run(layer: Layer, data: Any) -> Any:
    """Run the layer on a NumPy array (batch, channels, length) and return its output as one."""
    return cp.layouts()["NWC"].to_ncw(as_numpy(layer(as_mlx(data, layer))))


def unpacked(layout: Layout, weights: Mapping[str, Any]) -> dict[str, Any]:
    """Convert MLX's weights to ``{"weight": …, "bias": (out,) or None}`` in NumPy arrays.

    The weight has the axes (out, in/groups, kernel), of a transposed convolution (in, out/groups, kernel). A learned constant, () or
    (channels,), keeps its name ``"padding_value"``.
    """
    arrays = layout.unpack({name: as_numpy(weights[name]) for name in ("weight", "bias") if name in weights})
    learned = {LEARNED: as_numpy(weights[LEARNED])} if LEARNED in weights else {}
    return learned | {name: None if value is None else np.ascontiguousarray(value) for name, value in arrays.items()}


def parameters(layer: Layer) -> dict[str, Any]:
    """Return weight, bias and the learned constant, if any, as NumPy arrays; see `unpacked`. bfloat16 becomes float32."""
    return unpacked(layout_of(layer), layer)


def assign(layer: Layer, values: Mapping[str, Any]) -> None:
    """Write NumPy arrays with the axes of `unpacked` to weight, bias and the learned constant.

    Raises:
        InvalidValueError: another shape, or a bias for a layer without one.
    """
    new = {name: np.asarray(value) for name, value in values.items() if value is not None}
    if "weight" in new:
        new["weight"] = layout_of(layer).stored(new["weight"])
    for name, value in new.items():
        shape = tuple(layer[name].shape) if name in layer else None
        if value.shape != shape:
            raise InvalidValueError(f"{name} must have shape {shape}, like the layer's, got {value.shape}; build another layer.")
    layer.update({name: mx.array(np.array(value, order="C"), layer[name].dtype) for name, value in new.items()})


def gradients(layer: Layer, data: Any, upstream: Any) -> dict[str, Any]:
    """Return the gradients of ``sum(output * upstream)`` as NumPy arrays."""
    names = [name for name in PARAMETERS if name in layer]
    weights_before = {name: layer[name] for name in names}

    def call(x: Any, *weights: Any) -> list[Any]:
        layer.update(dict(zip(names, weights)))
        return [layer(x)]

    try:
        _outputs, products = mx.vjp(call, [as_mlx(data, layer), *weights_before.values()], [as_mlx(upstream, layer)])
    finally:
        layer.update(weights_before)
    return {
        "input": cp.layouts()["NWC"].to_ncw(as_numpy(products[0])),
        **unpacked(layout_of(layer), dict(zip(names, products[1:]))),
    }
