"""A padding rule and a padding mode resolved for one size and one input length: pure integers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from convpolicy import arithmetic
from convpolicy.core.plan import ConvSpec, Plan
from convpolicy.errors import InvalidValueError
from convpolicy.parts.padding import PaddingMode, PaddingRule


def static_pads(
    rule: PaddingRule, arguments: Mapping[str, Any], kernel: int, stride: int, dilation: int
) -> tuple[int, int] | None:
    """Return ``(left, right)`` in samples when every length gets the same, else None; see `Policy.static_pads`."""
    return rule.resolve(kernel, stride, dilation, None, arguments) if rule.is_static(kernel, stride, dilation) else None


def resolve(
    rule: PaddingRule,
    rule_arguments: Mapping[str, Any],
    mode: PaddingMode,
    mode_arguments: Mapping[str, Any],
    spec: ConvSpec,
    length: int,
) -> Plan:
    """Return the plan for checked sizes and an input length in samples; see `Policy.plan`."""
    kernel, stride, dilation = spec.kernel_size, spec.stride, spec.dilation
    left, right = rule.resolve(kernel, stride, dilation, length, rule_arguments)
    before, after = mode.sources(max(left, 0), max(right, 0), length, mode_arguments.get("overflow", "error"))
    return Plan(
        length=length,
        kernel_size=kernel,
        stride=stride,
        dilation=dilation,
        left=left,
        right=right,
        mode=mode.name,
        value=mode_arguments.get("value", 0.0),
        length_out=arithmetic.output_length(length, kernel, stride, dilation, left, right),
        left_sources=tuple(before.tolist()),
        right_sources=tuple(after.tolist()),
    )


def refuse_strided_dilation(policy: str, framework: str, stride: int, dilation: int) -> None:
    """Refuse a stride and a dilation above 1 in one layer, for a policy whose framework refuses them.

    Args:
        policy, framework: names, for the message.
        stride, dilation: in samples.

    Raises:
        InvalidValueError: both are above 1; holds them.
    """
    if stride > 1 and dilation > 1:
        raise InvalidValueError(
            f"stride and dilation must not both be above 1 under policy {policy!r}, as {framework or 'it'} refuses "
            f"them, got {stride} and {dilation}; set one to 1, or give the policy another name with evolve(name=...)."
        )
