"""`Axes`: which axis of one model's data is which axis of the other's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from convpolicy.diagnosis.models.units import Unit
from convpolicy.models.recording import Recording

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
    """Return the way between arrays that are flattened images of ``shape`` in ``a``."""
    other = way.to_b(np.empty((1, *shape))).shape[1:]

    def turn(data: NDArray[Any], before: tuple[int, ...], move: Move) -> NDArray[Any]:
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


def between(a: Unit, b: Unit, recordings: tuple[Recording, Recording]) -> Axes:
    """Return the way between the data of two units: the one on which their inputs are nearest."""
    way = moved(a.reader.channels, b.reader.channels) if a.reader.channels != b.reader.channels else SAME
    if a.axis is not None and b.axis is not None:
        return SAME if a.axis == b.axis else moved(a.axis, b.axis)
    candidates = [SAME] if way is SAME else [SAME, way]
    if way is not SAME and (shape := _flat_shape(a, recordings[0])):
        candidates.append(_flattened(shape, way))
    if not a.inputs or not b.inputs or len(candidates) == 1:
        return candidates[0]
    fitting = [axes for axes in candidates if axes.to_b(a.inputs[0]).shape == b.inputs[0].shape]
    if not fitting:
        return candidates[0] if a.inputs[0].ndim < 3 else way
    return min(fitting, key=lambda axes: float(np.abs(axes.to_b(a.inputs[0]) - b.inputs[0]).max(initial=0.0)))
