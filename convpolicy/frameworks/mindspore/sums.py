"""Padding that computes the samples it adds, in PyNative and in graph mode.

Such samples are sums of input samples, a learned constant, or a constant per channel.
"""

from __future__ import annotations

from typing import Any

import mindspore
import numpy as np
from mindspore import Tensor, ops

from convpolicy.core.plan import Plan
from convpolicy.parts.side import Side

# NumPy converts these; MindSpore would round float64 numbers to float32 first
ROUNDED_BY_NUMPY = {
    mindspore.float16: np.float16,
    mindspore.float64: np.float64,
}


def padding_of(plan: Plan, dtype: Any) -> tuple[Any, Any, int, int]:
    """Return the tensors and numbers that `padded` needs for a plan; in graph mode they are constants of the graph.

    Args:
        plan: any plan.
        dtype: MindSpore's dtype of the input.

    Returns:
        ``(left, right, first, last)``. The padded input is cropped to the positions from ``first`` up to ``last``. A side is None
        when it adds nothing, else ``(reads, constants, learned)``:

        - ``reads``: ``(coefficient or None, samples, mask or None)`` of each term, as in `Side.reads`.
        - ``constants``: (1 or channels, samples) or None; when ``learned``, the factors of the learned constant.
        - ``learned``: True when the side's constant is learned.
    """
    left, right = (_side(side, dtype) for side in plan.sides)
    first, last = plan.cut
    return left, right, first, sum(plan.added) + plan.length - last


def _side(side: Side, dtype: Any) -> Any:
    if not side.width:
        return None
    reads = tuple(
        (
            None if read.coefficient is None else rounded(read.coefficient, dtype),
            Tensor(read.samples.astype(np.int32)),
            None if read.reads is None else Tensor(read.reads),
        )
        for read in side.reads()
    )
    constants = side.shares() if side.learned else side.constants()
    if constants is None and not reads:
        constants = np.zeros(side.width)
    return reads, None if constants is None else rounded(np.atleast_2d(constants), dtype), side.learned


def rounded(numbers: Any, dtype: Any) -> Tensor:
    """Return float64 numbers as a tensor of a dtype."""
    return Tensor(numbers.astype(ROUNDED_BY_NUMPY.get(dtype, np.float32)), dtype)


def padded(x: Any, padding: Any, value: Any) -> Any:
    """Return the padded input.

    Args:
        x: (batch, channels, length).
        padding: result of `padding_of`.
        value: the learned constant, () or (channels,), or None.

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


def _added(x: Any, pads: Any, value: Any) -> Any:
    reads, constants, learned = pads
    if learned and constants is not None:
        constants = constants * ops.reshape(value, (-1, 1))
    total = None
    for coefficient, samples, mask in reads:
        part = ops.gather(x, samples, 2)
        if coefficient is not None:
            part = part * coefficient
        if mask is not None:  # masked samples may be infinite, and infinity times 0 is NaN
            part = ops.select(ops.broadcast_to(mask, part.shape), part, ops.zeros_like(part))
        total = part if total is None else total + part
    if total is None:
        return ops.broadcast_to(constants, (x.shape[0], x.shape[1], constants.shape[1]))
    return total if constants is None else total + constants
