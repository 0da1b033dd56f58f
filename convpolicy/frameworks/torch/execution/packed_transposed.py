"""The transposed convolution on a weight that oneDNN packed once; see `packed`."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from convpolicy.core.transposed_plan import CIRCULAR, TransposedPlan
from convpolicy.frameworks.torch.execution.lowering import PRIMITIVE_SECONDS, Lowering, Work, unless
from convpolicy.frameworks.torch.execution.packed import PLAIN

IS_THERE: bool = torch._C._has_mkldnn and hasattr(torch.ops.mkldnn, "_convolution_transpose_pointwise")
CONVOLUTION: Any = torch.ops.mkldnn._convolution_transpose_pointwise.default if IS_THERE else None


def pack(weight: Tensor, shape: Any, work: Work) -> Tensor:
    """Pack a weight (in, out/groups, kernel) for `convolve` on inputs of a shape (batch, in, length)."""
    batch, channels, length = shape
    reorder: Any = torch.ops.mkldnn._reorder_convolution_transpose_weight
    plane = weight.detach()[:, :, None].contiguous()
    packed: Tensor = reorder(plane, *_arguments(work), [batch, channels, 1, length])
    return packed


def convolve(data: Tensor, weight: Tensor, bias: Tensor | None, work: Work) -> Tensor:
    """Convolve with oneDNN, which cuts what it can, and copy the outputs of the plan if that is not all."""
    plan = work.plan
    output: Tensor = CONVOLUTION(data.contiguous()[:, :, None], weight, bias, *_arguments(work), *PLAIN)[:, :, 0]
    return output.narrow(-1, plan.left - _inside(plan)[0], plan.length_out).contiguous()


def _inside(plan: TransposedPlan) -> tuple[int, int]:
    """Return ``(padding, output_padding)``, by which oneDNN cuts as much as it can."""
    more = plan.left - plan.right
    return (plan.left, more) if 0 <= more < max(plan.stride, plan.dilation) else (min(plan.left, plan.right), 0)


def _arguments(work: Work) -> tuple[Any, ...]:
    plan, (padding, more) = work.plan, _inside(work.plan)
    return [0, padding], [0, more], [1, plan.stride], [1, plan.dilation], work.groups


LOWERINGS = {
    "packed": Lowering(
        convolve,
        unless(
            "it wraps or appends, or this torch has no oneDNN",
            lambda p, _c, _g: IS_THERE and p.mode != CIRCULAR and min(p.left, p.right) >= 0,
        ),
        pack=pack,
        setup=2 * PRIMITIVE_SECONDS,
    ),
}
