"""What streaming needs from a layer of torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - torch's own convention
from torch import Tensor

from convpolicy.chunks.arrays import Arrays
from convpolicy.core.spec import ConvSpec
from convpolicy.frameworks.torch.execution import rows
from convpolicy.frameworks.torch.padded import PaddedConv1d
from convpolicy.frameworks.torch.values import as_numpy
from convpolicy.parts.side import Arithmetic


class TorchArrays(Arrays):
    """The tensors of a ``torch.nn.Conv1d`` or ``torch.nn.ConvTranspose1d``, which keeps its weights."""

    name = "torch.Tensor"

    def __init__(self, layer: Any, spec: ConvSpec) -> None:
        super().__init__()
        self._layer: Any = layer
        self._spec = spec

    @property
    def learned(self) -> Any:
        """The learned constant as (channels, 1), or None."""
        if isinstance(self._layer, PaddedConv1d) and self._layer.learns:
            return self._layer.padding_value.reshape(-1, 1)
        return None

    def zeros(self, shape: Sequence[int]) -> Tensor:
        """Return zeros in the dtype and on the device of the layer."""
        parameter = next(self._layer.parameters())
        return torch.zeros(shape, dtype=parameter.dtype, device=parameter.device)

    def counter(self, batch: int) -> Tensor:
        """Return zeros (batch,)."""
        return torch.zeros(batch, dtype=torch.int64)

    def of_numpy(self, data: Any) -> Tensor:
        """Return a tensor in the dtype and on the device of the layer."""
        parameter = next(self._layer.parameters())
        return torch.from_numpy(data).to(parameter)

    def joined(self, parts: Sequence[Tensor], axis: int) -> Tensor:
        """Concatenate tensors."""
        return torch.cat(tuple(parts), axis)

    def arithmetic(self, data: Tensor) -> Arithmetic:
        """Return the functions of torch."""

        def array(numbers: Any) -> Tensor:
            return torch.from_numpy(np.ascontiguousarray(numbers)).to(data.device, data.dtype)

        return Arithmetic(
            take=lambda index: data[..., torch.from_numpy(np.ascontiguousarray(index)).to(data.device)],
            array=array,
            where=lambda reads, part: torch.where(torch.from_numpy(np.ascontiguousarray(reads)).to(data.device), part, 0.0),
            broadcast=lambda numbers: numbers.to(data.dtype).expand(*data.shape[:-1], numbers.shape[-1]),
        )

    def owned(self, data: Tensor) -> Tensor:
        """Return a contiguous copy of a part."""
        return data.clone(memory_format=torch.contiguous_format)

    def rows(self, data: Tensor, places: Any) -> Tensor:
        """Return rows of a batch."""
        return data[torch.from_numpy(places).to(data.device)]

    def numbers(self, data: Any) -> Any:
        """Return a tensor as a NumPy array; bfloat16 as float32."""
        return as_numpy(data.detach().cpu()) if isinstance(data, Tensor) else np.asarray(data)

    def is_array(self, value: Any) -> bool:
        """Return True for a tensor."""
        return isinstance(value, Tensor)

    def convolved(self, data: Tensor) -> Tensor:
        """Convolve padded data."""
        layer, spec = self._layer, self._spec
        if not torch.compiler.is_compiling() and type(data) is Tensor:
            count = (data.shape[2] - spec.effective_kernel) // spec.stride + 1
            if rows.is_faster(data, layer.weight, count, spec.groups):
                return rows.convolved(data, layer.weight, layer.bias, spec.stride, spec.dilation)
        return F.conv1d(data, layer.weight, layer.bias, spec.stride, 0, spec.dilation, spec.groups)

    def convolved_alike(self, data: Tensor) -> Tensor | None:
        """Convolve by products whose rows were found to keep their bits; see `rows.keep_bits`."""
        layer, spec = self._layer, self._spec
        return None if spec.groups > 1 else rows.convolved_alike(data, layer.weight, layer.bias, spec.stride, spec.dilation)

    def scattered(self, data: Tensor) -> Tensor:
        """Return the full result of a transposed convolution."""
        spec = self._spec
        return F.conv_transpose1d(data, self._layer.weight, None, spec.stride, 0, 0, spec.groups, spec.dilation)

    def biased(self, data: Tensor) -> Tensor:
        """Add the bias."""
        bias = self._layer.bias
        return data if bias is None else data + bias.to(data.dtype).unsqueeze(-1)
