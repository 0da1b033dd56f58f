"""`Lowering`: one implementation of a plan in torch, and `Work`, what it gets for one layer and input length."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import torch
from torch import Tensor

# Other tensor classes get torch's own functions only: those of per-sample gradients support nothing else, and fake tensors must not
# be cached.
PLAIN = (Tensor, torch.nn.Parameter)


class Work(NamedTuple):
    """A plan for one layer.

    Attributes:
        plan: the plan for the input's length, a `Plan` or a `TransposedPlan`.
        groups: number of channel groups.
        pad: ``(input, left, right) -> padded input``, the layer's own padding function. A transposed layer adds zeros with it.
    """

    plan: Any
    groups: int
    pad: Callable[[Tensor, int, int], Tensor]


PRIMITIVE_SECONDS = 5e-4  # in which oneDNN creates a primitive, for a convolution of sizes that it has not seen
HALVES = (torch.float16, torch.bfloat16)  # in which torch's convolution sums in float32
WIDE_DEPTHWISE_PAD = 5  # narrower pads were slow on no machine
Lowered: TypeAlias = Callable[[Tensor, Tensor, "Tensor | None", Work], Tensor]


class Lowering(NamedTuple):
    """One implementation.

    Attributes:
        run: the function.
        why_not: ``(plan, in_channels, groups) -> reason`` why it cannot compute a plan; empty when it can.
        bits_of: name of the implementation to which it is bit-identical; empty when its sums have another order.
        pack: ``(weight, shape of the input, work) -> packed weight``, for an implementation whose ``run`` gets a packed float32 weight.
            It has no backward pass. See `frozen`.
        setup: seconds that the first call may take beyond the others, apart from the time to copy a weight.
        is_hopeless: ``(plan, in_channels, groups) -> True`` for plans for which it was the fastest on no machine, so that
            ``execution="auto"`` does not time it.
    """

    run: Lowered
    why_not: Callable[[Any, int, int], str]
    bits_of: str = ""
    pack: Callable[[Tensor, Any, Work], Any] | None = None
    setup: float = 0.0
    is_hopeless: Callable[[Any, int, int], bool] = lambda _plan, _channels, _groups: False


def unless(reason: str, legal: Callable[[Any, int, int], Any]) -> Callable[[Any, int, int], str]:
    """Return a `Lowering.why_not` that returns ``reason`` for the plans that are not ``legal``."""
    return lambda plan, channels, groups: "" if legal(plan, channels, groups) else reason


def is_matrix(plan: Any, _channels: int, groups: int) -> bool:
    """Return True for a kernel of 1 whose convolution is one matrix product."""
    return (plan.kernel_size, plan.stride, groups, plan.left, plan.right) == (1, 1, 1, 0, 0)


def padded(data: Tensor, work: Work) -> Tensor:
    """Return the input with the pads of the plan."""
    plan = work.plan
    return work.pad(data, plan.left, plan.right) if plan.left or plan.right else data


def is_zeros(plan: Any) -> bool:
    """Return True when every added sample is a positive zero."""
    return plan.is_constant and plan.value == 0 and not np.signbit(plan.value)


def is_symmetric(plan: Any) -> bool:
    """Return True when the padding of torch's own convolution equals the plan's."""
    return plan.left == plan.right >= 0 and (is_zeros(plan) or plan.left == 0)


def is_depthwise(channels: int, groups: int) -> bool:
    """Return True for a layer whose groups have one channel."""
    return groups == channels > 1


def is_narrow_depthwise(plan: Any, channels: int, groups: int) -> bool:
    """Return True for a depthwise layer with so few zeros that oneDNN adds them in its fastest kernel on every machine."""
    return is_depthwise(channels, groups) and is_symmetric(plan) and plan.left < WIDE_DEPTHWISE_PAD
