"""Run each module of one model on the input of its partner in the other, and compare what comes out."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from convpolicy.diagnosis.models.axes import Axes, ways
from convpolicy.diagnosis.models.formulas import Result
from convpolicy.diagnosis.models.units import Unit, alike
from convpolicy.errors import raised
from convpolicy.models.recording import Call, Recording
from convpolicy.reference import UNIT_ROUNDOFF

ROUNDINGS = 4  # times the measured rounding error of two modules by which their formulas may differ and count as equal
ALIKE_ROUNDINGS = 64  # unit roundoffs, relative to the largest output, of modules whose settings and arrays are equal
UNKNOWN_ROUNDINGS = 512  # unit roundoffs, relative to the largest output, of a module without a formula
NEIGHBOURS = 3  # calls without a partner that are tried together with a pair, on each side


@attrs.frozen(eq=False)
class Comparison:
    """One pair of units after both ran on the same input.

    Attributes:
        a, b: the units.
        axes: the way between their data.
        own: largest difference of the outputs when both receive ``a``'s input. Infinite if the outputs have other shapes, or a number is
            NaN or infinite in one of them only.
        inherited: largest difference of the inputs in the two runs; None if they have other shapes.
        total: largest difference of the outputs in the two runs; None if they have other shapes.
        ok: True if rounding explains ``own``.
        formulas: what the descriptions compute from ``a``'s input, in the axes of ``a``; None where there is no formula.
        follows: whether each unit computes what its description says; None without a formula.
        output: output of ``b`` for ``a``'s input, in the axes of ``a``.
        problem: why ``b`` cannot be run on ``a``'s input; empty if it can.
        scale: largest absolute value of ``a``'s output.
    """

    a: Unit
    b: Unit
    axes: Axes
    own: float = np.inf
    inherited: float | None = None
    total: float | None = None
    ok: bool = False
    formulas: tuple[Result | None, Result | None] = (None, None)
    follows: tuple[bool | None, bool | None] = (None, None)
    output: NDArray[Any] | None = None
    problem: str = ""
    scale: float = 0.0

    @property
    def input(self) -> tuple[NDArray[Any], ...]:
        """``a``'s inputs in the axes of ``b``."""
        return moved_inputs(self.a, self.b, self.axes)


def moved_inputs(a: Unit, b: Unit, axes: Axes) -> tuple[NDArray[Any], ...]:
    """Return ``a``'s inputs in the axes of ``b``, and ``b``'s own where ``a`` has none."""
    return (*(axes.to_b(data) for data in a.inputs[: len(b.inputs)]), *b.inputs[len(a.inputs) :])


def fitted(data: NDArray[Any], like: NDArray[Any]) -> NDArray[Any] | None:
    """Return data in the shape of another array if they differ in axes of length 1 only, else None."""
    if data.shape == like.shape:
        return data
    if [size for size in data.shape if size != 1] == [size for size in like.shape if size != 1]:
        return data.reshape(like.shape)
    return None


def apart(a: NDArray[Any] | None, b: NDArray[Any] | None) -> float | None:
    """Return the largest difference of two arrays; None if they have other shapes."""
    if a is None or b is None or (same := fitted(b, a)) is None:
        return None
    if np.array_equal(a, same):
        return 0.0
    with np.errstate(invalid="ignore"):
        difference = np.abs(np.asarray(a, np.float64) - np.asarray(same, np.float64))
    difference = np.where((a == same) | (np.isnan(a) & np.isnan(same)), 0.0, difference)  # equal infinities
    return float(np.nan_to_num(difference, nan=np.inf, posinf=np.inf).max(initial=0.0))


def largest(data: NDArray[Any]) -> float:
    """Return the largest absolute value of the finite numbers of an array; 0 if there are none."""
    wide = np.abs(np.asarray(data, np.float64))
    return float(wide.max(initial=0.0, where=np.isfinite(wide)))


def compare(a: Unit, b: Unit, recordings: tuple[Recording, Recording]) -> Comparison:
    """Run ``b`` on the input of ``a`` and compare, with their axes as they are nearest, or as the outputs are equal."""
    first, *others = (_compare(a, b, axes) for axes in ways(a, b, recordings))
    return next((found for found in (first, *others) if found.ok), first)


def _compare(a: Unit, b: Unit, axes: Axes) -> Comparison:
    known = Comparison(a, b, axes, total=apart(a.output, None if b.output is None else axes.to_a(b.output)))
    pairs = zip(a.inputs, (axes.to_a(data) for data in b.inputs), strict=False)
    inherited = [apart(one, other) for one, other in pairs]
    shared = (
        None if any(item is None for item in inherited) else max((item for item in inherited if item is not None), default=0.0)
    )
    known = attrs.evolve(known, inherited=shared)
    if a.output is None or b.output is None or not a.inputs:
        return attrs.evolve(known, problem="no tensor goes in or out")
    data = moved_inputs(a, b, axes)
    try:
        equal_inputs = len(a.inputs) == len(b.inputs) and all(map(np.array_equal, data, b.inputs))
        output = b.output if equal_inputs else b.run(data)
    except Exception as error:
        return attrs.evolve(known, problem=raised(error))
    output = None if output is None else fitted(axes.to_a(output), a.output)
    if output is None:
        return attrs.evolve(known, problem="its output has another shape")
    own = apart(a.output, output)
    assert own is not None
    scale = largest(a.output)
    if own == 0.0 or (own <= ALIKE_ROUNDINGS * _roundoff(a, b) * scale and alike(a, b)):
        return attrs.evolve(known, own=own, output=output, scale=scale, ok=True)
    formulas, follows = _formulas(a, b, axes, data, output)
    found = attrs.evolve(known, own=own, formulas=formulas, follows=follows, output=output, scale=scale)
    return attrs.evolve(found, ok=_rounded(found))


def _roundoff(a: Unit, b: Unit) -> float:
    """Return the unit roundoff of the narrower dtype of two units."""
    return max(UNIT_ROUNDOFF.get(unit.dtype, 0.0) for unit in (a, b))


def _formulas(
    a: Unit, b: Unit, axes: Axes, data: tuple[NDArray[Any], ...], output: NDArray[Any]
) -> tuple[tuple[Result | None, Result | None], tuple[bool | None, bool | None]]:
    one, other = a.computed(a.inputs), b.computed(data)
    if other is not None:
        values, magnitude = (fitted(axes.to_a(part), output) for part in (other.values, other.magnitude))
        other = None if values is None or magnitude is None else attrs.evolve(other, values=values, magnitude=magnitude)
    assert a.output is not None
    return (one, other), (follows(one, a.output, a.dtype), follows(other, output, b.dtype))


def follows(result: Result | None, output: NDArray[Any], dtype: str) -> bool | None:
    """Return whether an output is what a formula gives, up to rounding; None without a formula."""
    if result is None:
        return None
    values, bound = fitted(result.values, output), fitted(result.bound(dtype), output)
    if values is None or bound is None:
        return False
    finite = np.isfinite(values) & np.isfinite(output)
    return bool((np.abs(values[finite] - output[finite]) <= bound[finite]).all())


def _rounded(found: Comparison) -> bool:
    """Return True if rounding explains the difference of the outputs."""
    a, b, (one, other) = found.a, found.b, found.formulas
    assert a.output is not None
    assert found.output is not None
    if not np.isfinite(found.own):
        return False
    dtype = max((a.dtype, b.dtype), key=lambda name: UNIT_ROUNDOFF.get(name, 0.0))  # the narrower one
    if one is None or other is None or None in found.follows:
        roundoff = UNIT_ROUNDOFF.get(dtype, 0.0)
        return found.own <= UNKNOWN_ROUNDINGS * roundoff * found.scale
    if found.follows == (True, True) and a.dtype == b.dtype:
        rounding = (apart(one.values, a.output) or 0.0) + (apart(other.values, found.output) or 0.0)
        difference = apart(one.values, other.values)
        return difference is not None and difference <= ROUNDINGS * rounding
    bound = fitted(one.bound(dtype) + other.bound(dtype), a.output) if dtype in UNIT_ROUNDOFF else None
    if bound is None:
        return False
    other = a.output != found.output  # equal infinities have no difference
    return bool((np.abs(np.asarray(a.output[other], np.float64) - found.output[other]) <= bound[other]).all())


def units(pairs: Sequence[tuple[Call | None, Call | None]], recordings: tuple[Recording, Recording]) -> list[Comparison | Unit]:
    """Compare every pair. Calls without a partner join a neighbouring pair if that makes it equal; the others are left alone."""
    rows: list[Any] = []
    joined: set[int] = set()
    for number, (a, b) in enumerate(pairs):
        if a is None or b is None:
            rows.append((number, a, b))
            continue
        found = compare(Unit((a,), recordings[0].reader), Unit((b,), recordings[1].reader), recordings)
        if not found.ok:
            found = _with_neighbours(found, pairs, number, recordings, joined)
        rows.append(found)
    alone: list[Comparison | Unit] = []
    for row in rows:
        if isinstance(row, Comparison):
            alone.append(row)
        elif row[0] not in joined:
            side = int(row[1] is None)
            alone.append(Unit((row[1 + side],), recordings[side].reader))
    return alone


def _with_neighbours(
    found: Comparison,
    pairs: Sequence[tuple[Call | None, Call | None]],
    number: int,
    recordings: tuple[Recording, Recording],
    joined: set[int],
) -> Comparison:
    """Return the comparison of a pair together with calls around it that have no partner, if these make it equal.

    If none do, and the outputs of the pair have other shapes, those that make the shapes equal stay with it, such as a module that cuts.
    """
    fitting: tuple[list[int], Comparison] | None = None
    before, after = _alone(pairs, range(number - 1, -1, -1), joined), _alone(pairs, range(number + 1, len(pairs)), joined)
    for chosen in [*([near] for near in (*before, *after)), *([one, other] for one in before for other in after)]:
        chains: list[list[Call]] = [[found.a.calls[0]], [found.b.calls[0]]]
        for near in sorted(chosen):
            side = int(pairs[near][0] is None)
            call = pairs[near][side]
            assert call is not None
            chains[side] = [call, *chains[side]] if near < number else [*chains[side], call]
        if not all(_is_chain(chain, recording) for chain, recording in zip(chains, recordings, strict=True)):
            continue
        a, b = (Unit(tuple(chain), recording.reader) for chain, recording in zip(chains, recordings, strict=True))
        together = compare(a, b, recordings)
        if together.ok:
            joined.update(chosen)
            return together
        if found.problem and not together.problem and fitting is None:
            fitting = chosen, together
    if fitting is None:
        return found
    joined.update(fitting[0])
    return fitting[1]


def _alone(pairs: Sequence[tuple[Call | None, Call | None]], numbers: range, joined: set[int]) -> list[int]:
    """Return the numbers of the next calls without a partner."""
    alone = []
    for number in numbers:
        if None not in pairs[number]:
            break
        if number not in joined:
            alone.append(number)
        if len(alone) == NEIGHBOURS:
            break
    return alone


def _is_chain(calls: Sequence[Call], recording: Recording) -> bool:
    """Return True if each call receives the result of the one before."""
    numbers = {id(call): number for number, call in enumerate(recording.calls)}
    return all(after.sources[:1] == (numbers[id(before)],) for before, after in itertools.pairwise(calls))
