"""Implementations for depthwise layers with few outputs, for which torch's convolution takes as long as for many.

Measured on an AMD EPYC with AVX2, two threads: torch takes 0.2 to 0.3 ms for 16 samples and any of 32 to 1024 channels with a kernel
of 7. The sum of taps takes 0.06 to 0.16 ms, windows and products of each channel 0.02 to 0.1 ms.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from convpolicy.frameworks.torch.execution.lowering import HALVES, Lowering, Work, is_depthwise, padded, unless

MOST_TAPS = 16  # of a kernel; for more, oneDNN's convolution was faster on every input
MOST_PRODUCTS = 1 << 20  # of one item, above which oneDNN's convolution was faster for kernels of 3 and more without dilation
SMALL_PRODUCT = 400  # torch computes batched matrices itself below so many products of each, and calls a library for each above


def is_small_product(plan: Any) -> bool:
    """Return True if the product of one channel's windows and its kernel is one that torch computes itself."""
    small: bool = plan.kernel_size * plan.length_out < SMALL_PRODUCT
    return small


def is_slow(plan: Any, channels: int, _groups: int) -> bool:
    """Return True for plans for which the sum of taps was the fastest implementation on no machine."""
    many = plan.kernel_size * plan.length_out * channels > MOST_PRODUCTS
    slow: bool = plan.kernel_size > MOST_TAPS or (many and plan.kernel_size > 2 and plan.dilation == 1)
    return slow


def taps(data: Tensor, weight: Tensor, bias: Tensor | None, work: Work) -> Tensor:
    """Add, for each tap of the kernel, its products with all samples that it reads."""
    if data.dtype in HALVES:
        wide = None if bias is None else bias.float()
        return taps(data.float(), weight.float(), wide, work).to(data.dtype)
    plan, times = work.plan, weight.shape[0] // data.shape[1]  # output channels of each input channel
    data = padded(data, work).contiguous()
    if times > 1:
        data = data.repeat_interleave(times, 1)
    span = (plan.length_out - 1) * plan.stride + 1  # samples from the first to the last that one tap reads
    samples = data.unfold(2, span, plan.dilation)  # (batch, out, at least kernel, span)
    if plan.stride > 1:
        samples = samples[..., :: plan.stride]
    first, *others = zip(samples.unbind(2), weight.unbind(2), strict=False)
    output = first[0] * first[1] if bias is None else torch.addcmul(bias.unsqueeze(1), *first)
    for factors in others:
        output.addcmul_(*factors)
    return output


LOWERINGS = {
    "taps": Lowering(
        taps,
        unless("it is not depthwise, or has no outputs", lambda p, c, g: is_depthwise(c, g) and p.length_out),
        is_hopeless=is_slow,
    ),
}
