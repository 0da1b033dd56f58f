"""Changes of what a transposed convolution cuts from its full result."""

from __future__ import annotations

from typing import Any

from convpolicy.core.resolution import OUTPUT_PADDING, with_output_padding
from convpolicy.core.transposed_plan import MODES, TransposedPlan
from convpolicy.diagnosis.change import Candidates, Change
from convpolicy.diagnosis.computation import Computation, Target
from convpolicy.diagnosis.windows import MOST_SHIFTS, in_code, padded


def _plan(now: Computation) -> TransposedPlan:
    assert isinstance(now.plan, TransposedPlan)
    return now.plan


def _needed(now: Computation, target: Target) -> int:
    """Return the number of elements to cut in total, so that the output has the target's length."""
    return _plan(now).full_length - target.output.shape[2]


def output_paddings(now: Computation, other: Computation | None, target: Target) -> Candidates:
    """Change the parameter output_padding of the crop rule so that the output has the target's length."""
    policy, plan = now.capture.policy, _plan(now)
    here, missing = _output_padding(now), target.output.shape[2] - plan.length_out
    if here is None or not missing or here + missing < 0 or plan.left != plan.right + here:
        return  # a pair of different numbers is written without output_padding
    if other is not None and _output_padding(other) in (None, here):
        return
    text = f"output_padding={here + missing} instead of {here}"
    zeros = missing - max(plan.right, 0)
    changed = now.evolve(policy=policy.evolve(padding=with_output_padding(policy.padding, here + missing)))
    yield Change(f"{text}, which appends {_zeros(zeros)} at the end" if zeros > 0 else text, changed)


def _output_padding(computation: Computation) -> Any:
    """Return the value of the crop rule's parameter output_padding, or None if the rule has no such parameter."""
    _rule, arguments = computation.capture.policy.part("padding")
    return arguments.get(OUTPUT_PADDING)


def _zeros(count: int) -> str:
    return f"{count} zero{'s' * (count > 1)}"


def appended_zeros(now: Computation, other: Computation | None, target: Target) -> Candidates:
    """Append zeros, or fewer zeros."""
    plan, total = _plan(now), _needed(now, target)
    ends = [(plan.left, total - plan.left), (total - plan.right, plan.right), (0, total), (total, 0)]
    for cuts in dict.fromkeys(ends):
        appended = tuple(max(-cut, 0) for cut in cuts)
        if appended != plan.appended and total != plan.left + plan.right:
            counts = [f"{_zeros(count)} at the {end}" for count, end in zip(appended, ("start", "end")) if count]
            change = padded(now, other, cuts)
            yield Change(f"append {' and '.join(counts) or 'no zeros'}, {change.text}", change.result)


def amounts(now: Computation, other: Computation | None, target: Target) -> Candidates:
    """Cut what the target's output length requires, on one side or split evenly."""
    (left, right), total = (_plan(now).left, _plan(now).right), _needed(now, target)
    if total == left + right:
        return
    ends = [] if other is None else [(other.plan.left, other.plan.right)]
    ends += [(left, total - left), (total - right, right), (total // 2, total - total // 2), (total - total // 2, total // 2)]
    ends += [(0, total), (total, 0)]
    for cuts in dict.fromkeys(ends):
        if sum(cuts) == total and tuple(max(-cut, 0) for cut in cuts) == _plan(now).appended:
            yield padded(now, other, cuts)


def sides(now: Computation, other: Computation | None, target: Target) -> Candidates:
    """Exchange what is cut on the two sides."""
    plan = _plan(now)
    if plan.left != plan.right:
        yield padded(now, other, (plan.right, plan.left))


def splits(now: Computation, other: Computation | None, target: Target) -> Candidates:
    """Cut as much in total, split differently between the two sides."""
    plan = _plan(now)
    total, near = plan.left + plan.right, range(plan.left - 2 * plan.stride, plan.left + 2 * plan.stride + 1)
    likely = [] if other is None else [other.plan.left]
    likely += [total // 2, total - total // 2, 0, total, *near, *(range(total + 1) if total <= MOST_SHIFTS else ())]
    for start in dict.fromkeys(likely):
        known = other is not None and (start, total - start) == (other.plan.left, other.plan.right)
        if start not in (plan.left, plan.right) and (known or min(start, total - start) >= min(total, 0)):
            yield padded(now, other, (start, total - start))


def modes(now: Computation, other: Computation | None, target: Target) -> Candidates:
    """Add what is cut to the other end, or drop it."""
    policy, plan = now.capture.policy, _plan(now)
    for mode in MODES if any(plan.cut) else ():
        if mode != plan.mode:
            yield Change(f"padding_mode={mode!r} instead of {plan.mode!r}", now.evolve(policy=policy.evolve(padding_mode=mode)))


def other_kind(now: Computation, other: Computation) -> Change:
    """Use the other kind of layer, with all settings of the other layer."""
    spec, policy = other.capture.spec, other.capture.policy
    sizes = [str(size) for size in (spec.in_channels, spec.out_channels, spec.kernel_size)]
    options = [f"{name}={getattr(spec, name)}" for name in ("stride", "dilation", "groups") if getattr(spec, name) != 1]
    cuts = (other.plan.left, other.plan.right)
    options += [f"padding={cuts}"] * any(cuts) + [f"padding_mode={in_code(policy.padding_mode)}"] * (other.plan.mode != MODES[0])
    names = [("Conv1d", "ConvTranspose1d")[capture.spec.transposed] for capture in (other.capture, now.capture)]
    bias = ", bias=False" if other.capture.bias is None else ""
    values = "weight" if other.capture.bias is None else "weight and bias"
    text = f"use {names[0]}({', '.join(sizes + options)}{bias}) instead of {names[1]}, and load the other's {values}"
    return Change(text, Computation(other.capture, now.data, other.prepare, other.activation))
