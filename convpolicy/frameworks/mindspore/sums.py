"""Padding that does not copy, in PyNative and in graph mode: added elements that are sums, learned, or differ by channel."""

from __future__ import annotations

from typing import Any

import mindspore
import numpy as np
from mindspore import Tensor, ops

from convpolicy.core.plan import Plan
from convpolicy.parts.side import Side

ROUNDED_BY_NUMPY = {
    mindspore.float16: np.float16,
    mindspore.float64: np.float64,
}  # MindSpore would round float64 to float32 before


def padding_of(plan: Plan, dtype: Any) -> tuple[Any, Any, int, int]:
    """Return what `padded` needs to know of a plan, as tensors and numbers, which are constants of a graph.

    Args:
        plan: any.
        dtype: MindSpore's, of the input.

    Returns:
        What is added on the left and on the right, each None or ``(reads, constants, learned)``; the padded positions from which on
        and up to which something is kept. ``reads`` are ``(coefficient or None, samples, mask or None)`` as of `Side.reads`.
        ``constants`` are (1 or channels, elements), or None; where ``learned`` they are the shares of the learned constant.
    """
    left, right = (_elements(side, dtype) for side in plan.sides)
    first, last = plan.cut
    return left, right, first, sum(plan.added) + plan.length - last


def _elements(side: Side, dtype: Any) -> Any:
    if not side.width:
        return None
    reads = tuple(
        (
            None if read.coefficient is None else _number(read.coefficient, dtype),
            Tensor(read.samples.astype(np.int32)),
            None if read.reads is None else Tensor(read.reads),
        )
        for read in side.reads()
    )
    constants = side.shares() if side.learned else side.constants()
    if constants is None and not reads:
        constants = np.zeros(side.width)
    return reads, None if constants is None else _number(np.atleast_2d(constants), dtype), side.learned


def _number(numbers: Any, dtype: Any) -> Tensor:
    return Tensor(numbers.astype(ROUNDED_BY_NUMPY.get(dtype, np.float32)), dtype)


def padded(x: Any, padding: Any, value: Any) -> Any:
    """Return what is convolved.

    Args:
        x: (batch, channels, length).
        padding: from `padding_of`.
        value: the learned constant, a number or (channels,), or None.

    Returns:
        (batch, channels, padded_length).
    """
    left, right, first, last = padding
    parts: tuple[Any, ...] = (x,)
    if left is not None:
        parts = (_added(x, left, value), *parts)
    if right is not None:
        parts = (*parts, _added(x, right, value))
    return ops.concat(parts, 2)[:, :, first:last]


def _added(x: Any, elements: Any, value: Any) -> Any:
    reads, constants, learned = elements
    if learned and constants is not None:
        constants = constants * ops.reshape(value, (-1, 1))
    total = None
    for coefficient, samples, mask in reads:
        part = ops.gather(x, samples, 2)
        if coefficient is not None:
            part = part * coefficient
        if mask is not None:  # an infinity that is not read must not reach the sum
            part = ops.select(ops.broadcast_to(mask, part.shape), part, ops.zeros_like(part))
        total = part if total is None else total + part
    if total is None:
        return ops.broadcast_to(constants, (x.shape[0], x.shape[1], constants.shape[1]))
    return total if constants is None else total + constants
