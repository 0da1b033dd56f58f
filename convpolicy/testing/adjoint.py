"""Reference gradients of convolutions: those of ``sum(output * upstream)``, in float64, summed tap by tap."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convpolicy.core.plan import Plan
from convpolicy.core.spec import ConvSpec
from convpolicy.core.transposed_plan import CIRCULAR, TransposedPlan
from convpolicy.layers.backend import LEARNED
from convpolicy.parts.side import CONSTANT
from convpolicy.reference import SUM_ROUNDINGS

Array = NDArray[Any]


def adjoint(
    spec: ConvSpec, plan: Plan, weight: Array, data: Array, upstream: Array, *, absolute: bool = False
) -> dict[str, Array]:
    """Return the gradients with respect to input, weight, bias and learned padding constant.

    Args:
        spec, plan: sizes and padding of the layer.
        weight: array (out, in/groups, kernel).
        data: array (batch, channels, length).
        upstream: array (batch, out, length_out), the gradient with respect to the output.
        absolute: True to return the same sums of absolute values, for error bounds.

    Returns:
        Float64 arrays: ``{"input": (batch, channels, length), "weight": (out, in/groups, kernel), "bias": (out,), "padding_value":
        (channels,)}``.
    """
    size = np.abs if absolute else np.asarray
    weight, data, upstream = (size(array.astype(np.float64)) for array in (weight, data, upstream))
    matrix, constants = (size(array) for array in _padding(plan, data.shape[1]))
    padded = data @ matrix + constants
    to_padded, to_weight = np.zeros_like(padded), np.zeros(weight.shape)
    places = np.arange(plan.length_out) * spec.stride
    for out, offset, tap in np.ndindex(weight.shape):
        channel = out * spec.groups // spec.out_channels * weight.shape[1] + offset
        at = places + tap * spec.dilation  # each index occurs once
        to_weight[out, offset, tap] = (upstream[:, out] * padded[:, channel, at]).sum()
        to_padded[:, channel, at] += upstream[:, out] * weight[out, offset, tap]
    return {
        "input": to_padded @ matrix.T,
        "weight": to_weight,
        "bias": upstream.sum((0, 2)),
        LEARNED: (to_padded * size(_learned_shares(plan))).sum((0, 2)),
    }


def counts(spec: ConvSpec, plan: Plan) -> dict[str, int]:
    """Return, for each gradient, the largest number of terms in any of its elements, for a batch of two."""
    matrix, _constants = _padding(plan, spec.in_channels)
    windows = np.arange(plan.length_out)[:, None] * spec.stride + np.arange(spec.kernel_size) * spec.dilation
    reads = np.bincount(windows.ravel(), minlength=plan.padded_length)  # how often each padded sample is read
    outs, summed = spec.out_channels // spec.groups, 0 if plan.copies else SUM_ROUNDINGS
    positions = 2 * plan.length_out
    return {
        "input": int(((matrix != 0) @ reads).max(initial=1)) * outs + summed,
        "weight": positions + summed,
        "bias": positions,
        LEARNED: 2 * int((_learned_shares(plan) != 0) @ reads) * spec.in_channels * outs + summed,
    }


def transposed_adjoint(
    spec: ConvSpec, plan: TransposedPlan, weight: Array, data: Array, upstream: Array, *, absolute: bool = False
) -> dict[str, Array]:
    """Return the gradients of a transposed convolution with respect to input, weight and bias; see `adjoint`.

    Args:
        spec, plan: sizes and cuts of the layer.
        weight: array (in, out/groups, kernel).
        data: array (batch, in, length).
        upstream: array (batch, out, length_out).
        absolute: True to return the same sums of absolute values.
    """
    size = np.abs if absolute else np.asarray
    weight, data, upstream = (size(array.astype(np.float64)) for array in (weight, data, upstream))
    to_data, to_weight = np.zeros_like(data), np.zeros(weight.shape)
    for channel, offset, tap in np.ndindex(weight.shape):
        out = channel * spec.groups // spec.in_channels * weight.shape[1] + offset
        for sample, place in _reached(plan, tap):
            to_data[:, channel, sample] += upstream[:, out, place] * weight[channel, offset, tap]
            to_weight[channel, offset, tap] += (upstream[:, out, place] * data[:, channel, sample]).sum()
    return {"input": to_data, "weight": to_weight, "bias": upstream.sum((0, 2))}


def transposed_counts(spec: ConvSpec, plan: TransposedPlan) -> dict[str, int]:
    """Return, for each gradient, the largest number of terms in any of its elements, for a batch of two; see `counts`."""
    reached = [[sample for sample, _place in _reached(plan, tap)] for tap in range(spec.kernel_size)]
    taps = np.bincount([sample for samples in reached for sample in samples], minlength=1)  # by which a sample has effect
    return {
        "input": max(int(taps.max()), 1) * spec.out_channels // spec.groups,
        "weight": 2 * max(map(len, reached)),
        "bias": 2 * plan.length_out,
    }


def _reached(plan: TransposedPlan, tap: int) -> Iterator[tuple[int, int]]:
    """Yield every sample that has effect by a kernel tap, with the output that it is added to."""
    for sample in range(plan.length):
        place = plan.position(sample, tap)
        place = place % plan.length_out if plan.mode == CIRCULAR else place
        if 0 <= place < plan.length_out:
            yield sample, place


def _learned_shares(plan: Plan) -> Array:
    """Return the coefficient of the learned constant in each padded sample, an array (padded_length,)."""
    before, after = (
        np.zeros(side.width) if not side.learned or (added := side.shares()) is None else added for side in plan.sides
    )
    shares = np.concatenate([before, np.zeros(plan.length), after])
    return shares[plan.cut[0] : len(shares) - plan.cut[1]]


def _padding(plan: Plan, channels: int) -> tuple[Array, Array]:
    """Return the padding as an affine function: a matrix (length, padded_length) and constants (channels, padded_length)."""
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
    columns = slice(first, matrix.shape[1] - last)
    return matrix[:, columns], constants[:, columns]
