"""The implementations of a `TransposedPlan` in torch, each with a name, its conditions, and the implementation whose bits it has.

All of them compute the same function, as those of `lowerings` do. Each one takes an input (batch, in_channels, length), a weight
(in_channels, out_channels / groups, kernel_size), a bias (out_channels,) or None, and a `Work`. It returns (batch, out_channels,
length_out), contiguous except for `full`.
"""

from __future__ import annotations

import torch.nn.functional as F  # noqa: N812 - torch's own convention
from torch import Tensor

from convpolicy.core.transposed_plan import CIRCULAR, TransposedPlan
from convpolicy.frameworks.torch.crops import FullResult
from convpolicy.frameworks.torch.execution.lowering import Lowering, Work, unless


def full(data: Tensor, weight: Tensor, bias: Tensor | None, work: Work) -> Tensor:
    """Compute the full result, and return a view without what is cut, as handwritten code does."""
    plan = work.plan
    result = FullResult(plan.effective_kernel, plan.stride, plan.dilation, work.groups, plan.mode == CIRCULAR)
    return result.run(data, weight, bias, (plan.left, plan.right))


def native(data: Tensor, weight: Tensor, bias: Tensor | None, work: Work) -> Tensor:
    """Cut inside torch's transposed convolution."""
    plan = work.plan
    more = plan.left - plan.right
    return F.conv_transpose1d(data, weight, bias, plan.stride, plan.left, more, work.groups, plan.dilation)


def _is_native(plan: TransposedPlan, _channels: int, _groups: int) -> bool:
    more = plan.left - plan.right
    return plan.mode != CIRCULAR and plan.left >= 0 and 0 <= more < max(plan.stride, plan.dilation)


LOWERINGS = {
    "full": Lowering(full, unless("", lambda _p, _c, _g: True), "full"),
    "native": Lowering(native, unless("it cuts more on the right, or appends too much", _is_native), "native"),
}


LENGTH_FREE = ("full", "native")  # implementations that do not depend on the input's length
