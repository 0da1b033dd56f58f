"""Kernels of a layer per output channel, and the samples that its outputs read, for both kinds of convolution."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from convpolicy.core.plan import Plan
from convpolicy.core.spec import ConvSpec
from convpolicy.core.transposed_plan import TransposedPlan

Doubles: TypeAlias = "NDArray[np.float64]"
Positions: TypeAlias = "NDArray[np.int64]"


def kernels_of(weight: NDArray[Any], spec: ConvSpec) -> NDArray[Any]:
    """Return a weight of ``spec.weight_shape`` as kernels (out, in/groups, kernel)."""
    if not spec.transposed:
        return weight
    groups, per, each = spec.groups, spec.in_channels // spec.groups, spec.out_channels // spec.groups
    return weight.reshape(groups, per, each, -1).swapaxes(1, 2).reshape(spec.out_channels, per, -1)


def weight_of(kernels: NDArray[Any], spec: ConvSpec) -> NDArray[Any]:
    """Return kernels (out, in/groups, kernel) as a weight of ``spec.weight_shape``. This is the inverse of `kernels_of`."""
    if not spec.transposed:
        return kernels
    groups, per, each = spec.groups, spec.in_channels // spec.groups, spec.out_channels // spec.groups
    return kernels.reshape(groups, each, per, -1).swapaxes(1, 2).reshape(spec.weight_shape)


def readable(plan: Plan | TransposedPlan, data: Doubles, outputs: Positions) -> tuple[Doubles, Positions, float]:
    """Return the data that these outputs read.

    Args:
        plan: the plan of the layer.
        data: float64 (…, channels, length).
        outputs: output positions.

    Returns:
        The samples (…, channels, n), the index that each tap reads (outputs, taps), and the constant for index -1. There are as many
        taps as the kernel has, or a multiple: with mode ``"circular"`` of a transposed convolution, each tap reads several samples.
    """
    if isinstance(plan, TransposedPlan):
        return data, np.concatenate([sources for _share, sources in plan.window_terms(outputs)], axis=1), 0.0
    if plan.copies:
        return data, plan.window_sources(outputs), plan.value
    read: Positions = plan.position(outputs[:, None], np.arange(plan.kernel_size)) + plan.left
    return plan.padded(data), read, 0.0
