"""Outputs, weights and gradients of Keras layers as NumPy arrays; data is (batch, channels, length)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np

from convpolicy import registry
from convpolicy.frameworks.keras.initial import as_numpy
from convpolicy.frameworks.keras.transposed import LAYOUT as TRANSPOSED
from convpolicy.layers.backend import LEARNED
from convpolicy.parts.layout import Layout

LAYOUTS = {keras.layers.DepthwiseConv1D: "WIM", keras.layers.Conv1DTranspose: TRANSPOSED}  # for other layers WIO


def layout_of_kernel(layer: Any) -> Layout:
    """Return the layout of a layer's kernel."""
    name = next((name for kind, name in LAYOUTS.items() if isinstance(layer, kind)), "WIO")
    layout: Layout = registry.current().get("layout", name)
    return layout


def _to_layer(layer: Any, data: Any) -> Any:
    """Return an array (batch, channels, length) as a tensor in the layer's axes and dtype."""
    axes = _axes(layer)
    return keras.ops.convert_to_tensor(np.ascontiguousarray(np.transpose(data, axes)), layer.compute_dtype)


def _from_layer(layer: Any, tensor: Any) -> Any:
    return as_numpy(tensor).transpose(_axes(layer))


def _axes(layer: Any) -> tuple[int, int, int]:
    return (0, 2, 1) if getattr(layer, "data_format", "channels_last") == "channels_last" else (0, 1, 2)


def run(layer: Any, data: Any) -> Any:
    """Run the layer on a NumPy array (batch, channels, length) and return its output as one."""
    if not len(data):  # TensorFlow 2.21 changes the shape of an empty batch, and then cannot add the bias
        return run(layer, np.zeros((1, *data.shape[1:]), data.dtype))[:0]
    return _from_layer(layer, layer(_to_layer(layer, data)))


def parameters(layer: Any) -> dict[str, Any]:
    """Return weight (out, in/groups, kernel), bias (out,) or None, and the learned constant, if any, as NumPy arrays.

    The weight of a transposed convolution is (in, out/groups, kernel).
    """
    return _in_numpy_axes(layer, {name: as_numpy(variable) for name, variable in _variables(layer).items()})


def _variables(layer: Any) -> dict[str, Any]:
    """Return the variables that a layer has, by the names of `parameters`."""
    variables = {"weight": layer.kernel, "bias": layer.bias if layer.use_bias else None, LEARNED: getattr(layer, LEARNED, None)}
    return {name: variable for name, variable in variables.items() if variable is not None}


def _in_numpy_axes(layer: Any, arrays: Mapping[str, Any]) -> dict[str, Any]:
    return {"bias": None, **arrays, "weight": layout_of_kernel(layer).restored(arrays["weight"])}


def assign(layer: Any, values: Mapping[str, Any]) -> None:
    """Write NumPy arrays to weight, bias and the learned constant, in the axes of `parameters`; None leaves one unchanged."""
    variables = _variables(layer)
    for name, value in values.items():
        if value is not None:
            array = layout_of_kernel(layer).stored(value, _channels(layer)) if name == "weight" else np.asarray(value)
            variables[name].assign(np.array(array, order="C"))


def _channels(layer: Any) -> int:
    """Return the number of groups of a depthwise kernel, which is its number of channels."""
    return int(layer.kernel.shape[1])


def gradients(layer: Any, data: Any, upstream: Any) -> dict[str, Any]:
    """Return the gradients of ``sum(output * upstream)`` as NumPy arrays."""
    variables = _variables(layer)
    tensors = _to_layer(layer, data), _to_layer(layer, upstream)
    to_input, *to_variables = GRADIENTS[keras.config.backend()](layer, list(variables.values()), *tensors)
    return {
        "input": _from_layer(layer, to_input),
        **_in_numpy_axes(layer, {n: as_numpy(v) for n, v in zip(variables, to_variables)}),
    }


def _by_tape(layer: Any, variables: list[Any], data: Any, upstream: Any) -> Any:
    import tensorflow as tf

    watched = [data, *(variable.value for variable in variables)]
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        for tensor in watched:
            tape.watch(tensor)
        output = layer(data)
    return tape.gradient(output, watched, upstream, unconnected_gradients="zero")  # zero for a learned constant that pads nothing


def _by_autograd(layer: Any, variables: list[Any], data: Any, upstream: Any) -> Any:
    import torch

    watched = [data.detach().requires_grad_(), *(variable.value for variable in variables)]
    return torch.autograd.grad(layer(watched[0]), watched, upstream, materialize_grads=True)


def _by_vjp(layer: Any, variables: list[Any], data: Any, upstream: Any) -> Any:
    import jax

    def output(tensor: Any, *values: Any) -> Any:
        with keras.StatelessScope(list(zip(variables, values))):
            return layer(tensor)

    return jax.vjp(output, data, *(variable.value for variable in variables))[1](upstream)


GRADIENTS: dict[str, Callable[[Any, list[Any], Any, Any], Any]] = {
    "tensorflow": _by_tape,
    "torch": _by_autograd,
    "jax": _by_vjp,
}
