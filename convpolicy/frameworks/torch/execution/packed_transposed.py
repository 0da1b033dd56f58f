"""The transposed convolution on a weight that oneDNN packed once; see `packed`."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from convpolicy.core.transposed_plan import CIRCULAR, TransposedPlan
from convpolicy.frameworks.torch.crops import output_padding
from convpolicy.frameworks.torch.execution.lowering import PRIMITIVE_SECONDS, Lowering, Work, unless
from convpolicy.frameworks.torch.execution.packed import PLAIN, operation

CONVOLUTION = operation("_convolution_transpose_pointwise")


def pack(weight: Tensor, shape: Any, work: Work) -> Tensor:
    """Pack a weight (in, out/groups, kernel) for `convolve` on inputs of a shape (batch, in, length)."""
    batch, channels, length = shape
    reorder: Any = torch.ops.mkldnn._reorder_convolution_transpose_weight
    plane = weight.detach()[:, :, None].contiguous()
    packed: Tensor = reorder(plane, *_arguments(work, *_inside(work.plan)), [batch, channels, 1, length])
    return packed


def convolve(data: Tensor, weight: Tensor, bias: Tensor | None, work: Work) -> Tensor:
    """Convolve with oneDNN, which cuts what it can, and copy the outputs of the plan if that is not all."""
    plan = work.plan
    padding, more = _inside(plan)
    plane: Tensor = CONVOLUTION(data.contiguous().unsqueeze(2), weight, bias, *_arguments(work, padding, more), *PLAIN)
    return plane.squeeze(2).narrow(-1, plan.left - padding, plan.length_out).contiguous()


def _inside(plan: TransposedPlan) -> tuple[int, int]:
    """Return ``(padding, output_padding)``, by which oneDNN cuts as much as it can."""
    more = output_padding(plan.left, plan.right, max(plan.stride, plan.dilation))
    return (min(plan.left, plan.right), 0) if more is None else (plan.left, more)


def _arguments(work: Work, padding: int, more: int) -> tuple[Any, ...]:
    plan = work.plan
    return [0, padding], [0, more], [1, plan.stride], [1, plan.dilation], work.groups


LOWERINGS = {
    "packed": Lowering(
        convolve,
        unless(
            "it wraps or appends, or this torch has no oneDNN",
            lambda p, _c, _g: CONVOLUTION is not None and p.mode != CIRCULAR and min(p.left, p.right) >= 0,
        ),
        pack=pack,
        setup=2 * PRIMITIVE_SECONDS,
    ),
}
