"""Which changes make one computation give the outputs of another: one at a time, then two together, then what remains."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import TypeAlias

import attrs
import numpy as np

from convpolicy.diagnosis.causes import ASPECTS, CATCH_ALL, EVERYTHING, candidates
from convpolicy.diagnosis.change import Change
from convpolicy.diagnosis.computation import Computation, Target
from convpolicy.diagnosis.weights import computed_in, other_sizes, with_bias
from convpolicy.diagnosis.windows import padded
from convpolicy.errors import ConvPolicyError

Steps: TypeAlias = tuple[tuple[str, Change], ...]  # aspect and change, each applied to what the one before gave

MOST_TRIED = 20_000
MOST_ANSWERS = 8  # explanations kept


@attrs.frozen(eq=False)
class Found:
    """What a search gave.

    Attributes:
        answers: explanations that fit, of as few changes as possible.
        tried: number of computations compared.
        complete: False when it stopped at `MOST_TRIED`.
    """

    answers: tuple[Steps, ...]
    tried: int
    complete: bool


def search(base: Computation, other: Computation | None, target: Target) -> Found:
    """Find the fewest changes of ``base`` that meet the target.

    Args:
        base: what is changed.
        other: the computation that gave the target, where it is known; what it holds is tried first, and like all else by trying.
        target: outputs to be met.
    """
    tried = 0
    for steps, aspects in ((_singles, ASPECTS), (_pairs, ASPECTS), (_singles, CATCH_ALL), (_pairs, EVERYTHING)):
        answers: list[Steps] = []
        for answer in steps(aspects, base, other, target):
            if tried == MOST_TRIED:
                return Found(tuple(answers), tried, complete=False)
            tried += 1
            if len(answers) < MOST_ANSWERS and target.met_by(answer[-1][1].result):
                answers.append(answer)
        if answers:
            return Found(tuple(_likeliest_first(answers, other)), tried, complete=True)
    several = () if other is None else _several(base, other, target)
    return Found((several,) if several else (), tried, complete=True)


def _singles(aspects: Iterable[str], base: Computation, other: Computation | None, target: Target) -> Iterator[Steps]:
    for step in candidates(aspects, base, other, target):
        yield (step,)


def _pairs(aspects: Iterable[str], base: Computation, other: Computation | None, target: Target) -> Iterator[Steps]:
    names = tuple(aspects)
    for number, aspect in enumerate(names):
        for first in candidates((aspect,), base, other, target):
            for second in candidates(names[number + 1 :], first[1].result, other, target):
                yield first, second


def _likeliest_first(answers: list[Steps], other: Computation | None) -> list[Steps]:
    """Put first what then agrees with the other layer in most."""
    if other is None:
        return answers
    return sorted(answers, key=lambda steps: -_agreement(steps[-1][1].result, other))


def _agreement(a: Computation, b: Computation) -> int:
    mine, theirs = a.capture, b.capture
    plans = a.plan, b.plan
    return sum((
        mine.spec == theirs.spec,
        (plans[0].left, plans[0].right) == (plans[1].left, plans[1].right),
        plans[0].sides == plans[1].sides,
        mine.policy.padding_mode == theirs.policy.padding_mode,
        np.array_equal(mine.weight, theirs.weight),
        _same_bias(mine.bias, theirs.bias),
    ))  # fmt: skip


def _same_bias(mine: object, theirs: object) -> bool:
    return (mine is None) == (theirs is None) and (mine is None or np.array_equal(mine, theirs))  # type: ignore[arg-type]


# -- more than two --------------------------------------------------------------------------------------------------------


def _several(base: Computation, other: Computation, target: Target) -> Steps:
    """Return the fewest of the other's properties that meet the target together: all of them, less those not needed."""
    needed = list(TAKEN)
    if not _meets(base, other, needed, target):
        return ()
    for name in TAKEN:
        fewer = [kept for kept in needed if kept != name]
        if _meets(base, other, fewer, target):
            needed = fewer
    return _take(base, other, needed)


def _meets(base: Computation, other: Computation, names: list[str], target: Target) -> bool:
    try:
        steps = _take(base, other, names)
        return bool(steps) and target.met_by(steps[-1][1].result)
    except ConvPolicyError:  # this mixture of the two is no convolution
        return False


def _take(base: Computation, other: Computation, names: list[str]) -> Steps:
    now = base.evolve(policy=base.capture.policy.evolve(padding=(base.plan.left, base.plan.right)))
    steps: list[tuple[str, Change]] = []
    for name in names:
        change = TAKEN[name](now, other)
        steps.append((name, change))
        now = change.result
    return tuple(steps)


def _taken_sizes(now: Computation, other: Computation, names: tuple[str, ...]) -> Change:
    sizes = {name: getattr(other.capture.spec, name) for name in names}
    text = ", ".join(f"{name}={value} instead of {getattr(now.capture.spec, name)}" for name, value in sizes.items())
    return Change(text, now.evolve(**sizes))


def _taken_weight(now: Computation, other: Computation) -> Change:
    same = now.capture.weight.shape == other.capture.weight.shape
    return Change("take the other's weight", now.evolve(weight=other.capture.weight) if same else now)


def _taken_mode(now: Computation, other: Computation) -> Change:
    mine, theirs = now.capture.policy, other.capture.policy
    changed = now.evolve(policy=mine.evolve(padding_mode=theirs.padding_mode))
    return Change(f"padding_mode={theirs.padding_mode} instead of {mine.padding_mode}", changed)


TAKEN: dict[str, Callable[[Computation, Computation], Change]] = {
    "kernel_size and groups": lambda now, other: next(other_sizes(now, other), Change("", now)),
    "initial weights": _taken_weight,
    "stride": partial(_taken_sizes, names=("stride",)),
    "dilation": partial(_taken_sizes, names=("dilation",)),
    "total": lambda now, other: padded(now, None, (other.plan.left, other.plan.right)),
    "padding mode": _taken_mode,
    "bias": lambda now, other: Change("take the other's bias", with_bias(now, other.capture.bias)),
    "precision": lambda now, other: computed_in(now, other.capture.dtype),
}
