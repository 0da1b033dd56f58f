"""`why`: what makes the outputs of two layers differ, found by trying; the first differing position, and the change that helps."""

from __future__ import annotations

from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from convpolicy.diagnosis.change import Change
from convpolicy.diagnosis.computation import Computation, Doubles, Grid, Target
from convpolicy.diagnosis.observation import Observation, Side, check_input, observe
from convpolicy.diagnosis.report import EQUAL, Alternative, Cause, Diagnosis, Difference, counted
from convpolicy.diagnosis.search import Found, Steps, search
from convpolicy.errors import ConvPolicyError, InvalidTypeError, InvalidValueError

__all__ = ["Alternative", "Cause", "Diagnosis", "Difference", "why"]

EDGE, ABOUT = 4, 2  # positions probed at each end, and to each side of a place of interest
MANY = 16  # channels of the second probe
LONGER = (0, 1, 2, 3, 5, 8)  # how much longer than x an input may be that tells two explanations apart


def why(a: Any, b: Any, x: Any) -> Diagnosis:
    """Find out why two layers give different outputs, by trying changes of one until it gives what the other gives.

    What a layer's attributes say is believed only as far as it then computes that: where it does not, only its outputs count.

    Args:
        a, b: each a native layer, a `Capture`, a function of a NumPy array (batch, channels, length), or the array
            (batch, out, length_out) that it gave. One of them must be a layer that `capture` takes, or a `Capture`.
            Layers are called once.
        x: (batch, channels, length) real numbers, whatever axes the frameworks have; rounded to each layer's dtype.

    Returns:
        A printable `Diagnosis`.

    Raises:
        InvalidTypeError, InvalidValueError: x, or an output, of wrong axes or not finite (holds where), layers of different
            channel counts, or no layer that can be captured; holds the argument, what came and the fix.
    """
    given = check_input(x)
    layers = Side.of("a", a), Side.of("b", b)
    if layers[0].capture is None and layers[1].capture is None:
        raise _nothing_to_try(layers[0].reason, layers[1].reason)
    sides = observe(layers[0], given), observe(layers[1], given)
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
    found, answers = Found((), 0, complete=True), list[Steps]()
    for prefix, output in readings:
        found, answers = _explained(base, goal, prefix, output)
        if answers:
            break
    if not found.complete:
        notes += (f"stopped after {found.tried} changes: more may fit.",)
    told = Diagnosis(
        verdict=counted(0),
        first_difference=differences[0],
        largest_difference=differences[1],
        where=_where(base, first, bound),
        tried=found.tried,
        notes=notes,
    )
    return attrs.evolve(told, **_answered(base, goal, answers)) if answers else told


def _nothing_to_try(a: str, b: str) -> InvalidTypeError:
    return InvalidTypeError(
        f"a or b must be a layer whose attributes can be tried, got none ({a}; {b}); "
        f"pass the layer, or what convpolicy.capture gives, as one of them."
    )


# -- comparing ------------------------------------------------------------------------------------------------------------


def _readings(base: Observation, goal: Observation) -> list[tuple[Steps, Doubles]]:
    """Return the ways to read the other output, as it is or with its axes exchanged, and what is changed for it."""
    assert base.computation is not None
    channels, output = base.computation.capture.spec.out_channels, goal.output
    if len(output) != len(base.output):
        raise InvalidValueError(
            f"the output of {goal.name} must be for the {len(base.output)} items of x, got {len(output)}; pass the output for x."
        )
    swap = Change(f"read {goal.name}'s output as (batch, length, out)", base.computation)
    ways: list[tuple[Steps, Doubles]] = [((), output)] if output.shape[1] == channels else []
    if goal.computation is None and output.shape[2] == channels:
        ways.append(((("output axes", swap),), output.transpose(0, 2, 1)))
    if not ways:
        raise InvalidValueError(
            f"a and b must give the same channels to be compared, got {channels} from {base.name} and an output {output.shape} from "
            f"{goal.name}; compare layers of equal out_channels."
        )
    return ways


def _bound(base: Observation, goal: Observation, output: Doubles) -> Doubles:
    """Return how far rounding may set the two outputs apart, where both have one."""
    assert base.values is not None
    common = min(base.output.shape[2], output.shape[2])
    bound: Doubles = base.values.bound(base.dtype) + base.values.bound(goal.dtype)
    return bound if output.shape == base.output.shape else bound[..., :common]


def _differences(
    base: Observation, goal: Observation, output: Doubles, bound: Doubles
) -> tuple[Difference | None, Difference | None]:
    """Return the first output that rounding does not explain, and the one that is farthest off."""
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
    """Say what is common to the outputs that differ."""
    assert base.computation is not None
    common, plan = bound.shape[2], base.computation.plan
    apart = np.abs(base.output[..., :common] - output[..., :common]) > bound
    said = []
    if output.shape != base.output.shape:
        said.append(f"the lengths {base.output.shape[2]} of {base.name} and {output.shape[2]} differ")
    positions, channels = np.flatnonzero(apart.any((0, 1))), np.flatnonzero(apart.any((0, 2)))
    if not len(positions):
        return "; ".join(said)
    start = positions * plan.stride - plan.left
    reads_padding = (start < 0) | (start + plan.effective_kernel > plan.length)
    share = f"{len(positions)} of {common} positions and {len(channels)} of {apart.shape[1]} channels"
    said.append(f"{share}, {'only where windows read padding' if reads_padding.all() else 'also where no padding is read'}")
    return "; ".join(said)


# -- explaining -----------------------------------------------------------------------------------------------------------


def _explained(base: Observation, goal: Observation, prefix: Steps, output: Doubles) -> tuple[Found, list[Steps]]:
    computation = base.computation
    assert computation is not None
    target = Target(output, (goal.dtype, base.dtype), _probes(base.output, output))
    if prefix and target.met_by(computation):
        return Found((), 1, complete=True), [prefix]
    found = search(computation, goal.computation, target)
    return found, [(*prefix, *answer) for answer in found.answers]


def _probes(mine: Doubles, goal: Doubles) -> tuple[Grid, ...]:
    """Return growing grids of places: the ends, and about the largest difference."""
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
    """Return the fields of a diagnosis that tell the explanations."""
    best, *others = answers
    alternatives = []
    for other in others:
        apart = _told_apart(best[-1][1].result, other[-1][1].result, (base.dtype, goal.dtype))
        if apart:  # else the two do the same
            alternatives.append(Alternative(_causes(other, goal), apart))
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


def _told_apart(one: Computation, two: Computation, dtypes: tuple[str, str]) -> str:
    """Return an input on which two computations differ, found by computing both, or nothing."""
    channels, length = one.capture.spec.in_channels, one.plan.length
    for more in LONGER:
        shape = 1, channels, length + more
        data = np.random.default_rng(0).standard_normal(shape)
        try:
            pair = [_on(computation, data) for computation in (one, two)]
        except ConvPolicyError:  # this length is refused by one of them
            continue
        outputs = [values.output for values in pair]
        if outputs[0].shape != outputs[1].shape:
            return f"numpy.random.default_rng(0).standard_normal({shape})"
        bound = sum(pair[0].bound(dtype) for dtype in dtypes)
        if (np.abs(outputs[0] - outputs[1]) > bound).any():
            return f"numpy.random.default_rng(0).standard_normal({shape})"
    return ""


def _on(computation: Computation, data: NDArray[Any]) -> Any:
    now = computation.given(data)
    few = np.unique(np.linspace(0, now.capture.spec.out_channels - 1, MANY).astype(int))
    grid = now.everywhere()
    return now.at(attrs.evolve(grid, channels=few))
