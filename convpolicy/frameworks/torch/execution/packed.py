"""Implementations on weights that oneDNN packed once, which torch otherwise does in every call.

Each function gets a packed weight instead of a weight. It has no backward pass, and no implementation for other dtypes than float32.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from convpolicy.frameworks.torch.execution import rows
from convpolicy.frameworks.torch.execution.lowering import (
    PRIMITIVE_SECONDS,
    Lowering,
    Work,
    is_narrow_depthwise,
    is_symmetric,
    padded,
    unless,
)

PLAIN: Any = ("none", [], "")  # no activation is fused


def operation(name: str) -> Any:
    """Return an operation of oneDNN, or None if this torch does not have it."""
    is_there = torch._C._has_mkldnn and hasattr(torch.ops.mkldnn, name)
    return getattr(torch.ops.mkldnn, name).default if is_there else None


CONVOLUTION, LINEAR = operation("_convolution_pointwise"), operation("_linear_pointwise")


def pack(weight: Tensor, shape: Any, work: Work) -> Tensor:
    """Pack a weight (out, in/groups, kernel) for `convolve` on inputs of a shape (batch, in, length)."""
    return _reordered(weight, shape, work, work.plan.left)


def pack_padded(weight: Tensor, shape: Any, work: Work) -> Tensor:
    """Pack a weight for `convolve_padded`; ``shape`` is that of the input before it is padded."""
    return _reordered(weight, (*shape[:2], shape[2] + work.plan.left + work.plan.right), work, 0)


def _reordered(weight: Tensor, shape: Any, work: Work, pad: int) -> Tensor:
    batch, channels, length = shape
    plane = weight.detach()[:, :, None].contiguous().to_mkldnn()
    stride, dilation, size = [1, work.plan.stride], [1, work.plan.dilation], [batch, channels, 1, length]
    reorder: Any = torch._C._nn.mkldnn_reorder_conv2d_weight
    reordered: Tensor = reorder(plane, [0, pad], stride, dilation, work.groups, size)
    return reordered


def convolve(data: Tensor, weight: Tensor, bias: Tensor | None, work: Work) -> Tensor:
    """Convolve with the zero padding of oneDNN's convolution."""
    return _convolved(data, weight, bias, work, work.plan.left)


def convolve_padded(data: Tensor, weight: Tensor, bias: Tensor | None, work: Work) -> Tensor:
    """Pad, then convolve without padding."""
    return _convolved(padded(data, work), weight, bias, work, 0)


def _convolved(data: Tensor, weight: Tensor, bias: Tensor | None, work: Work, pad: int) -> Tensor:
    plane, stride, dilation = data.contiguous().unsqueeze(2), [1, work.plan.stride], [1, work.plan.dilation]
    output: Tensor = CONVOLUTION(plane, weight, bias, [0, pad], stride, dilation, work.groups, *PLAIN)
    return output.squeeze(2).contiguous()


def pack_linear(weight: Tensor, shape: Any, work: Work) -> Tensor:
    """Pack a weight (out, in, kernel) for `linear`."""
    matrix = weight.detach().reshape(weight.shape[0], -1)
    packed: Tensor = torch.ops.mkldnn._reorder_linear_weight(matrix, shape[0] * work.plan.length_out)
    return packed


def linear(data: Tensor, weight: Tensor, bias: Tensor | None, work: Work) -> Tensor:
    """Copy every window of the padded input to a row, then compute one linear layer."""
    plan = work.plan
    windows = rows.windows(padded(data, work), plan.kernel_size, plan.stride, plan.dilation)
    output: Tensor = LINEAR(windows, weight, bias, *PLAIN)
    return rows.columns(output, data.shape[0])


LOWERINGS = {
    "packed": Lowering(
        convolve,
        unless(
            "its pads are unequal or not zeros, or this torch has no oneDNN",
            lambda p, _c, _g: CONVOLUTION is not None and is_symmetric(p),
        ),
        pack=pack,
        setup=2 * PRIMITIVE_SECONDS,
    ),
    "packed_padded": Lowering(
        convolve_padded,
        unless("it does not pad, or this torch has no oneDNN", lambda p, _c, _g: CONVOLUTION is not None and (p.left or p.right)),
        pack=pack_padded,
        setup=2 * PRIMITIVE_SECONDS,
        is_hopeless=is_narrow_depthwise,
    ),
    "packed_linear": Lowering(
        linear,
        unless(
            "it is grouped, has more than 256 outputs, or this torch has no oneDNN",
            lambda p, c, g: LINEAR is not None and rows.fits(p, c, g),
        ),
        pack=pack_linear,
        setup=2 * PRIMITIVE_SECONDS,
    ),
}
