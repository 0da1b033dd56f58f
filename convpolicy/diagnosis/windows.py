"""Changes of stride, dilation, padding and padding mode."""

from __future__ import annotations

from typing import Any

import numpy as np

from convpolicy import registry
from convpolicy.arithmetic import effective_kernel, full_length, output_length, split
from convpolicy.diagnosis.change import Candidates, Change
from convpolicy.diagnosis.computation import Computation, Target
from convpolicy.errors import ConvPolicyError
from convpolicy.parts.choice import Choice
from convpolicy.parts.mode import OVERFLOW


def _pads(now: Computation) -> tuple[int, int]:
    return now.plan.left, now.plan.right


def padded(now: Computation, other: Computation | None, pads: tuple[int, int]) -> Change:
    """Return the change to other pads, named by the other's padding rule if that rule gives them."""
    padding: Any = pads
    plan = now.plan
    if other is not None:
        by_rule = now.evolve(policy=now.capture.policy.evolve(padding=other.capture.policy.padding))
        try:
            padding = other.capture.policy.padding if _pads(by_rule) == pads else pads
        except ConvPolicyError:
            padding = pads
    name = "" if isinstance(padding, tuple) or padding.name == "explicit" else f" (rule {padding})"
    text = f"padding={pads} instead of {(plan.left, plan.right)}{name}"
    return Change(text, now.evolve(policy=now.capture.policy.evolve(padding=padding)))


SMALL = 8  # strides and dilations up to this are always tried, since padding may compensate for another length


def _sizes(field: str, now: Computation, other: Computation | None, target: Target) -> Candidates:
    here = getattr(now.capture.spec, field)
    pads = _pads(now)
    explicit = now.capture.policy.evolve(padding=pads)
    first = [] if other is None else [getattr(other.capture.spec, field)]
    for value in dict.fromkeys((*first, *range(1, SMALL + 1), *_fitting(field, now, target))):
        if value == here:
            continue
        text = f"{field}={value} instead of {here}"
        by_rule = now.evolve(**{field: value})
        same_pads = now.evolve(**{field: value}, policy=explicit)
        try:
            new_pads = _pads(by_rule)
        except ConvPolicyError:
            new_pads = pads
        if new_pads != pads:
            yield Change(f"{text}, which makes padding={new_pads}", by_rule)
            text += f", with padding={pads}"
        yield Change(text, same_pads if new_pads != pads else by_rule)


def _fitting(field: str, now: Computation, target: Target) -> list[int]:
    """Return the values above `SMALL` that give the target's output length with the present pads."""
    plan, length = now.plan, target.output.shape[2]
    sizes = {"kernel": plan.kernel_size, "stride": plan.stride, "dilation": plan.dilation}
    added = plan.left + plan.right
    if now.capture.spec.transposed:
        values = range(SMALL + 1, length + max(added, 0) + 1)
        return [value for value in values if full_length(plan.length, **sizes | {field: value}) - added == length]
    pads = {"left": plan.left, "right": plan.right}
    values = range(SMALL + 1, plan.length + added + 1)
    return [value for value in values if output_length(plan.length, **sizes | pads | {field: value}) == length]


def strides(now: Computation, other: Computation | None, target: Target) -> Candidates:
    """Try every stride that could give the target's output length."""
    yield from _sizes("stride", now, other, target)


def dilations(now: Computation, other: Computation | None, target: Target) -> Candidates:
    """Try every dilation that could give the target's output length."""
    if now.capture.spec.kernel_size > 1:
        yield from _sizes("dilation", now, other, target)


def totals(now: Computation, other: Computation | None, target: Target) -> Candidates:
    """Try every amount of padding that leads to the target's output length, on one side or split evenly as now."""
    spec, length, (left, right) = now.capture.spec, now.data.shape[2], _pads(now)
    least = (target.output.shape[2] - 1) * spec.stride + effective_kernel(spec.kernel_size, spec.dilation) - length
    even = abs(left - right) <= 1
    sides = ("left", "right") if left == right else ("left",) if left > right else ("right",)
    choices: dict[tuple[int, int], None] = {}
    for total in range(max(least, 0), max(least + spec.stride, 0)):
        if even:
            choices |= dict.fromkeys(split(total, side) for side in sides[::-1])
        choices |= dict.fromkeys(pads for pads in ((left, total - left), (total - right, right)) if min(pads) >= 0)
    for pads in choices:
        if sum(pads) != left + right:
            yield padded(now, other, pads)


def odd_sides(now: Computation, other: Computation | None, target: Target) -> Candidates:
    """Move the extra sample of an odd amount of padding to the other side."""
    left, right = _pads(now)
    if abs(left - right) == 1:
        yield padded(now, other, (right, left))


MOST_SHIFTS = 64  # up to this amount of padding every split is tried, beyond it only likely ones


def shifts(now: Computation, other: Computation | None, target: Target, *, strided: bool) -> Candidates:
    """Split the same amount of padding differently between the two sides."""
    (left, right), stride = _pads(now), now.capture.spec.stride
    if (stride > 1) != strided:
        return
    total = left + right
    near = [left + step for step in range(-2 * stride, 2 * stride + 1)]
    likely = [total // 2, total - total // 2, 0, total, *near, *(range(total + 1) if total <= MOST_SHIFTS else ())]
    if other is not None:
        likely.insert(0, other.plan.left)
    for start in dict.fromkeys(likely):
        if 0 <= start <= total and start != left and not (start == right and abs(left - right) == 1):
            yield padded(now, other, (start, total - start))


# -- values of the padding ------------------------------------------------------------------------------------------------


def padding_modes(now: Computation, other: Computation | None, target: Target) -> Candidates:
    """Try every registered padding mode, with every overflow rule if the padding is wider than its limit, and a fitted constant."""
    if not any(_pads(now)):
        return
    policy, pads, length = now.capture.policy, _pads(now), now.data.shape[2]
    choices = [] if other is None else [other.capture.policy.padding_mode]
    for name, mode in registry.current().parts("padding mode").items():
        if mode.is_per_side:  # its two modes are not known, except those of the other layer, which is tried first
            continue
        wide = mode.limit is not None and mode.limit(length) < max(pads)
        choices += [Choice(name, overflow=overflow) for overflow in OVERFLOW] if wide else [Choice(name)]
    for choice in dict.fromkeys(choices):
        if choice != policy.padding_mode:
            text = f"padding_mode={in_code(choice)} instead of {in_code(policy.padding_mode)}"
            yield Change(text, now.evolve(policy=policy.evolve(padding_mode=choice)))
    yield from _constants(now, target)


def in_code(choice: Choice) -> str:
    """Return a padding mode as a caller writes it: its name, or the Choice if it has parameters."""
    return repr(choice) if choice.params else repr(choice.name)


def _constants(now: Computation, target: Target) -> Candidates:
    """Try the constant that fits best, first rounded to four digits; the outputs are linear in it."""
    policy = now.capture.policy
    by_value = [now.evolve(policy=policy.evolve(padding_mode=Choice("constant", value=value))) for value in (0.0, 1.0)]
    if now.plan.length_out != target.output.shape[2]:
        return
    grid = target.probes[0]
    zero, one = (computation.at(grid).output for computation in by_value)
    slope = one - zero
    if not slope.any():
        return
    fitted = float(((grid.of(target.output) - zero) * slope).sum() / (slope**2).sum())
    for value in dict.fromkeys((float(f"{fitted:.4g}"), float(np.float32(fitted)))):
        choice = Choice("constant", value=value)
        text = f"padding_mode={in_code(choice)} instead of {in_code(policy.padding_mode)}"
        yield Change(text, now.evolve(policy=policy.evolve(padding_mode=choice)))
