"""Names resolved into parts, and a padding rule and a padding mode into a plan for one size and one input length."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, TypeAlias

from convpolicy import arithmetic, registry
from convpolicy.core.plan import MODE_SEPARATOR, ConvSpec, Plan
from convpolicy.errors import InvalidValueError
from convpolicy.parts.choice import Choice
from convpolicy.parts.mode import PaddingMode
from convpolicy.parts.padding import PaddingRule
from convpolicy.parts.side import Side

Mode: TypeAlias = "tuple[PaddingMode, Mapping[str, Any]]"  # with its parameters


@registry.cached(maxsize=256)
def named_part(kind: str, choice: Choice, words: tuple[tuple[str, str], ...] = ()) -> tuple[Any, Mapping[str, Any]]:
    """Return the registered part that a choice names, and its parameters; ``words`` are named beside the parts where it is none."""
    part = registry.current().get(kind, choice.name, [word for word, _rule in words])
    return part, MappingProxyType(part.arguments(choice))


def static_pads(
    rule: PaddingRule, arguments: Mapping[str, Any], kernel: int, stride: int, dilation: int
) -> tuple[int, int] | None:
    """Return ``(left, right)`` in samples when every length gets the same, else None; see `Policy.static_pads`."""
    return rule.resolve(kernel, stride, dilation, None, arguments) if rule.is_static(kernel, stride, dilation) else None


def resolve(rule: PaddingRule, arguments: Mapping[str, Any], modes: tuple[Mode, ...], spec: ConvSpec, length: int) -> Plan:
    """Return the plan for checked sizes and an input length in samples; see `Policy.plan`.

    Args:
        rule, arguments: how many elements, and the rule's parameters.
        modes: what they are: one mode for both sides, or one for each.
        spec, length: sizes.
    """
    kernel, stride, dilation = spec.kernel_size, spec.stride, spec.dilation
    left, right = rule.resolve(kernel, stride, dilation, length, arguments)
    return Plan(
        length=length,
        kernel_size=kernel,
        stride=stride,
        dilation=dilation,
        left=left,
        right=right,
        mode=MODE_SEPARATOR.join(mode.name for mode, _words in modes),
        length_out=arithmetic.output_length(length, kernel, stride, dilation, left, right),
        sides=_sides(modes, (max(left, 0), max(right, 0)), length),
    )


def _sides(modes: tuple[Mode, ...], pads: tuple[int, int], length: int) -> tuple[Side, Side]:
    widest = max(pads) if len(modes) == 1 else None  # one mode reaches for both of its pads together
    (mode, words), (other, other_words) = modes[0], modes[-1]
    return mode.side("left", pads[0], length, words, widest), other.side("right", pads[1], length, other_words, widest)


def check_strided_dilation(policy: Any, stride: int, dilation: int) -> None:
    """Refuse a stride and a dilation above 1 in one layer, for a policy whose framework refuses them.

    Args:
        policy: a `Policy`.
        stride, dilation: in samples.

    Raises:
        InvalidValueError: both are above 1; holds them.
    """
    if not policy.strided_dilation and stride > 1 and dilation > 1:
        raise InvalidValueError(
            f"stride and dilation must not both be above 1 under policy {policy.name!r}, as {policy.framework or 'it'} refuses "
            f"them, got {stride} and {dilation}; set one to 1, or give the policy another name with evolve(name=...)."
        )
