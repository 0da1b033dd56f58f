"""The gradients of ``sum(output * upstream)`` of a padded convolution, summed tap by tap from the plan, in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from convpolicy.core.plan import ConvSpec, Plan

Array = NDArray[Any]


def adjoint(spec: ConvSpec, plan: Plan, weight: Array, data: Array, upstream: Array, value: float) -> dict[str, Array]:
    """Return the gradients to input, weight and bias.

    Args:
        spec, plan: sizes and padding.
        weight: (out, in/groups, kernel).
        data: (batch, channels, length).
        upstream: (batch, out, length_out).
        value: of the constant elements.

    Returns:
        ``{"input": (batch, channels, length), "weight": (out, in/groups, kernel), "bias": (out,)}``, float64.
    """
    sources = np.array(plan.positions, dtype=np.int64)
    padded = np.where(sources < 0, value, data[..., sources]).astype(np.float64)
    to_padded, to_weight = np.zeros_like(padded), np.zeros(weight.shape)
    places = np.arange(plan.length_out) * spec.stride
    for out, offset, tap in np.ndindex(weight.shape):
        channel = out * spec.groups // spec.out_channels * weight.shape[1] + offset
        at = places + tap * spec.dilation  # every element at most once
        to_weight[out, offset, tap] = (upstream[:, out] * padded[:, channel, at]).sum()
        to_padded[:, channel, at] += upstream[:, out] * weight[out, offset, tap]
    to_input = np.zeros(data.shape)
    for place, source in enumerate(sources):
        if source >= 0:
            to_input[..., source] += to_padded[..., place]
    return {"input": to_input, "weight": to_weight, "bias": upstream.sum((0, 2), dtype=np.float64)}
