"""What streaming needs from tensors, and from a layer of torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - torch's own convention
from torch import Tensor, nn

from convpolicy.chunks.arrays import Arrays
from convpolicy.core.spec import ConvSpec
from convpolicy.frameworks.torch.chunks.weights import Weights
from convpolicy.frameworks.torch.execution import rows
from convpolicy.frameworks.torch.padded import PaddedConv1d
from convpolicy.frameworks.torch.sums import side_table
from convpolicy.frameworks.torch.values import as_numpy, as_tensor
from convpolicy.parts.side import Side


class TensorArrays(Arrays):
    """Tensors in the dtype and on the device of a module.

    Args:
        module: the module. Its first parameter or buffer of floating point decides.
        axis: the axis of the time.
    """

    name = "torch.Tensor"

    def __init__(self, module: nn.Module, axis: int = 2) -> None:
        super().__init__()
        self._module = module
        self.axis = axis

    def cut(self, data: Any, start: Any, stop: Any = None) -> Any:
        """Return the samples from ``start`` to ``stop``."""
        return data[(slice(None),) * self.axis + (slice(start, stop),)]

    def kept(self, data: Any, start: Any) -> Tensor:
        """Return a contiguous copy of the samples from ``start`` on."""
        copy: Tensor = data.narrow_copy(self.axis, start, data.shape[self.axis] - start)
        return copy

    def extended(self, kept: Tensor, chunk: Tensor) -> Tensor:
        """Join kept samples and a chunk."""
        return torch.cat((kept, chunk), self.axis)

    def zeros(self, shape: Sequence[int]) -> Tensor:
        """Return zeros in the dtype and on the device of the module."""
        for tensor in (*self._module.parameters(), *self._module.buffers()):
            if tensor.is_floating_point():
                return torch.zeros(shape, dtype=tensor.dtype, device=tensor.device)
        return torch.zeros(shape)

    def counter(self, batch: int) -> Tensor:
        """Return zeros (batch,)."""
        return torch.zeros(batch, dtype=torch.int64)

    def of_numpy(self, data: Any) -> Tensor:
        """Return a tensor in the dtype and on the device of the module."""
        return as_tensor(data).to(self.zeros(()))

    def joined(self, parts: Sequence[Tensor], axis: int) -> Tensor:
        """Concatenate tensors."""
        return torch.cat(tuple(parts), axis)

    def filler(self, side: Side) -> Callable[[Tensor], Tensor]:
        """Return the function that computes the elements of a side, whose numbers torch.compile treats as constants."""
        if not side.width:
            return lambda data: self.cut(data, 0, 0)
        numbers = side_table(side)
        return lambda data: numbers.added(data.dtype, data.device).elements(data, self.learned if side.learned else None)

    def owned(self, data: Tensor) -> Tensor:
        """Return a contiguous copy of a part."""
        return data.clone(memory_format=torch.contiguous_format)

    def goes_with(self, array: Tensor, chunk: Tensor) -> bool:
        """Return True for equal dtypes and devices. Under autocast, dtypes may differ."""
        if array.device != chunk.device:
            return False
        return array.dtype == chunk.dtype or torch.is_autocast_enabled(chunk.device.type)

    def title(self, value: Any) -> str:
        """Return what an error says of a tensor."""
        return f"{super().title(value)} on {value.device}" if isinstance(value, Tensor) else super().title(value)

    def gradient(self, function: Callable[[Any], Any], data: Any, upstream: Any) -> Any:
        """Return the gradient of ``sum(function(data) * upstream)`` to data."""
        data = data.detach().requires_grad_()
        return torch.autograd.grad(function(data), data, upstream)[0]

    def rows(self, data: Tensor, places: Any) -> Tensor:
        """Return rows of a batch."""
        return data[torch.from_numpy(places).to(data.device)]

    def numbers(self, data: Any) -> Any:
        """Return a tensor as a NumPy array; bfloat16 as float32."""
        return as_numpy(data.detach().cpu()) if isinstance(data, Tensor) else np.asarray(data)

    def is_array(self, value: Any) -> bool:
        """Return True for a tensor."""
        return isinstance(value, Tensor)


class WeightedArrays(TensorArrays):
    """Tensors of a convolution.

    Args:
        module: the module that decides dtype and device.
        spec: sizes of the convolution.
        get: function that returns the ``"weight"`` or the ``"bias"`` for the next call. A bias may be None.
    """

    def __init__(self, module: nn.Module, spec: ConvSpec, get: Callable[[str], Any]) -> None:
        super().__init__(module)
        self.spec = spec
        self._get = get
        self._reach = spec.effective_kernel - spec.stride
        self._may_multiply = spec.groups in (1, spec.out_channels)

    def convolved(self, data: Tensor) -> Tensor:
        """Convolve padded data."""
        spec, weight, bias = self.spec, self._get("weight"), self._get("bias")
        if self._may_multiply and type(data) is Tensor and not torch.compiler.is_compiling():  # then the sizes are not symbolic
            outputs = data.shape[0] * ((data.shape[2] - self._reach) // spec.stride)
            if 0 < outputs < rows.FEW and rows.is_faster(weight, outputs, spec.groups):
                return rows.convolved(data, weight, bias, spec.stride, spec.dilation)
        return F.conv1d(data, weight, bias, spec.stride, 0, spec.dilation, spec.groups)

    def convolved_alike(self, data: Tensor) -> Tensor | None:
        """Convolve by products whose rows were found to keep their bits; see `rows.keep_bits`."""
        spec, get = self.spec, self._get
        return None if spec.groups > 1 else rows.convolved_alike(data, get("weight"), get("bias"), spec.stride, spec.dilation)

    def scattered(self, data: Tensor) -> Tensor:
        """Return the full result of a transposed convolution."""
        spec = self.spec
        return F.conv_transpose1d(data, self._get("weight"), None, spec.stride, 0, 0, spec.groups, spec.dilation)

    def biased(self, data: Tensor) -> Tensor:
        """Add the bias."""
        bias = self._get("bias")
        return data if bias is None else data + bias.to(data.dtype).unsqueeze(-1)


class TorchArrays(WeightedArrays):
    """The tensors of a ``torch.nn.Conv1d`` or ``torch.nn.ConvTranspose1d``, which keeps its weights."""

    def __init__(self, layer: Any, spec: ConvSpec) -> None:
        super().__init__(layer, spec, Weights(layer).get)

    @property
    def learned(self) -> Any:
        """The learned constant as (channels, 1), or None."""
        layer = self._module
        return layer.padding_value.reshape(-1, 1) if isinstance(layer, PaddedConv1d) and layer.learns else None
