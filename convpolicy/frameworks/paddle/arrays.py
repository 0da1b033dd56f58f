"""What streaming needs from a layer of Paddle."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import paddle
import paddle.nn.functional as F  # noqa: N812 - the usual name
from paddle import nn

from convpolicy.chunks.arrays import Arrays
from convpolicy.core.spec import ConvSpec
from convpolicy.frameworks.paddle.capture import weights_of
from convpolicy.frameworks.paddle.layer import arithmetic_of
from convpolicy.parts.side import Arithmetic


class PaddleArrays(Arrays):
    """The tensors of a ``paddle.nn.Conv1D`` or ``paddle.nn.Conv1DTranspose``, which keeps its weights."""

    name = "paddle.Tensor"

    def __init__(self, layer: nn.Layer, spec: ConvSpec) -> None:
        super().__init__(channels_last=layer._data_format == "NLC")
        self._layer = layer
        self._spec = spec

    def zeros(self, shape: Sequence[int]) -> Any:
        """Return zeros in the dtype and on the device of the layer."""
        weight = weights_of(self._layer)[0]
        return paddle.zeros(list(shape), weight.dtype, device=weight.place)

    def counter(self, batch: int) -> Any:
        """Return zeros (batch,)."""
        return paddle.zeros([batch], "int64")

    def of_numpy(self, data: Any) -> Any:
        """Return data in the axes and the dtype of the layer."""
        data = np.ascontiguousarray(data.transpose(0, 2, 1) if self.channels_last else data)
        return paddle.to_tensor(data).astype(weights_of(self._layer)[0].dtype)

    def joined(self, parts: Sequence[Any], axis: int) -> Any:
        """Concatenate tensors."""
        return paddle.concat(list(parts), axis)

    def arithmetic(self, data: Any) -> Arithmetic:
        """Return the functions of Paddle."""
        return arithmetic_of(data, channels_last=self.channels_last)

    def owned(self, data: Any) -> Any:
        """Return a copy of a part."""
        return data.clone()

    def rows(self, data: Any, places: Any) -> Any:
        """Return rows of a batch."""
        return paddle.index_select(data, paddle.to_tensor(places), axis=0)

    def numbers(self, data: Any) -> Any:
        """Return an array as one of NumPy."""
        return data.numpy() if isinstance(data, paddle.Tensor) else super().numbers(data)

    def gradient(self, function: Callable[[Any], Any], data: Any, upstream: Any) -> Any:
        """Return the gradient of ``sum(function(data) * upstream)`` to data."""
        data = data.clone()
        data.stop_gradient = False
        return paddle.grad([function(data)], [data], [upstream])[0]

    def is_array(self, value: Any) -> bool:
        """Return True for a tensor."""
        return isinstance(value, paddle.Tensor)

    def convolved(self, data: Any) -> Any:
        """Convolve padded data."""
        spec, (weight, bias) = self._spec, weights_of(self._layer)
        return F.conv1d(data, weight, bias, spec.stride, 0, spec.dilation, spec.groups, self._layer._data_format)

    def scattered(self, data: Any) -> Any:
        """Return the full result of a transposed convolution."""
        spec, (weight, _bias) = self._spec, weights_of(self._layer)
        return F.conv1d_transpose(
            data, weight, None, spec.stride, groups=spec.groups, dilation=spec.dilation, data_format=self._layer._data_format
        )

    def biased(self, data: Any) -> Any:
        """Add the bias."""
        bias = self._layer.bias
        if bias is None:
            return data
        return data + (bias if self.channels_last else bias.reshape([1, -1, 1]))
