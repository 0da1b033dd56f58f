"""What streaming needs from a layer of MindSpore. MindSpore has no float64 convolution on the CPU, so float64 multiplies windows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import mindspore
import numpy as np
from mindspore import Tensor, nn, ops

from convpolicy.arithmetic import full_length
from convpolicy.chunks.arrays import Arrays
from convpolicy.core.spec import ConvSpec
from convpolicy.core.transposed_plan import TransposedPlan
from convpolicy.frameworks.mindspore.layer import product_of_windows, windows_of
from convpolicy.frameworks.mindspore.sums import rounded
from convpolicy.frameworks.mindspore.transposed import product_index, sum_of_products, tensors
from convpolicy.layers.backend import LEARNED
from convpolicy.parts.side import Arithmetic


class MindSporeArrays(Arrays):
    """The tensors of a ``Conv1d`` or ``Conv1dTranspose`` of MindSpore, which keeps its weights."""

    name = "mindspore.Tensor"

    def __init__(self, layer: nn.Cell, spec: ConvSpec) -> None:
        super().__init__()
        self._layer = layer
        self._spec = spec
        self._multiplies = layer.weight.dtype == mindspore.float64
        sizes = {
            "stride": (1, spec.stride),
            "dilation": (1, spec.dilation),
            "group": spec.groups,
            "kernel_size": (1, spec.kernel_size),
        }
        if spec.transposed:  # out_channel is named as for the convolution whose gradient this is
            self._primitive = ops.Conv2DBackpropInput(out_channel=spec.in_channels, pad_mode="valid", mode=1, **sizes)
        else:
            self._primitive = ops.Conv2D(spec.out_channels, mode=1, pad_mode="valid", **sizes)

    @property
    def learned(self) -> Any:
        """The learned constant as (channels, 1), or None."""
        value = getattr(self._layer, LEARNED, None)
        return None if value is None else ops.reshape(value, (-1, 1))

    @property
    def _weight(self) -> Any:
        """The weight with the axes of ``ops.Conv2D``; that of ``mint.nn.Conv1d`` has no axis of height 1."""
        first, second, kernel = self._spec.weight_shape
        return ops.reshape(self._layer.weight, (first, second, 1, kernel))

    def zeros(self, shape: Sequence[int]) -> Any:
        """Return zeros in the dtype of the layer."""
        return ops.zeros(tuple(shape), self._layer.weight.dtype)

    def counter(self, batch: int) -> Any:
        """Return zeros (batch,)."""
        return ops.zeros((batch,), mindspore.int64)

    def of_numpy(self, data: Any) -> Any:
        """Return a tensor in the dtype of the layer."""
        return Tensor(np.ascontiguousarray(data), self._layer.weight.dtype)

    def joined(self, parts: Sequence[Any], axis: int) -> Any:
        """Concatenate tensors."""
        return ops.concat(tuple(parts), axis)

    def arithmetic(self, data: Any) -> Arithmetic:
        """Return the functions of MindSpore."""

        def where(reads: Any, part: Any) -> Any:
            return ops.select(ops.broadcast_to(Tensor(reads), part.shape), part, ops.zeros_like(part))

        return Arithmetic(
            take=lambda index: ops.gather(data, Tensor(index.astype(np.int32)), 2),
            array=lambda numbers: rounded(numbers, data.dtype),
            where=where,
            broadcast=lambda numbers: ops.broadcast_to(numbers, (*data.shape[:2], numbers.shape[-1])),
        )

    def owned(self, data: Any) -> Any:
        """Return a copy of a part."""
        return data.copy()

    def rows(self, data: Any, places: Any) -> Any:
        """Return rows of a batch."""
        return ops.gather(data, Tensor(places.astype(np.int32)), 0)

    def numbers(self, data: Any) -> Any:
        """Return an array as one of NumPy."""
        return data.asnumpy() if isinstance(data, Tensor) else super().numbers(data)

    def gradient(self, function: Callable[[Any], Any], data: Any, upstream: Any) -> Any:
        """Return the gradient of ``sum(function(data) * upstream)`` to data."""
        return mindspore.grad(lambda each: (function(each) * upstream).sum())(data)

    def is_array(self, value: Any) -> bool:
        """Return True for a tensor."""
        return isinstance(value, Tensor)

    def convolved(self, data: Any) -> Any:
        """Convolve padded data."""
        spec = self._spec
        if self._multiplies:
            count = (data.shape[2] - spec.effective_kernel) // spec.stride + 1
            positions = windows_of(count, spec.stride, spec.kernel_size, spec.dilation)
            output = product_of_windows(ops.gather(data, Tensor(positions), 2), self._layer.weight, spec.groups, spec.kernel_size)
        else:
            output = ops.squeeze(self._primitive(ops.expand_dims(data, 2), self._weight), 2)
        return self.biased(output)

    def scattered(self, data: Any) -> Any:
        """Return the full result of a transposed convolution."""
        spec, length = self._spec, data.shape[2]
        sizes = length, spec.kernel_size, spec.stride, spec.dilation
        full = full_length(*sizes)
        if self._multiplies:
            index = product_index(TransposedPlan(*sizes, 0, 0, "zeros", full))
            return sum_of_products(data, self._layer.weight, spec.groups, tensors(index))
        output = self._primitive(ops.expand_dims(data, 2), self._weight, (data.shape[0], spec.out_channels, 1, full))
        return ops.squeeze(output, 2)

    def biased(self, data: Any) -> Any:
        """Add the bias."""
        bias = getattr(self._layer, "bias", None)
        return data if bias is None else data + ops.reshape(bias, (1, -1, 1))
