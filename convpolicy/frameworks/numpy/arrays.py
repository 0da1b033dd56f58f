"""What streaming needs from a layer of the NumPy backend."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from convpolicy.chunks.arrays import Arrays
from convpolicy.core.spec import ConvSpec
from convpolicy.frameworks.numpy.layer import Array, NumpyLayer, correlate
from convpolicy.frameworks.numpy.transposed import scatter
from convpolicy.parts.side import Arithmetic


class NumpyArrays(Arrays):
    """The arrays of a `NumpyLayer`."""

    def __init__(self, layer: NumpyLayer, spec: ConvSpec) -> None:
        super().__init__()
        self._layer = layer
        self._spec = spec
        self._dtype = layer.weight.dtype
        self.name = f"NumPy array of dtype {self._dtype}"

    def zeros(self, shape: Sequence[int]) -> Array:
        """Return zeros in the dtype of the layer."""
        return np.zeros(shape, self._dtype)

    def counter(self, batch: int) -> Array:
        """Return zeros (batch,)."""
        return np.zeros(batch, np.int64)

    def of_numpy(self, data: Array) -> Array:
        """Return data in the dtype of the layer."""
        return data.astype(self._dtype)

    def joined(self, parts: Sequence[Array], axis: int) -> Array:
        """Concatenate arrays."""
        return np.concatenate(parts, axis)

    def arithmetic(self, data: Array) -> Arithmetic:
        """Return the functions of NumPy."""
        return Arithmetic.of_numpy(data)

    def owned(self, data: Array) -> Array:
        """Return a copy of a view."""
        return data if data.base is None else data.copy()

    def goes_with(self, array: Array, chunk: Array) -> bool:
        """Return True for equal dtypes."""
        return array.dtype == chunk.dtype

    def is_array(self, value: Any) -> bool:
        """Return True for an array in the dtype of the layer."""
        return isinstance(value, np.ndarray) and value.dtype == self._dtype

    def _out(self, data: Array, length: int) -> Array:
        return np.zeros((data.shape[0], self._spec.out_channels, length), data.dtype)

    def convolved(self, data: Array) -> Array:
        """Convolve padded data."""
        spec = self._spec
        out = self._out(data, (data.shape[2] - spec.effective_kernel) // spec.stride + 1)
        correlate(data, self._layer.weight, out, spec.stride, spec.dilation, spec.groups)
        return self.biased(out)

    def scattered(self, data: Array) -> Array:
        """Return the full result of a transposed convolution."""
        spec = self._spec
        full = self._out(data, (data.shape[2] - 1) * spec.stride + spec.effective_kernel)
        scatter(data, self._layer.weight, full, spec.stride, spec.dilation, spec.groups)
        return full

    def biased(self, data: Array) -> Array:
        """Add the bias."""
        return data if self._layer.bias is None else data + self._layer.bias[:, None]
