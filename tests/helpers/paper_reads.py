"""Which samples the outputs of a plan read."""

from __future__ import annotations

import numpy as np

import convpolicy as cp


def reads(policy, sizes, length):
    """Which input position each tap of each output reads by the plan, -1 for a constant; None where the policy refuses."""
    try:
        plan = policy.plan(*sizes, length=length)
    except cp.ConvPolicyError:
        return None
    if not plan.length_out:
        return None
    if isinstance(plan, cp.TransposedPlan):
        [(_coefficients, sources)] = plan.window_terms(np.arange(plan.length_out))
        return sources.tolist()
    kernel, stride, dilation = sizes
    return [[plan.positions[o * stride + t * dilation] for t in range(kernel)] for o in range(plan.length_out)]
