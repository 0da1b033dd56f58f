"""The bound on the difference between two implementations, for one input."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from convpolicy.core.spec import ConvSpec
from convpolicy.core.transposed_plan import CIRCULAR
from convpolicy.frameworks.torch.crops import FullResult
from convpolicy.frameworks.torch.execution.lowering import HALVES, Work, is_zeros
from convpolicy.frameworks.torch.values import dtype_name
from convpolicy.reference import tolerance


def bound_of(data: Tensor, weight: Tensor, bias: Tensor | None, work: Work, spec: ConvSpec) -> Tensor:
    """Return 2 · γ(terms + 1) · Σ|weight · input| for every output, computed in the dtype of the input.

    For dtypes of 16 bits, torch sums in float32 and rounds the result, so the bound contains that rounding.
    """
    return _rounding(_magnitude(data, weight, bias, work, spec), weight.dtype, spec)


def bound_of_channels(data: Tensor, weight: Tensor, bias: Tensor | None, work: Work, spec: ConvSpec) -> Tensor:
    """Return a larger bound, (out, 1), that needs no convolution: Σ|weight| · max|input| instead of Σ|weight · input|."""
    plan, wide = work.plan, _wide(weight)
    adds = not spec.transposed and (plan.left or plan.right) and not is_zeros(plan)  # samples that may be larger than the input's
    largest = torch.linalg.vector_norm(work.pad(data, plan.left, plan.right) if adds else data, torch.inf, dtype=wide)
    taps = (
        weight.view(spec.groups, -1, *weight.shape[1:]) if spec.transposed else weight
    )  # (groups, in/groups, out/groups, kernel)
    sums = torch.linalg.vector_norm(taps, 1, (1, 3) if spec.transposed else (1, 2), dtype=wide).flatten() * largest
    return _rounding(sums if bias is None else sums + bias.to(wide).abs(), weight.dtype, spec)[:, None]


def _wide(weight: Tensor) -> torch.dtype:
    """Return the dtype in which magnitudes are summed."""
    return torch.float32 if weight.dtype == torch.float32 else torch.float64


def _rounding(magnitude: Tensor, dtype: torch.dtype, spec: ConvSpec) -> Tensor:
    is_half = dtype in HALVES
    summed = "float32" if is_half else dtype_name(dtype)
    bound: Tensor = 2 * tolerance(summed, spec.fans.fan_in + 1, magnitude)
    return bound + 2 * torch.finfo(dtype).eps * magnitude if is_half else bound


def _magnitude(data: Tensor, weight: Tensor, bias: Tensor | None, work: Work, spec: ConvSpec) -> Tensor:
    """Return the sums of the absolute values of all products and of the bias."""
    plan, wide = work.plan, _wide(weight)
    weight, bias = weight.to(wide).abs(), None if bias is None else bias.to(wide).abs()
    if spec.transposed:
        result = FullResult(spec.effective_kernel, spec.stride, spec.dilation, spec.groups, plan.mode == CIRCULAR)
        return result.run(data.to(wide).abs(), weight, bias, (plan.left, plan.right))
    padded = work.pad(data, plan.left, plan.right) if plan.left or plan.right else data
    return nn.functional.conv1d(padded.to(wide).abs(), weight, bias, spec.stride, 0, spec.dilation, spec.groups)


def agrees(own: Tensor, other: Tensor, bound: Tensor) -> bool:
    """Return True if an output equals another one within the bound; NaN equals NaN."""
    if own.shape != other.shape or own.dtype != other.dtype or not other.is_contiguous():
        return False
    within = (own - other).abs() <= bound
    return bool(within.all()) or bool((within | (own == other) | (own.isnan() & other.isnan())).all())
