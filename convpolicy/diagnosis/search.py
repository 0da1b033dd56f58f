"""The search for changes that make one computation reproduce another: single changes, then pairs, then more."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import TypeAlias

import attrs
import numpy as np

from convpolicy.core.plan import Plan
from convpolicy.core.transposed_plan import TransposedPlan
from convpolicy.diagnosis.causes import candidates, causes_of
from convpolicy.diagnosis.change import Change
from convpolicy.diagnosis.computation import Computation, Target
from convpolicy.diagnosis.crops import other_kind
from convpolicy.diagnosis.weights import computed_in, copied_bias, other_sizes
from convpolicy.diagnosis.windows import padded
from convpolicy.errors import ConvPolicyError

Steps: TypeAlias = tuple[tuple[str, Change], ...]  # pairs of aspect and change, each applied to the result of the previous one

MOST_TRIED = 20_000
MOST_ANSWERS = 8  # explanations kept


@attrs.frozen(eq=False)
class SearchResult:
    """Result of a search.

    Attributes:
        answers: the explanations that fit, with the fewest changes.
        tried: number of computations compared.
        complete: False when the search stopped at `MOST_TRIED`.
    """

    answers: tuple[Steps, ...]
    tried: int
    complete: bool


def search(base: Computation, other: Computation | None, target: Target) -> SearchResult:
    """Find the fewest changes of ``base`` that reproduce the target.

    Args:
        base: the computation to change.
        other: the computation that produced the target, if known. Its settings are tried first, and are tested like all others.
        target: the outputs to reproduce.
    """
    tried, causes = 0, causes_of(base)
    if other is not None and other.capture.spec.transposed != base.capture.spec.transposed:
        kind: Steps = (("layer", other_kind(base, other)),)
        if target.met_by(kind[0][1].result):
            return SearchResult((kind,), 1, complete=True)
        tried, other = 1, None  # its settings are not those of such a layer
    aspects, catch_all = causes.aspects, causes.catch_all
    for steps, names in ((_singles, aspects), (_pairs, aspects), (_singles, catch_all), (_pairs, causes.everything)):
        answers: list[Steps] = []
        for answer in steps(names, base, other, target):
            if tried == MOST_TRIED:
                return SearchResult(tuple(answers), tried, complete=False)
            tried += 1
            if len(answers) < MOST_ANSWERS and target.met_by(answer[-1][1].result):
                answers.append(answer)
        if answers:
            return SearchResult(tuple(_likeliest_first(answers, other)), tried, complete=True)
    several = () if other is None else _several(base, other, target)
    return SearchResult((several,) if several else (), tried, complete=True)


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
    """Sort explanations by the number of settings that then agree with the other layer."""
    if other is None:
        return answers
    return sorted(answers, key=lambda steps: -_agreement(steps[-1][1].result, other))


def _agreement(a: Computation, b: Computation) -> int:
    mine, theirs = a.capture, b.capture
    plans = a.plan, b.plan
    return sum((
        mine.spec == theirs.spec,
        (plans[0].left, plans[0].right) == (plans[1].left, plans[1].right),
        _values_of(plans[0]) == _values_of(plans[1]),
        mine.policy.padding_mode == theirs.policy.padding_mode,
        np.array_equal(mine.weight, theirs.weight),
        _same_bias(mine.bias, theirs.bias),
    ))  # fmt: skip


def _values_of(plan: Plan | TransposedPlan) -> object:
    """Return what the padding of a plan adds, or what happens to cut elements."""
    return plan.sides if isinstance(plan, Plan) else plan.mode


def _same_bias(mine: object, theirs: object) -> bool:
    return (mine is None) == (theirs is None) and (mine is None or np.array_equal(mine, theirs))  # type: ignore[arg-type]


# -- more than two --------------------------------------------------------------------------------------------------------


def _several(base: Computation, other: Computation, target: Target) -> Steps:
    """Copy all settings of the other layer, then leave out those that the target does not need."""
    names = [name for name in COPIED if name in causes_of(base).everything]
    needed = list(names)
    if not _meets(base, other, needed, target):
        return ()
    for name in names:
        fewer = [kept for kept in needed if kept != name]
        if _meets(base, other, fewer, target):
            needed = fewer
    return _copy(base, other, needed)


def _meets(base: Computation, other: Computation, names: list[str], target: Target) -> bool:
    try:
        steps = _copy(base, other, names)
        return bool(steps) and target.met_by(steps[-1][1].result)
    except ConvPolicyError:  # this mixture of the two is not a valid convolution
        return False


def _copy(base: Computation, other: Computation, names: list[str]) -> Steps:
    now = base.evolve(policy=base.capture.policy.evolve(padding=(base.plan.left, base.plan.right)))
    steps: list[tuple[str, Change]] = []
    for name in names:
        change = COPIED[name](now, other)
        steps.append((name, change))
        now = change.result
    return tuple(steps)


def _copied_sizes(now: Computation, other: Computation, names: tuple[str, ...]) -> Change:
    sizes = {name: getattr(other.capture.spec, name) for name in names}
    text = ", ".join(f"{name}={value} instead of {getattr(now.capture.spec, name)}" for name, value in sizes.items())
    return Change(text, now.evolve(**sizes))


def _copied_weight(now: Computation, other: Computation) -> Change:
    same = now.capture.weight.shape == other.capture.weight.shape
    return Change("load the other's weight", now.evolve(weight=other.capture.weight) if same else now)


def _copied_mode(now: Computation, other: Computation) -> Change:
    mine, theirs = now.capture.policy, other.capture.policy
    changed = now.evolve(policy=mine.evolve(padding_mode=theirs.padding_mode))
    return Change(f"padding_mode={str(theirs.padding_mode)!r} instead of {str(mine.padding_mode)!r}", changed)


def _copied_pads(now: Computation, other: Computation) -> Change:
    return padded(now, None, (other.plan.left, other.plan.right))


# Aspect -> function that copies the setting of the other layer.
COPIED: dict[str, Callable[[Computation, Computation], Change]] = {
    "kernel_size and groups": lambda now, other: next(other_sizes(now, other), Change("", now)),
    "initial weights": _copied_weight,
    "stride": partial(_copied_sizes, names=("stride",)),
    "dilation": partial(_copied_sizes, names=("dilation",)),
    "total": _copied_pads,
    "cut total": _copied_pads,
    "padding mode": _copied_mode,
    "bias": copied_bias,
    "precision": lambda now, other: computed_in(now, other.capture.dtype),
}
