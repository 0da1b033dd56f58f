"""A policy resolved for one size and one input length: pure integers."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from convpolicy import arithmetic
from convpolicy.errors import InvalidValueError
from convpolicy.padding import PaddingMode, PaddingRule
from convpolicy.plan import ConvSpec, Plan

if TYPE_CHECKING:
    from convpolicy.policy import Policy


def static_pads(policy: Policy, kernel: int, stride: int, dilation: int) -> tuple[int, int] | None:
    """Return ``(left, right)`` in samples when every length gets the same, else None; see `Policy.static_pads`."""
    _refuse_strided_dilation(policy, stride, dilation)
    rule: PaddingRule
    rule, arguments = policy.part("padding")
    if not rule.is_static(kernel, stride, dilation):
        return None
    return rule.resolve(kernel, stride, dilation, None, arguments)


@lru_cache(maxsize=1024)
def resolve(policy: Policy, spec: ConvSpec, length: int, _generation: int) -> Plan:
    """Return the plan for checked sizes; kept for as long as no plugin comes or goes, see `Policy.plan`."""
    rule: PaddingRule
    mode: PaddingMode
    rule, rule_arguments = policy.part("padding")
    mode, mode_arguments = policy.part("padding_mode")
    kernel, stride, dilation = spec.kernel_size, spec.stride, spec.dilation
    _refuse_strided_dilation(policy, stride, dilation)
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


def _refuse_strided_dilation(policy: Policy, stride: int, dilation: int) -> None:
    if stride > 1 and dilation > 1 and not policy.strided_dilation:
        raise InvalidValueError(
            f"stride and dilation must not both be above 1 under policy {policy.name!r}, as {policy.framework or 'it'} refuses "
            f"them, got {stride} and {dilation}; set one to 1, or give the policy another name with evolve(name=...)."
        )
