"""The receptive-field probe: what every output really reads, found by changing one input after another; and what may be declared.

A property is not believed: each check below measures it on layers of the NumPy backend, whose weights are 1 and whose numbers
are small integers, so that every difference is exact.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convpolicy.core.plan import ConvSpec, Plan
from convpolicy.core.policy import Policy
from convpolicy.layers.backend import Backend, LayerRequest
from convpolicy.registry import current
from convpolicy.testing.common import Sizes, refuses, require

OTHER_LENGTHS = 5  # static means: the same pads for the lengths next to one


def plan_of(policy: Policy, sizes: Sizes) -> Plan | None:
    """Return the plan, or None where the policy refuses these sizes or no window fits."""
    plan: Plan | None = refuses(lambda: policy.plan(sizes.kernel, sizes.stride, sizes.dilation, length=sizes.length))
    return plan if plan is not None and plan.length_out else None


def layer_of(policy: Policy, sizes: Sizes) -> Callable[[Any], Any]:
    """Return a layer of one channel whose weights and bias are 1, as a function of (batch, length) to (batch, length_out)."""
    spec = ConvSpec(1, 1, sizes.kernel, sizes.stride, sizes.dilation, 1)
    ones = policy.evolve(weight_init="ones", bias_init="ones", random_stream="numpy")
    backend: Backend = current().get("backend", "numpy")
    layer = backend.layer(LayerRequest(spec, ones, "float64"), ones.start_stream(0), None)
    return lambda data: layer(np.asarray(data, np.float64)[:, None])[:, 0]


def reads(policy: Policy, sizes: Sizes) -> NDArray[np.float64]:
    """Return (length_out, length): how often each output reads each sample."""
    base = np.arange(1.0, sizes.length + 1)
    output = layer_of(policy, sizes)(np.concatenate([base[None], base + np.eye(sizes.length)]))
    found: NDArray[np.float64] = (output[1:] - output[:1]).T
    return found


def causal(policy: Policy, sizes: Sizes) -> None:
    """No output reads a sample after its own hop, which ends at ``(output + 1) * stride - 1``; see `convpolicy.layers.causality`."""
    if plan_of(policy, sizes) is None:
        return
    for output, row in enumerate(reads(policy, sizes)):
        end = (output + 1) * sizes.stride - 1
        late = np.nonzero(row[end + 1 :])[0] + end + 1
        require(
            not late.size,
            f"declared causal, but output {output} reads sample {late[:1].sum()}, after its own hop, which ends at {end}, for {sizes}; "
            f"take 'causal' out of declares, or let it read nothing later.",
        )


def length_preserving(policy: Policy, sizes: Sizes) -> None:
    """There are ``ceil(length / stride)`` outputs."""
    plan = refuses(lambda: policy.plan(sizes.kernel, sizes.stride, sizes.dilation, length=sizes.length))
    if plan is None:
        return
    wanted = -(-sizes.length // sizes.stride)
    found = layer_of(policy, sizes)(np.ones((1, sizes.length))).shape[1] if plan.length_out else 0
    require(
        found == wanted,
        f"declared length-preserving, but gives {found} outputs in place of ceil(length / stride) = {wanted}, for {sizes}; take "
        f"'length-preserving' out of declares, or pad {'more' if found < wanted else 'less'}.",
    )


def linear(policy: Policy, sizes: Sizes) -> None:
    """Zeros give zeros, and the sum of two inputs the sum of their outputs."""
    if plan_of(policy, sizes) is None:
        return
    layer = layer_of(policy, sizes)
    one, two = np.arange(1.0, sizes.length + 1), np.arange(sizes.length, 0.0, -1) ** 2
    zero, first, second, both = layer([0 * one, one, two, one + two])
    at = np.nonzero(zero)[0]  # a NaN is not zero
    require(
        not at.size,
        f"declared linear, but an input of zeros gives {zero[at][:1].sum():g} at output {at[:1].sum()}, for {sizes}; take 'linear' "
        f"out of declares, or pad with zeros.",
    )
    require(
        bool((both == first + second).all()),
        f"declared linear, but the output of a sum of two inputs is not the sum of their outputs, for {sizes}.",
    )


def static(policy: Policy, sizes: Sizes) -> None:
    """Every length gets the same pads."""
    if refuses(lambda: policy.static_pads(sizes.kernel, sizes.stride, sizes.dilation)) is None:
        return
    plan = plan_of(policy, sizes)
    for length in range(sizes.length + 1, sizes.length + 1 + OTHER_LENGTHS):
        other = plan_of(policy, sizes._replace(length=length))
        if plan is not None and other is not None:
            found, then = (plan.left, plan.right), (other.left, other.right)
            require(
                found == then, f"declared static, but pads {found} for {sizes} and {then} for length {length}; set needs_length."
            )


PROPERTIES: dict[str, Callable[[Policy, Sizes], None]] = {
    "static": static,
    "causal": causal,
    "length-preserving": length_preserving,
    "linear": linear,
}


def declared(policy: Policy) -> list[str]:
    """Return the properties that a policy has by what its rule and its mode declare, and by having no bias."""
    rule, modes = policy.part("padding")[0], [mode for mode, _words in policy.modes()]
    found = {
        "static": not rule.needs_length,
        "causal": "causal" in rule.declares and "causal" in modes[0].declares,
        "length-preserving": "length-preserving" in rule.declares,
        "linear": all("linear" in mode.declares for mode in modes) and not policy.bias,
    }
    return [name for name in PROPERTIES if found[name]]
