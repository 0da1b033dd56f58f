"""What streaming needs from a layer of MLX."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import mlx.core as mx
import numpy as np

from convpolicy import Arithmetic, ConvSpec
from convpolicy.chunks.arrays import Arrays
from convpolicy.layers.backend import LEARNED
from convpolicy_mlx.arrays import Layer, as_numpy
from convpolicy_mlx.layer import arithmetic_of
from convpolicy_mlx.transposed import scattered


class MlxArrays(Arrays):
    """The arrays of a ``mlx.nn.Conv1d`` or ``mlx.nn.ConvTranspose1d``, which keeps its weights."""

    name = "mlx.core.array of floats"

    def __init__(self, layer: Layer, spec: ConvSpec) -> None:
        super().__init__(channels_last=True)
        self._layer = layer
        self._spec = spec

    @property
    def learned(self) -> Any:
        """The learned constant as (1, channels), or None."""
        return self._layer[LEARNED].reshape(1, -1) if LEARNED in self._layer else None

    def zeros(self, shape: Sequence[int]) -> Any:
        """Return zeros in the dtype of the layer."""
        return mx.zeros(shape, self._layer.weight.dtype)

    def counter(self, batch: int) -> Any:
        """Return zeros (batch,)."""
        return mx.zeros((batch,), mx.int64)

    def of_numpy(self, data: Any) -> Any:
        """Return data in the axes and the dtype of the layer."""
        return mx.array(np.ascontiguousarray(data.transpose(0, 2, 1), np.float32), self._layer.weight.dtype)

    def numbers(self, data: Any) -> Any:
        """Return an array as one of NumPy; bfloat16 becomes float32."""
        return as_numpy(data) if isinstance(data, mx.array) else np.asarray(data)

    def joined(self, parts: Sequence[Any], axis: int) -> Any:
        """Concatenate arrays."""
        return mx.concatenate(list(parts), axis)

    def arithmetic(self, data: Any) -> Arithmetic:
        """Return the functions of MLX."""
        return arithmetic_of(data)

    def owned(self, data: Any) -> Any:
        """Return a contiguous copy of a part."""
        return mx.contiguous(data)

    def rows(self, data: Any, places: Any) -> Any:
        """Return rows of a batch."""
        return mx.take(data, mx.array(places.astype(np.int32)), axis=0)

    def gradient(self, function: Callable[[Any], Any], data: Any, upstream: Any) -> Any:
        """Return the gradient of ``sum(function(data) * upstream)`` to data."""
        return mx.vjp(lambda each: [function(each)], [data], [upstream])[1][0]

    def is_array(self, value: Any) -> bool:
        """Return True for an array of floats."""
        return isinstance(value, mx.array) and mx.issubdtype(value.dtype, mx.floating)

    def convolved(self, data: Any) -> Any:
        """Convolve padded data."""
        spec = self._spec
        return self.biased(mx.conv1d(data, self._layer.weight, spec.stride, 0, spec.dilation, spec.groups))

    def scattered(self, data: Any) -> Any:
        """Return the full result of a transposed convolution."""
        return scattered(self._spec, data, self._layer.weight, 0, 0)

    def biased(self, data: Any) -> Any:
        """Add the bias."""
        return data + self._layer.bias if "bias" in self._layer else data
