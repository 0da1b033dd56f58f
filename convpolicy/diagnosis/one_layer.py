"""`why_layers`: the smallest change that makes one layer reproduce the output of another, found by trying changes."""

from __future__ import annotations

from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from convpolicy.core.plan import Plan
from convpolicy.core.transposed_plan import TransposedPlan
from convpolicy.diagnosis.change import Change
from convpolicy.diagnosis.computation import Computation, Grid, Target
from convpolicy.diagnosis.kernels import Doubles
from convpolicy.diagnosis.observation import Observation, Side, check_input, dtype_of, observe
from convpolicy.diagnosis.report import EQUAL, Alternative, Cause, Diagnosis, Difference, counted
from convpolicy.diagnosis.search import SearchResult, Steps, search
from convpolicy.errors import ConvPolicyError, InvalidTypeError, InvalidValueError

EDGE, ABOUT = 4, 2  # positions probed at each end, and on each side of an interesting position
MANY = 16  # channels of the second probe
PADDING_TEXT = ("only in windows that read padding", "also in windows that read no padding")
ENDS_TEXT = ("only at the ends, which fewer samples reach", "also between the ends, which fewer samples reach")
LONGER = (0, 1, 2, 3, 5, 8)  # samples added to the length of x in search of an input on which two explanations differ


def why_layers(a: Any, b: Any, x: Any) -> Diagnosis:
    """Find the smallest change that makes one layer reproduce the output of another; see `convpolicy.why`."""
    dtype, x = dtype_of(x), check_input(x)
    layers = Side.of("a", a), Side.of("b", b)
    if layers[0].capture is None and layers[1].capture is None:
        raise _nothing_to_try(layers[0].reason, layers[1].reason)
    sides = observe(layers[0], x, dtype), observe(layers[1], x, dtype)
    base, goal = sides if sides[0].computation is not None else sides[::-1]
    if base.computation is None or base.values is None:
        raise _nothing_to_try(sides[0].reason, sides[1].reason)
    notes = tuple(side.note for side in sides if side.note)
    readings = _readings(base, goal)
    first = readings[0][1]
    bound = _bound(base, goal, first)
    differences = _differences(base, goal, first, bound)
    if first.shape == base.output.shape and not readings[0][0] and (np.abs(base.output - first) <= bound).all():
        verdict = EQUAL[differences[1] is not None]
        return Diagnosis(verdict, largest_difference=differences[1], notes=notes)
    result, answers = SearchResult((), 0, complete=True), list[Steps]()
    for prefix, output in readings:
        result, answers = _explained(base, goal, prefix, output)
        if answers:
            break
    if not result.complete:
        notes += (f"the search stopped after {result.tried} changes; other explanations may fit.",)
    diagnosis = Diagnosis(
        verdict=counted(0),
        first_difference=differences[0],
        largest_difference=differences[1],
        where=_where(base, first, bound),
        tried=result.tried,
        notes=notes,
    )
    return attrs.evolve(diagnosis, **_answered(base, goal, answers)) if answers else diagnosis


def _nothing_to_try(a: str, b: str) -> InvalidTypeError:
    return InvalidTypeError(
        f"a or b must be a layer that convpolicy.capture accepts, got none ({a}; {b}); "
        f"pass the layer itself, or its Capture, as one of them."
    )


# -- comparing ------------------------------------------------------------------------------------------------------------


def _readings(base: Observation, goal: Observation) -> list[tuple[Steps, Doubles]]:
    """Return the possible readings of the other output, as passed or with exchanged axes, and the change for each."""
    assert base.computation is not None
    channels, output = base.computation.capture.spec.out_channels, goal.output
    if len(output) != len(base.output):
        raise InvalidValueError(
            f"the output of {goal.name} must have the {len(base.output)} batch items of x, got {len(output)}; pass the output for x."
        )
    swap = Change(f"read {goal.name}'s output as (batch, length, out)", base.computation)
    readings: list[tuple[Steps, Doubles]] = [((), output)] if output.shape[1] == channels else []
    if goal.computation is None and output.shape[2] == channels:
        readings.append(((("output axes", swap),), output.transpose(0, 2, 1)))
    if not readings:
        raise InvalidValueError(
            f"a and b must have the same number of output channels, got {channels} from {base.name} and an output of shape "
            f"{output.shape} from {goal.name}; compare layers with equal out_channels."
        )
    return readings


def _bound(base: Observation, goal: Observation, output: Doubles) -> Doubles:
    """Return the largest difference that rounding explains, for every output that both layers have."""
    assert base.values is not None
    common = min(base.output.shape[2], output.shape[2])
    bound: Doubles = base.values.bound(base.dtype) + base.values.bound(goal.dtype)
    return bound if output.shape == base.output.shape else bound[..., :common]


def _differences(
    base: Observation, goal: Observation, output: Doubles, bound: Doubles
) -> tuple[Difference | None, Difference | None]:
    """Return the first output that differs by more than rounding, and the output with the largest difference."""
    common = bound.shape[2]
    pair = (base.output, output) if base.name == "a" else (output, base.output)
    apart = np.abs(pair[0][..., :common] - pair[1][..., :common])

    def at(place: tuple[int, ...]) -> Difference:
        batch, channel, position = place
        one, two = (float(out[place]) if position < out.shape[2] else None for out in pair)
        return Difference(batch, channel, position, one, two, float(bound[batch, channel, min(position, common - 1)]))

    beyond = np.argwhere(apart > bound)
    farthest = np.unravel_index(apart.argmax(), apart.shape)
    largest = at(tuple(int(i) for i in farthest)) if apart[farthest] else None
    if len(beyond):
        return at(tuple(beyond[0].tolist())), largest
    return (None if base.output.shape == output.shape else at((0, 0, common))), largest


def _where(base: Observation, output: Doubles, bound: Doubles) -> str:
    """Describe which outputs differ."""
    assert base.computation is not None
    common, plan = bound.shape[2], base.computation.plan
    apart = np.abs(base.output[..., :common] - output[..., :common]) > bound
    parts = []
    if output.shape != base.output.shape:
        name = "b" if base.name == "a" else "a"
        parts.append(f"{base.name} has output length {base.output.shape[2]} and {name} has {output.shape[2]}")
    positions, channels = np.flatnonzero(apart.any((0, 1))), np.flatnonzero(apart.any((0, 2)))
    if not len(positions):
        return "; ".join(parts)
    only, also = ENDS_TEXT if isinstance(plan, TransposedPlan) else PADDING_TEXT
    where = only if _at_ends(plan, positions).all() else also
    parts.append(f"{len(positions)} of {common} positions and {len(channels)} of {apart.shape[1]} channels differ, {where}")
    return "; ".join(parts)


def _at_ends(plan: Plan | TransposedPlan, positions: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return whether each output reads padding; for a transposed convolution, whether fewer samples reach it than others."""
    if isinstance(plan, TransposedPlan):
        full = positions + plan.left
        return (full < plan.effective_kernel - 1) | (full > (plan.length - 1) * plan.stride)
    start = positions * plan.stride - plan.left
    return (start < 0) | (start + plan.effective_kernel > plan.length)


# -- explaining -----------------------------------------------------------------------------------------------------------


def _explained(base: Observation, goal: Observation, prefix: Steps, output: Doubles) -> tuple[SearchResult, list[Steps]]:
    computation = base.computation
    assert computation is not None
    target = Target(output, (goal.dtype, base.dtype), _probes(base.output, output))
    if prefix and target.met_by(computation):
        return SearchResult((), 1, complete=True), [prefix]
    result = search(computation, goal.computation, target)
    return result, [(*prefix, *answer) for answer in result.answers]


def _probes(mine: Doubles, goal: Doubles) -> tuple[Grid, ...]:
    """Return two grids, the second larger: positions at both ends and around the largest difference."""
    length, common = goal.shape[2], min(mine.shape[2], goal.shape[2])
    apart = np.abs(mine[..., :common] - goal[..., :common])
    item, channel, place = np.unravel_index(apart.argmax(), apart.shape)
    near = [*range(EDGE), *range(length - EDGE, length)]
    near += [at + step for at in (int(place), length // 2) for step in range(-ABOUT, ABOUT + 1)]
    positions = np.array(sorted({at for at in near if 0 <= at < length}))
    items, channels = np.array([item]), goal.shape[1]
    few = np.unique([int(channel), (int(channel) + channels // 2) % channels])
    many = np.unique(np.linspace(0, channels - 1, MANY).astype(int))
    return Grid(items, few, positions), Grid(items, many, positions)


def _answered(base: Observation, goal: Observation, answers: list[Steps]) -> dict[str, Any]:
    """Return the fields of a diagnosis that contain the explanations."""
    best, *others = answers
    alternatives = []
    for other in others:
        deciding = _deciding_input(best[-1][1].result, other[-1][1].result, (base.dtype, goal.dtype))
        if deciding:  # else the two are equivalent
            alternatives.append(Alternative(_causes(other, goal), deciding))
    decided = all(_aspects(best) == tuple(cause.aspect for cause in other.causes) for other in alternatives)
    return {
        "verdict": counted(len(best)) if decided else "undecided",
        "causes": _causes(best, goal),
        "alternatives": tuple(alternatives),
        "changes_on": base.name,
        "changed": best[-1][1].result.capture,
    }


def _aspects(steps: Steps) -> tuple[str, ...]:
    return tuple(aspect for aspect, _change in steps)


def _causes(steps: Steps, goal: Observation) -> tuple[Cause, ...]:
    return tuple(Cause(aspect, change.text.replace("the other's", f"{goal.name}'s")) for aspect, change in steps)


def _deciding_input(one: Computation, two: Computation, dtypes: tuple[str, str]) -> str:
    """Return a NumPy expression of an input on which two computations differ; empty when none does."""
    channels, length = one.capture.spec.in_channels, one.plan.length
    for more in LONGER:
        shape = 1, channels, length + more
        data = np.random.default_rng(0).standard_normal(shape)
        try:
            pair = [_values(computation, data) for computation in (one, two)]
        except ConvPolicyError:  # this length is refused by one of them
            continue
        outputs = [values.output for values in pair]
        if outputs[0].shape != outputs[1].shape:
            return f"numpy.random.default_rng(0).standard_normal({shape})"
        bound = sum(pair[0].bound(dtype) for dtype in dtypes)
        if (np.abs(outputs[0] - outputs[1]) > bound).any():
            return f"numpy.random.default_rng(0).standard_normal({shape})"
    return ""


def _values(computation: Computation, data: NDArray[Any]) -> Any:
    now = computation.with_input(data)
    few = np.unique(np.linspace(0, now.capture.spec.out_channels - 1, MANY).astype(int))
    grid = now.everywhere()
    return now.at(attrs.evolve(grid, channels=few))
