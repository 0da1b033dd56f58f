"""Measure what every output reads, and check the properties that rules and modes declare.

Each property is measured on layers of the NumPy backend. Their weights are 1 and their inputs are small integers, so that every
difference is exact.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convpolicy.core.layer_policy import LayerPolicy
from convpolicy.core.spec import ConvSpec
from convpolicy.layers.backend import Backend, LayerRequest
from convpolicy.registry import current
from convpolicy.testing.common import Sizes, refuses, require

OTHER_LENGTHS = 5  # number of further input lengths at which a static rule is compared


def plan_of(policy: LayerPolicy, sizes: Sizes) -> Any:
    """Return the plan, or None if the policy refuses these sizes or there is no output."""
    plan = refuses(lambda: policy.plan(sizes.kernel, sizes.stride, sizes.dilation, length=sizes.length))
    return plan if plan is not None and plan.length_out else None


def layer_of(policy: LayerPolicy, sizes: Sizes) -> Callable[[Any], Any]:
    """Return a layer with one channel and weights and bias of 1, as a function from (batch, length) to (batch, length_out)."""
    spec = ConvSpec(1, 1, sizes.kernel, sizes.stride, sizes.dilation, 1, policy.is_transposed)
    ones = policy.evolve(weight_init="ones", bias_init="ones", random_stream="numpy")
    backend: Backend = current().get("backend", "numpy")
    layer = backend.layer(LayerRequest(spec, ones, "float64"), ones.start_stream(0), None)
    return lambda data: layer(np.asarray(data, np.float64)[:, None])[:, 0]


def reads(policy: LayerPolicy, sizes: Sizes) -> NDArray[np.float64]:
    """Return how often each output reads each sample, as an array (length_out, length)."""
    base = np.arange(1.0, sizes.length + 1)
    output = layer_of(policy, sizes)(np.concatenate([base[None], base + np.eye(sizes.length)]))
    counts: NDArray[np.float64] = (output[1:] - output[:1]).T
    return counts


def causal(policy: LayerPolicy, sizes: Sizes) -> None:
    """Check that no output reads a sample after its hop.

    The hop ends at ``(output + 1) * stride - 1``, in a transposed convolution at ``output // stride``.
    `Chain.causality` computes the same from plans.
    """
    if plan_of(policy, sizes) is None:
        return
    for output, row in enumerate(reads(policy, sizes)):
        end = output // sizes.stride if policy.is_transposed else (output + 1) * sizes.stride - 1
        late = np.nonzero(row[end + 1 :])[0] + end + 1
        require(
            not late.size,
            f"declared causal, but output {output} reads sample {late[:1].sum()}, after its own hop, which ends at {end}, for {sizes}; "
            f"remove 'causal' from declares, or read no later sample.",
        )


def length_preserving(policy: LayerPolicy, sizes: Sizes) -> None:
    """Check that there are ``ceil(length / stride)`` outputs."""
    fixes = {True: "pad more", False: "pad less"}
    _count(policy, sizes, "length-preserving", "ceil(length / stride)", -(-sizes.length // sizes.stride), fixes)


def length_multiplying(policy: LayerPolicy, sizes: Sizes) -> None:
    """Check that there are ``length * stride`` outputs."""
    fixes = {True: "cut less", False: "cut more"}
    _count(policy, sizes, "length-multiplying", "length * stride", sizes.length * sizes.stride, fixes)


def _count(policy: LayerPolicy, sizes: Sizes, name: str, formula: str, expected: int, fixes: dict[bool, str]) -> None:
    plan = refuses(lambda: policy.plan(sizes.kernel, sizes.stride, sizes.dilation, length=sizes.length))
    if plan is None:
        return
    count = layer_of(policy, sizes)(np.ones((1, sizes.length))).shape[1] if plan.length_out else 0
    require(
        count == expected,
        f"declared {name}, but has {count} outputs instead of {formula} = {expected}, for {sizes}; remove "
        f"{name!r} from declares, or {fixes[count < expected]}.",
    )


def linear(policy: LayerPolicy, sizes: Sizes) -> None:
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


def static(policy: LayerPolicy, sizes: Sizes) -> None:
    """Check that the padding, or what is cut, is the same for several input lengths."""
    if refuses(lambda: policy.static_pads(sizes.kernel, sizes.stride, sizes.dilation)) is None:
        return
    plan = plan_of(policy, sizes)
    for length in range(sizes.length + 1, sizes.length + 1 + OTHER_LENGTHS):
        other = plan_of(policy, sizes._replace(length=length))
        if plan is not None and other is not None:
            pads, other_pads = (plan.left, plan.right), (other.left, other.right)
            require(
                pads == other_pads,
                f"declared static, but {'cuts' if policy.is_transposed else 'pads'} {pads} for {sizes} and {other_pads} for length {length}; set needs_length.",
            )


PROPERTIES: dict[str, Callable[[LayerPolicy, Sizes], None]] = {
    "static": static,
    "causal": causal,
    "length-preserving": length_preserving,
    "length-multiplying": length_multiplying,
    "linear": linear,
}


def declared(policy: LayerPolicy) -> list[str]:
    """Return the properties of a policy that follow from the declarations of its rule and mode, and from its bias."""
    rule, modes = policy.part("padding")[0], [mode for mode, _words in policy.modes()]
    properties = {
        "static": not rule.needs_length,
        "causal": "causal" in rule.declares and "causal" in modes[0].declares,
        **{name: name in rule.declares for name in ("length-preserving", "length-multiplying")},
        "linear": all("linear" in mode.declares for mode in modes) and not policy.bias,
    }
    return [name for name in PROPERTIES if properties[name]]
