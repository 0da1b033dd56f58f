"""Measure what every output reads, and check the properties that rules and modes declare.

Each property is measured on layers of the NumPy backend. Their weights are 1 and their inputs are small integers, so that every
difference is exact.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convpolicy.core.plan import Plan
from convpolicy.core.policy import Policy
from convpolicy.core.spec import ConvSpec
from convpolicy.layers.backend import Backend, LayerRequest
from convpolicy.registry import current
from convpolicy.testing.common import Sizes, refuses, require

OTHER_LENGTHS = 5  # number of further input lengths at which a static rule is compared


def plan_of(policy: Policy, sizes: Sizes) -> Plan | None:
    """Return the plan, or None if the policy refuses these sizes or there is no output."""
    plan: Plan | None = refuses(lambda: policy.plan(sizes.kernel, sizes.stride, sizes.dilation, length=sizes.length))
    return plan if plan is not None and plan.length_out else None


def layer_of(policy: Policy, sizes: Sizes) -> Callable[[Any], Any]:
    """Return a layer with one channel and weights and bias of 1, as a function from (batch, length) to (batch, length_out)."""
    spec = ConvSpec(1, 1, sizes.kernel, sizes.stride, sizes.dilation, 1)
    ones = policy.evolve(weight_init="ones", bias_init="ones", random_stream="numpy")
    backend: Backend = current().get("backend", "numpy")
    layer = backend.layer(LayerRequest(spec, ones, "float64"), ones.start_stream(0), None)
    return lambda data: layer(np.asarray(data, np.float64)[:, None])[:, 0]


def reads(policy: Policy, sizes: Sizes) -> NDArray[np.float64]:
    """Return how often each output reads each sample, as an array (length_out, length)."""
    base = np.arange(1.0, sizes.length + 1)
    output = layer_of(policy, sizes)(np.concatenate([base[None], base + np.eye(sizes.length)]))
    counts: NDArray[np.float64] = (output[1:] - output[:1]).T
    return counts


def causal(policy: Policy, sizes: Sizes) -> None:
    """Check that no output reads a sample after its hop, which ends at ``(output + 1) * stride - 1``.

    `Chain.causality` computes the same from plans.
    """
    if plan_of(policy, sizes) is None:
        return
    for output, row in enumerate(reads(policy, sizes)):
        end = (output + 1) * sizes.stride - 1
        late = np.nonzero(row[end + 1 :])[0] + end + 1
        require(
            not late.size,
            f"declared causal, but output {output} reads sample {late[:1].sum()}, after its own hop, which ends at {end}, for {sizes}; "
            f"remove 'causal' from declares, or read no later sample.",
        )


def length_preserving(policy: Policy, sizes: Sizes) -> None:
    """Check that there are ``ceil(length / stride)`` outputs."""
    plan = refuses(lambda: policy.plan(sizes.kernel, sizes.stride, sizes.dilation, length=sizes.length))
    if plan is None:
        return
    expected = -(-sizes.length // sizes.stride)
    count = layer_of(policy, sizes)(np.ones((1, sizes.length))).shape[1] if plan.length_out else 0
    require(
        count == expected,
        f"declared length-preserving, but has {count} outputs instead of ceil(length / stride) = {expected}, for {sizes}; remove "
        f"'length-preserving' from declares, or pad {'more' if count < expected else 'less'}.",
    )


def linear(policy: Policy, sizes: Sizes) -> None:
    """Check that the output of zeros is zero, and the output of a sum of inputs is the sum of their outputs."""
    if plan_of(policy, sizes) is None:
        return
    layer = layer_of(policy, sizes)
    one, two = np.arange(1.0, sizes.length + 1), np.arange(sizes.length, 0.0, -1) ** 2
    zero, first, second, both = layer([0 * one, one, two, one + two])
    at = np.nonzero(zero)[0]  # includes NaN
    require(
        not at.size,
        f"declared linear, but an input of zeros results in {zero[at][:1].sum():g} at output {at[:1].sum()}, for {sizes}; remove 'linear' "
        f"from declares, or pad with zeros.",
    )
    require(
        bool((both == first + second).all()),
        f"declared linear, but the output of a sum of two inputs is not the sum of their outputs, for {sizes}.",
    )


def static(policy: Policy, sizes: Sizes) -> None:
    """Check that the padding is the same for several input lengths."""
    if refuses(lambda: policy.static_pads(sizes.kernel, sizes.stride, sizes.dilation)) is None:
        return
    plan = plan_of(policy, sizes)
    for length in range(sizes.length + 1, sizes.length + 1 + OTHER_LENGTHS):
        other = plan_of(policy, sizes._replace(length=length))
        if plan is not None and other is not None:
            pads, other_pads = (plan.left, plan.right), (other.left, other.right)
            require(
                pads == other_pads,
                f"declared static, but pads {pads} for {sizes} and {other_pads} for length {length}; set needs_length.",
            )


PROPERTIES: dict[str, Callable[[Policy, Sizes], None]] = {
    "static": static,
    "causal": causal,
    "length-preserving": length_preserving,
    "linear": linear,
}


def declared(policy: Policy) -> list[str]:
    """Return the properties of a policy that follow from the declarations of its rule and mode, and from its bias."""
    rule, modes = policy.part("padding")[0], [mode for mode, _words in policy.modes()]
    properties = {
        "static": not rule.needs_length,
        "causal": "causal" in rule.declares and "causal" in modes[0].declares,
        "length-preserving": "length-preserving" in rule.declares,
        "linear": all("linear" in mode.declares for mode in modes) and not policy.bias,
    }
    return [name for name in PROPERTIES if properties[name]]
