"""The NumPy backend's transposed convolution: one matrix product per block of samples, whose columns are added where they overlap."""

from __future__ import annotations

from typing import Any

import numpy as np

from convpolicy.core.transposed_plan import TransposedPlan
from convpolicy.frameworks.numpy.layer import BLOCK_BYTES, Array, NumpyLayer, drawn
from convpolicy.layers.backend import LayerRequest
from convpolicy.parts.stream import Stream


class NumpyConvTranspose1d(NumpyLayer):
    """A transposed 1-D convolution of NumPy arrays."""

    def _compute(self, data: Array, plan: TransposedPlan, out: Array) -> None:
        full = np.zeros((*out.shape[:-1], plan.full_length), out.dtype)
        scatter(data, self.weight, full, plan.stride, plan.dilation, self._request.spec.groups)
        out[...] = plan.cropped(full)


def scatter(data: Array, weight: Array, full: Array, stride: int, dilation: int, groups: int) -> None:
    """Add the full transposed convolution of ``data`` and ``weight`` to ``full``.

    Args:
        data: (batch, in, length).
        weight: (in, out/groups, kernel).
        full: (batch, out, (length - 1) * stride + e).
        stride, dilation: in samples.
        groups: number of channel groups.
    """
    batch, channels, length = data.shape
    out_per_group, kernel = weight.shape[1:]
    samples = data.reshape(batch, groups, channels // groups, length)
    taps = weight.reshape(groups, channels // groups, -1).swapaxes(1, 2)  # (groups, out/groups * kernel, in/groups)
    grouped = full.reshape(batch, groups, out_per_group, full.shape[-1])
    step = max(BLOCK_BYTES // (groups * out_per_group * kernel * data.itemsize), 1)
    for item in range(batch):
        for start in range(0, length, step):
            block = samples[item, ..., start : start + step]
            columns = np.matmul(taps, block).reshape(groups, out_per_group, kernel, -1)
            for tap in range(kernel):
                first = start * stride + tap * dilation
                last = first + (columns.shape[-1] - 1) * stride + 1
                grouped[item, ..., first:last:stride] += columns[:, :, tap]


def build(request: LayerRequest, stream: Stream | None, device: Any) -> NumpyConvTranspose1d:
    """Build a transposed convolution; see `drawn`."""
    return NumpyConvTranspose1d(request, *drawn(request, stream, device))
