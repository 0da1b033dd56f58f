"""A convolution as one matrix product over its windows, for few outputs.

Measured on an AMD EPYC with AVX2, one thread:

- 512 to 512 channels, kernel 7: oneDNN takes another path for 2 to 15 outputs, 2.6 ms for 4 outputs. The product takes 0.56 ms. One
  output takes 0.17 and 0.14 ms.
- Depthwise, 512 channels: 51 µs for 1 output of kernel 3 and 70 µs for 4 outputs of kernel 31. Products take 8 and 41 µs.
"""

from __future__ import annotations

import functools
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own convention
from torch import Tensor

FEW = 16  # from this number of outputs on, of all rows together, no product is faster
LEAST_WEIGHTS = {1: 1 << 18}  # number of outputs -> number of weights below which one product gains nothing
LEAST_WEIGHTS_OF_MORE = 1 << 13
MOST_APART = 4  # outputs of products of each channel
MOST_OUTPUTS = 256  # of one item; for more, transposing rows and outputs costs more than the product gains


def is_faster(weight: Tensor, outputs: int, groups: int) -> bool:
    """Return True if the product over windows is faster than torch's convolution.

    Args:
        weight: weight of the layer.
        outputs: number of outputs of all rows together, less than `FEW`.
        groups: number of groups of the layer.
    """
    if weight.device.type != "cpu":
        return False
    if groups == 1:
        return weight.numel() >= LEAST_WEIGHTS.get(outputs, LEAST_WEIGHTS_OF_MORE)
    return outputs <= MOST_APART and groups == weight.shape[0]  # as many outputs as groups


def fits(plan: Any, _channels: int, groups: int) -> bool:
    """Return True for an ungrouped layer with so few outputs that a product over its windows can be faster."""
    return groups == 1 and plan.length_out <= MOST_OUTPUTS


def windows(data: Tensor, kernel: int, stride: int, dilation: int) -> Tensor:
    """Return the windows of padded data (batch, in, length) as rows, (batch * outputs, in * kernel)."""
    effective = (kernel - 1) * dilation + 1
    taps = data.unfold(2, effective, stride)[..., ::dilation]  # (batch, in, outputs, kernel)
    return taps.permute(0, 2, 1, 3).reshape(-1, data.shape[1] * kernel)


def convolved(data: Tensor, weight: Tensor, bias: Tensor | None, stride: int, dilation: int) -> Tensor:
    """Convolve padded data (batch, in, length), without groups or with as many as there are output channels."""
    if weight.shape[1] != data.shape[1]:
        return _apart(data, weight, bias, stride, dilation)
    rows = windows(data, weight.shape[2], stride, dilation)
    return columns(F.linear(rows, weight.reshape(weight.shape[0], -1), bias), data.shape[0])


def _apart(data: Tensor, weight: Tensor, bias: Tensor | None, stride: int, dilation: int) -> Tensor:
    """Convolve by one product for each channel."""
    (batch, _channels, _length), (groups, inner, kernel) = data.shape, weight.shape
    taps = data.unfold(2, (kernel - 1) * dilation + 1, stride)  # (batch, in, outputs, kernel)
    if dilation > 1:
        taps = taps[..., ::dilation]
    count = taps.shape[2]
    if batch == 1 and inner == 1:
        windows_of_groups = taps[0]
    else:
        windows_of_groups = (
            taps.reshape(batch, groups, inner, count, kernel).permute(1, 0, 3, 2, 4).reshape(groups, -1, inner * kernel)
        )
    columns_of_groups = weight.view(groups, inner * kernel, 1)
    if bias is None:
        outputs = torch.bmm(windows_of_groups, columns_of_groups)
    else:
        outputs = torch.baddbmm(bias.view(groups, 1, 1), windows_of_groups, columns_of_groups)
    return outputs.view(1, groups, count) if batch == 1 else outputs.view(groups, batch, count).transpose(0, 1).contiguous()


def columns(rows: Tensor, batch: int) -> Tensor:
    """Return outputs (batch * outputs, out) as (batch, out, outputs)."""
    return rows.reshape(batch, -1, rows.shape[1]).transpose(1, 2).contiguous()


MULTIPLE, MOST = 4, 64  # rows of one product that keeps bits: a multiple, and at most so many


@functools.lru_cache(maxsize=256)
def keep_bits(shape: tuple[int, int], has_bias: bool, dtype: torch.dtype, device: torch.device, threads: int) -> bool:
    """Return True if each row of a product has the same bits for every number of rows, and at every place among them.

    Args:
        shape: (out, in * kernel), the shape of the matrix.
        has_bias: True if a bias is added.
        dtype, device: of the matrix.
        threads: number of threads of the product.
    """
    with torch.no_grad():
        generator = torch.Generator().manual_seed(0)
        matrix, rows, bias = (
            torch.randn(size, generator=generator).to(device, dtype) for size in (shape, (MOST, shape[1]), shape[:1])
        )
        added = bias if has_bias else None
        whole = F.linear(rows, matrix, added)
        counts = range(MULTIPLE, MOST + 1, MULTIPLE)
        same = all(torch.equal(F.linear(rows[MOST - count :], matrix, added), whole[MOST - count :]) for count in counts)
        repeated = [F.linear(rows[:1].repeat(count, 1), matrix, added) for count in counts]
        return same and all(torch.equal(each, whole[:1].expand_as(each)) for each in repeated)


def convolved_alike(data: Tensor, weight: Tensor, bias: Tensor | None, stride: int, dilation: int) -> Tensor | None:
    """Convolve padded data as `convolved`, in products whose rows keep their bits. None if `keep_bits` finds none."""
    matrix = weight.reshape(weight.shape[0], -1)
    if not keep_bits(tuple(matrix.shape), bias is not None, weight.dtype, weight.device, torch.get_num_threads()):
        return None
    # for a kernel of 1, windows may have the strides of the data
    rows = windows(data, weight.shape[2], stride, dilation).contiguous()
    missing = -rows.shape[0] % MULTIPLE
    blocks = torch.split(F.pad(rows, (0, 0, 0, missing)) if missing else rows, MOST)
    outputs = torch.cat([F.linear(block, matrix, bias) for block in blocks])
    return columns(outputs[: rows.shape[0]], data.shape[0])
