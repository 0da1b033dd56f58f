"""`Axes`: which axis of one model's data is which axis of the other's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from convpolicy.diagnosis.models.units import Unit
from convpolicy.models.recording import Recording

FARTHER = 4.0  # times the smallest sum of squared differences that another way may have
Move = Callable[[NDArray[Any]], NDArray[Any]]


@attrs.frozen(eq=False)
class Axes:
    """A way from the data of ``a`` to those of ``b`` and back.

    Attributes:
        name: ``"same"``, ``"moved"`` or ``"flattened"``.
        to_b, to_a: functions of one array.
    """

    name: str
    to_b: Move
    to_a: Move


def _same(data: NDArray[Any]) -> NDArray[Any]:
    return data


SAME = Axes("same", _same, _same)


def moved(source: int, target: int) -> Axes:
    """Return the way that moves the axis of the channels."""

    def move(data: NDArray[Any], start: int, stop: int) -> NDArray[Any]:
        return np.moveaxis(data, start, stop) if data.ndim > 2 else data

    return Axes("moved", lambda data: move(data, source, target), lambda data: move(data, target, source))


def _flattened(shape: tuple[int, ...], way: Axes) -> Axes:
    """Return the way between arrays that are flattened images of ``shape`` in ``a``, and between arrays before they are flattened."""
    other = way.to_b(np.empty((1, *shape))).shape[1:]

    def turn(data: NDArray[Any], before: tuple[int, ...], move: Move) -> NDArray[Any]:
        if data.ndim > 2:
            return move(data)
        if data.ndim != 2 or data.shape[1] != int(np.prod(before)):
            return data
        return move(data.reshape(-1, *before)).reshape(len(data), -1)

    return Axes("flattened", lambda data: turn(data, shape, way.to_b), lambda data: turn(data, other, way.to_a))


def _flat_shape(unit: Unit, recording: Recording) -> tuple[int, ...]:
    """Return the shape of a signal, without its batch, that was flattened before a unit or in it; empty if there is none."""
    call = unit.calls[0]
    for _step in range(len(recording.calls)):
        kind = None if call.description is None else call.description.kind
        if kind == "flatten":
            return call.inputs[0].shape[1:] if call.inputs[0].ndim > 2 else ()
        if call is not unit.calls[0] and kind not in ("dropout", "activation", "identity"):
            return ()
        if not call.sources or call.sources[0] < 0:
            return ()
        call = recording.calls[call.sources[0]]
    return ()


def _flattening(unit: Unit) -> tuple[int, ...] | None:
    """Return the shape of a signal, without its batch, that a unit flattens; None if it flattens none."""
    for call in unit.calls:
        if call.description is not None and call.description.kind == "flatten" and call.inputs[0].ndim > 2:
            return call.inputs[0].shape[1:]
    return None


def ways(a: Unit, b: Unit, recordings: tuple[Recording, Recording]) -> list[Axes]:
    """Return the ways between the data of two units that fit their shapes, first the one on which their inputs are nearest.

    Others follow only if their inputs are hardly farther apart, as after a module with other weights.
    """
    way = moved(a.reader.channels, b.reader.channels) if a.reader.channels != b.reader.channels else SAME
    flat = None if way is SAME else _flattening(a)
    if flat is None and a.axis is not None and b.axis is not None:
        return [SAME if a.axis == b.axis else moved(a.axis, b.axis)]
    candidates = [SAME] if way is SAME else [SAME, way]
    if flat is not None:
        candidates = [SAME, _flattened(flat, way)]
    elif way is not SAME and (shape := _flat_shape(a, recordings[0])):
        candidates.append(_flattened(shape, way))
    if not a.inputs or not b.inputs or len(candidates) == 1:
        return candidates[:1]
    fitting = [axes for axes in candidates if axes.to_b(a.inputs[0]).shape == b.inputs[0].shape]
    if not fitting:
        return [candidates[0] if a.inputs[0].ndim < 3 else way]
    apart = [_distance(axes.to_b(a.inputs[0]), b.inputs[0]) for axes in fitting]
    return [fitting[number] for number in np.argsort(apart, kind="stable") if apart[number] <= FARTHER * min(apart)]


def _distance(a: NDArray[Any], b: NDArray[Any]) -> float:
    """Return the sum of the squared differences where both arrays are finite."""
    finite = np.isfinite(a) & np.isfinite(b)
    return float(np.square(np.subtract(a[finite], b[finite], dtype=np.float64)).sum())
