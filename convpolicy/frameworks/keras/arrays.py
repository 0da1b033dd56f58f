"""What streaming needs from a layer of Keras, on any framework that Keras runs on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from convpolicy.chunks.arrays import Arrays
from convpolicy.core.spec import ConvSpec
from convpolicy.frameworks.keras.crops import full_result
from convpolicy.frameworks.keras.layer import convolved
from convpolicy.frameworks.keras.padding import arithmetic_of
from convpolicy.frameworks.keras.values import GRADIENTS
from convpolicy.layers.backend import LEARNED
from convpolicy.parts.side import Arithmetic


class KerasArrays(Arrays):
    """The tensors of a ``Conv1D``, ``DepthwiseConv1D`` or ``Conv1DTranspose`` of Keras, which keeps its weights."""

    def __init__(self, layer: Any, spec: ConvSpec) -> None:
        if isinstance(layer, keras.Sequential):
            layer = next(each for each in layer.layers if hasattr(each, "kernel"))
        super().__init__(channels_last=layer.data_format == "channels_last")
        self.name = f"NumPy array or {keras.config.backend()} tensor of dtype {layer.compute_dtype}"
        self._layer = layer
        self._spec = spec

    @property
    def learned(self) -> Any:
        """The learned constant as (1, channels), or None."""
        value = getattr(self._layer, LEARNED, None)
        return None if value is None else ops.reshape(value, (1, -1))

    def zeros(self, shape: Sequence[int]) -> Any:
        """Return zeros in the dtype of the layer."""
        return ops.zeros(tuple(shape), self._layer.compute_dtype)

    def counter(self, batch: int) -> Any:
        """Return zeros (batch,), as 32-bit integers on JAX, which may have no others."""
        return ops.zeros((batch,), "int32" if keras.config.backend() == "jax" else "int64")

    def of_numpy(self, data: Any) -> Any:
        """Return data in the axes and the dtype of the layer."""
        data = np.ascontiguousarray(data.transpose(0, 2, 1) if self.channels_last else data)
        return ops.convert_to_tensor(data, self._layer.compute_dtype)

    def joined(self, parts: Sequence[Any], axis: int) -> Any:
        """Concatenate tensors."""
        return ops.concatenate(list(parts), axis)

    def arithmetic(self, data: Any) -> Arithmetic:
        """Return the functions of Keras."""
        return arithmetic_of(data, channels_last=self.channels_last)

    def owned(self, data: Any) -> Any:
        """Return a tensor that shares no memory: on torch, a part is a view, and a tensor of a NumPy array may be one."""
        tensor = ops.convert_to_tensor(data)
        return tensor.clone() if keras.config.backend() == "torch" else ops.copy(tensor) if tensor is not data else tensor

    def rows(self, data: Any, places: Any) -> Any:
        """Return rows of a batch."""
        return ops.take(data, places.astype("int32"), axis=0)

    def numbers(self, data: Any) -> Any:
        """Return an array as one of NumPy."""
        return ops.convert_to_numpy(data)

    def gradient(self, function: Callable[[Any], Any], data: Any, upstream: Any) -> Any:
        """Return the gradient of ``sum(function(data) * upstream)`` to data."""
        return GRADIENTS[keras.config.backend()](function, [], data, upstream)[0]

    def is_array(self, value: Any) -> bool:
        """Return True for a tensor or a NumPy array in the dtype of the layer."""
        is_array = isinstance(value, np.ndarray) or ops.is_tensor(value)
        return bool(is_array and keras.backend.standardize_dtype(value.dtype) == self._layer.compute_dtype)

    def convolved(self, data: Any) -> Any:
        """Convolve padded data."""
        layer, spec, data = self._layer, self._spec, self._exchanged(data)
        if isinstance(layer, keras.layers.DepthwiseConv1D):
            strides, dilation_rate = (spec.stride,), (spec.dilation,)
            output = ops.depthwise_conv(data, layer.kernel, strides, "valid", "channels_last", dilation_rate)
        else:
            output = convolved(data, layer.kernel, spec.stride, spec.dilation)
        return self.biased(self._exchanged(output))

    def scattered(self, data: Any) -> Any:
        """Return the full result of a transposed convolution."""
        spec, data = self._spec, self._exchanged(ops.convert_to_tensor(data))
        return self._exchanged(full_result(data, self._layer.kernel, spec.stride, spec.dilation, spec.groups))

    def _exchanged(self, data: Any) -> Any:
        """Exchange channels and length if the channels of the layer come first. TensorFlow computes only channels last on the CPU."""
        return data if self.channels_last else ops.transpose(data, (0, 2, 1))

    def biased(self, data: Any) -> Any:
        """Add the bias."""
        if not self._layer.use_bias:
            return data
        # not ops.add: on TensorFlow it adds a bias of as many channels as data has samples along the last axis, also if that is the length
        return data + ops.reshape(self._layer.bias, (1, 1, -1) if self.channels_last else (1, -1, 1))
