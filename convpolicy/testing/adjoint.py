"""The gradients of ``sum(output * upstream)`` of a padded convolution, summed tap by tap from the plan, in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from convpolicy.core.plan import ConvSpec, Plan
from convpolicy.layers.backend import LEARNED
from convpolicy.parts.side import CONSTANT
from convpolicy.reference import SUM_ROUNDINGS

Array = NDArray[Any]


def adjoint(
    spec: ConvSpec, plan: Plan, weight: Array, data: Array, upstream: Array, *, absolute: bool = False
) -> dict[str, Array]:
    """Return the gradients to input, weight and bias.

    Args:
        spec, plan: sizes and padding.
        weight: (out, in/groups, kernel).
        data: (batch, channels, length).
        upstream: (batch, out, length_out).
        absolute: True for the same sums of absolute values.

    Returns:
        ``{"input": (batch, channels, length), "weight": (out, in/groups, kernel), "bias": (out,), "padding_value": (channels,)}``,
        float64; the last one to the constant of the sides that learn it.
    """
    size = np.abs if absolute else np.asarray
    weight, data, upstream = (size(array.astype(np.float64)) for array in (weight, data, upstream))
    matrix, constants = (size(array) for array in _padding(plan, data.shape[1]))
    padded = data @ matrix + constants
    to_padded, to_weight = np.zeros_like(padded), np.zeros(weight.shape)
    places = np.arange(plan.length_out) * spec.stride
    for out, offset, tap in np.ndindex(weight.shape):
        channel = out * spec.groups // spec.out_channels * weight.shape[1] + offset
        at = places + tap * spec.dilation  # every element at most once
        to_weight[out, offset, tap] = (upstream[:, out] * padded[:, channel, at]).sum()
        to_padded[:, channel, at] += upstream[:, out] * weight[out, offset, tap]
    return {
        "input": to_padded @ matrix.T,
        "weight": to_weight,
        "bias": upstream.sum((0, 2)),
        LEARNED: (to_padded * size(_learned_shares(plan))).sum((0, 2)),
    }


def counts(spec: ConvSpec, plan: Plan) -> dict[str, int]:
    """Return the most terms that any number of each gradient is a sum of, for a batch of two."""
    matrix, _constants = _padding(plan, spec.in_channels)
    copies, summed = int((matrix != 0).sum(1).max(initial=1)), 0 if plan.copies else SUM_ROUNDINGS
    taps = spec.kernel_size * spec.out_channels // spec.groups
    everything = 2 * plan.length_out
    windows = np.arange(plan.length_out)[:, None] * spec.stride + np.arange(spec.kernel_size) * spec.dilation
    learned = int(np.count_nonzero(_learned_shares(plan)[windows]))
    return {
        "input": copies * taps + summed,
        "weight": everything + summed,
        "bias": everything,
        LEARNED: 2 * learned * spec.in_channels * spec.out_channels // spec.groups + summed,
    }


def _learned_shares(plan: Plan) -> Array:
    """Return (padded_length,): how much of the learned constant is in each element that is convolved."""
    before, after = (
        np.zeros(side.width) if not side.learned or (shares := side.shares()) is None else shares for side in plan.sides
    )
    everything = np.concatenate([before, np.zeros(plan.length), after])
    return everything[plan.cut[0] : len(everything) - plan.cut[1]]


def _padding(plan: Plan, channels: int) -> tuple[Array, Array]:
    """Return padding as the affine function it is: (length, padded_length), what is read, and (channels, padded_length), what is added."""
    left, right = plan.added
    matrix, constants = np.zeros((plan.length, left + plan.length + right)), np.zeros((channels, left + plan.length + right))
    matrix[:, left : left + plan.length] = np.eye(plan.length)
    for side, start in zip(plan.sides, (0, left + plan.length)):
        values = np.broadcast_to(np.asarray(side.value, np.float64), (channels,))
        for term in side.terms:
            shares = np.broadcast_to(np.asarray(term.coefficient, np.float64), (len(term.sources),))
            for place, (share, source) in enumerate(zip(shares, term.sources), start):
                if source == CONSTANT:
                    constants[:, place] += share * values
                else:
                    matrix[source, place] += share
    first, last = plan.cut
    kept = slice(first, matrix.shape[1] - last)
    return matrix[:, kept], constants[:, kept]
