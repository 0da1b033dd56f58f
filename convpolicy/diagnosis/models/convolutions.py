"""What a captured convolution computes, in float64: one matrix product for each tap."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from convpolicy.core.plan import Plan, require_a_window
from convpolicy.core.transposed_plan import TransposedPlan
from convpolicy.diagnosis.computation import Computation
from convpolicy.diagnosis.kernels import kernels_of
from convpolicy.diagnosis.models.formulas import Doubles, Result
from convpolicy.layers.capture import Capture


def convolved(captured: Capture, data: NDArray[Any]) -> Result:
    """Return the output of a convolution for data (batch, channels, length)."""
    spec, x = captured.spec, np.asarray(data, np.float64)
    plan = require_a_window(captured.policy.plan(spec.kernel_size, spec.stride, spec.dilation, length=x.shape[2]))
    kernels = np.asarray(kernels_of(captured.weight, spec), np.float64)
    if isinstance(plan, Plan) and not plan.copies:  # the padding is a sum, and sums are rounded too
        values = Computation(captured, x).full()
        return Result(values.output, values.magnitude, values.terms)
    summed = _scattered if isinstance(plan, TransposedPlan) else _gathered
    bias = np.zeros((spec.out_channels, 1)) if captured.bias is None else np.asarray(captured.bias, np.float64)[:, None]
    terms = spec.in_channels // spec.groups * spec.kernel_size + 1
    return Result(
        summed(plan, x, kernels, spec.groups) + bias,
        summed(plan, np.abs(x), np.abs(kernels), spec.groups, size=True) + np.abs(bias),
        terms,
    )


def _gathered(plan: Any, x: Doubles, kernels: Doubles, groups: int, *, size: bool = False) -> Doubles:
    padded = plan.padded(x)
    padded = np.abs(padded) if size else padded
    total = np.zeros((len(x), len(kernels), plan.length_out))
    for tap in range(plan.kernel_size):
        start = tap * plan.dilation
        samples = padded[:, :, start : start + (plan.length_out - 1) * plan.stride + 1 : plan.stride]
        total += _product(kernels[:, :, tap], samples, groups)
    return total


def _scattered(plan: Any, x: Doubles, kernels: Doubles, groups: int, *, size: bool = False) -> Doubles:
    full = np.zeros((len(x), len(kernels), plan.full_length))
    for tap in range(plan.kernel_size):
        start = tap * plan.dilation
        full[:, :, start : start + (x.shape[2] - 1) * plan.stride + 1 : plan.stride] += _product(kernels[:, :, tap], x, groups)
    cropped: Doubles = plan.cropped(full)
    return np.abs(cropped) if size else cropped


def _product(weight: Doubles, x: Doubles, groups: int) -> Doubles:
    """Multiply (out, in/groups) by (batch, in, length), group by group."""
    if groups == 1:
        return np.asarray(weight @ x)
    split = x.reshape(len(x), groups, -1, x.shape[2])
    return np.asarray(weight.reshape(groups, len(weight) // groups, -1) @ split).reshape(len(x), len(weight), x.shape[2])
