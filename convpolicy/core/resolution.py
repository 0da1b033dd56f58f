"""Resolves names to registered parts, and a padding rule and a padding mode to a plan for one input length."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, TypeAlias

from convpolicy import arithmetic, registry
from convpolicy.arithmetic import SIDES
from convpolicy.core.plan import MODE_SEPARATOR, Plan
from convpolicy.core.spec import ConvSpec
from convpolicy.core.transposed_plan import TransposedPlan
from convpolicy.errors import InvalidValueError
from convpolicy.parts.choice import Choice
from convpolicy.parts.crop import CropRule
from convpolicy.parts.mode import PaddingMode
from convpolicy.parts.padding import PaddingRule
from convpolicy.parts.rule import Rule
from convpolicy.parts.side import Side

OUTPUT_PADDING = "output_padding"  # parameter of a crop rule
Mode: TypeAlias = "tuple[PaddingMode, Mapping[str, Any]]"  # a padding mode and its parameters


@registry.cached(maxsize=256)
def named_part(kind: str, choice: Choice, aliases: tuple[tuple[str, str], ...] = ()) -> tuple[Any, Mapping[str, Any]]:
    """Return the registered part that a choice names, and its parameters.

    Args:
        kind: kind of the part, e.g. ``"padding rule"``.
        choice: the name and the parameters.
        aliases: pairs of a framework's name and a part; an error for an unknown name lists these names, too.
    """
    part = registry.current().get(kind, choice.name, [alias for alias, _part in aliases])
    return part, MappingProxyType(part.arguments(choice))


@registry.cached(maxsize=256)
def mode_choices(choice: Choice) -> tuple[Choice, ...]:
    """Return a choice of a padding mode. If the two sides differ, the result is the choice for the left and for the right.

    Raises:
        InvalidValueError: the mode of one side has itself a mode for each side.
    """
    mode, arguments = named_part("padding mode", choice)
    if not mode.is_per_side:
        return (choice,)
    sides = tuple(Choice.of(side, arguments[side]) for side in SIDES)
    for side, inner in zip(SIDES, sides):
        if named_part("padding mode", inner)[0].is_per_side:
            raise InvalidValueError(
                f"padding_mode {side} must be the mode of one side, got {inner.name!r}, which is a pair of modes; pass the mode of "
                f"this side, such as 'reflect'."
            )
    return sides


def static_pads(rule: Rule, arguments: Mapping[str, Any], kernel: int, stride: int, dilation: int) -> tuple[int, int] | None:
    """Return ``(left, right)`` in samples if the pads are the same for every length, else None; see `Policy.static_pads`."""
    return rule.resolve(kernel, stride, dilation, None, arguments) if rule.is_static(kernel, stride, dilation) else None


def resolve(rule: PaddingRule, arguments: Mapping[str, Any], modes: tuple[Choice, ...], spec: ConvSpec, length: int) -> Plan:
    """Return the plan for one input length; see `Policy.plan`.

    Args:
        rule: the padding rule.
        arguments: the rule's parameters.
        modes: one padding mode for both sides, or one for each side.
        spec: checked sizes.
        length: input length in samples.
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
        mode=MODE_SEPARATOR.join(mode.name for mode in modes),
        length_out=arithmetic.output_length(length, kernel, stride, dilation, left, right),
        sides=_sides(modes, (max(left, 0), max(right, 0)), length),
    )


def resolve_transposed(
    rule: CropRule, arguments: Mapping[str, Any], modes: tuple[Choice, ...], spec: ConvSpec, length: int
) -> TransposedPlan:
    """Return the plan of a transposed convolution for one input length; see `TransposedPolicy.plan`.

    Args:
        rule: the crop rule.
        arguments: the rule's parameters.
        modes: one padding mode.
        spec: checked sizes.
        length: input length in samples.
    """
    kernel, stride, dilation = spec.kernel_size, spec.stride, spec.dilation
    left, right = rule.resolve(kernel, stride, dilation, length, arguments)
    full = arithmetic.full_length(length, kernel, stride, dilation)
    return TransposedPlan(
        length=length,
        kernel_size=kernel,
        stride=stride,
        dilation=dilation,
        left=left,
        right=right,
        mode=modes[0].name,
        length_out=max(full - left - right, 0) if full else 0,
    )


def with_output_padding(choice: Choice, output_padding: Any) -> Choice:
    """Return the choice of a crop rule with a value of its parameter ``output_padding``."""
    return choice.evolve(**{OUTPUT_PADDING: output_padding})


def with_output_size(policy: Any, spec: ConvSpec, length: int, output_size: int) -> Choice:
    """Return the crop rule of a policy with the ``output_padding`` that leads to an output length.

    Args:
        policy: a `TransposedPolicy`.
        spec: checked sizes.
        length: input length in samples.
        output_size: the output length, checked.

    Raises:
        InvalidValueError: the crop rule has no parameter ``output_padding``, ``output_size`` is out of range, or the parameter
            does not lead to this length. The message contains the rule or the range.
    """
    rule: CropRule = policy.part("padding")[0]
    require_output_padding(rule, output_size)
    try:
        first, plan = 0, policy.evolve(padding=with_output_padding(policy.padding, 0)).planned(spec, length)
    except InvalidValueError:  # a rule that refuses an output_padding of 0, such as tensorflow_same
        first = spec.stride - 1
        plan = policy.evolve(padding=with_output_padding(policy.padding, first)).planned(spec, length)
    least = plan.full_length - plan.left - plan.right - first  # below 0 if more is cut than there is
    if not max(least, 0) <= output_size < least + spec.stride:
        if least + spec.stride <= 0:
            raise InvalidValueError(plan.shortage())
        raise InvalidValueError(
            f"output_size must be from {max(least, 0)} to {least + spec.stride - 1} for an input of length {length}, got "
            f"{output_size}; pass one of these or another padding."
        )
    choice = with_output_padding(policy.padding, output_size - least)
    if policy.evolve(padding=choice).planned(spec, length).length_out != output_size:
        raise InvalidValueError(
            f"output_size must be {least} for crop rule {rule.name!r}, whose parameter {OUTPUT_PADDING} does not lengthen this output, "
            f"got {output_size}; use the rule 'explicit'."
        )
    return choice


def require_output_padding(rule: CropRule, output_size: Any) -> None:
    """Refuse an output length for a crop rule without the parameter ``output_padding``.

    Raises:
        InvalidValueError: the rule has no such parameter. The message contains the name of the rule.
    """
    if OUTPUT_PADDING not in rule.params:
        raise InvalidValueError(
            f"output_size must be left out for crop rule {rule.name!r}, which has no parameter {OUTPUT_PADDING}, got {output_size}; "
            f"use the rule 'explicit'."
        )


def _sides(modes: tuple[Choice, ...], pads: tuple[int, int], length: int) -> tuple[Side, Side]:
    widest = max(pads)  # the limit of one mode applies to the wider pad
    if len(modes) > 1 or named_part("padding mode", modes[0])[0].reaches(widest, length):
        widest = 0
    return _side(modes[0], "left", pads[0], length, widest), _side(modes[-1], "right", pads[1], length, widest)


@registry.cached(maxsize=1024)
def _side(choice: Choice, side: str, width: int, length: int, widest: int) -> Side:
    mode, arguments = named_part("padding mode", choice)
    added: Side = mode.side(side, width, length, arguments, max(width, widest))
    return added


def check_sizes(policy: Any, stride: int, dilation: int) -> None:
    """Refuse sizes that the framework of a policy refuses, whatever its padding: a strided dilation, and a long output_padding.

    Args:
        policy: a `Policy` or a `TransposedPolicy`.
        stride, dilation: in samples.

    Raises:
        InvalidValueError: both are above 1, or ``output_padding`` is not below the stride. The message contains them.
    """
    framework = policy.framework or "it"
    if not policy.strided_dilation and stride > 1 and dilation > 1:
        raise InvalidValueError(
            f"stride and dilation must not both be above 1 under policy {policy.name!r}, as {framework} refuses "
            f"them, got {stride} and {dilation}; set one to 1, or give the policy another name with evolve(name=...)."
        )
    if policy.is_transposed and not policy.dilated_output_padding:
        longer = policy.part("padding")[1].get(OUTPUT_PADDING, 0)
        if longer and longer >= stride:
            raise InvalidValueError(
                f"output_padding must be below the stride, {stride}, under policy {policy.name!r}, as {framework} requires for every "
                f"dilation, got {longer}; pass less, or a pair (left, right) as padding."
            )
