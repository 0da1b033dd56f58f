"""Functions that return named intermediate arrays, in place of a model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convpolicy.diagnosis.models.comparing import Comparison, compare
from convpolicy.diagnosis.models.units import Unit
from convpolicy.errors import InvalidTypeError, InvalidValueError, nearest, raised
from convpolicy.models.reader import Reader
from convpolicy.models.recording import Call, Recording


class NamedArrays(Reader):
    """Reads a function that returns a dict from name to array."""

    def __init__(self, model: Any, other: Reader) -> None:
        super().__init__(model)
        self.channels = other.channels  # see `_moved`

    def children(self, module: Any) -> Iterable[tuple[str, Any]]:
        """Return nothing."""
        del module
        return ()


def record_named(function: Any, x: Any, other: Reader) -> Recording:
    """Run a function and keep its arrays.

    Raises:
        InvalidTypeError: the function does not return a dict from name to array.
        InvalidValueError: the function raises an error.
    """
    try:
        result = function(**x) if isinstance(x, Mapping) else function(x)
    except Exception as error:
        raise InvalidValueError(f"a cannot be run on x: {raised(error)}; pass an input that both accept.") from error
    if not isinstance(result, Mapping) or not result:
        raise InvalidTypeError(
            f"a must return a dict from name to array, in the order of the computation, got {type(result).__name__}; return "
            f"{{'conv1': array, …}}."
        )
    arrays = {str(name): np.asarray(array) for name, array in result.items()}
    calls = [Call(name, function, None, (), array) for name, array in arrays.items()]
    return Recording(NamedArrays(function, other), calls, calls[-1].output)  # type: ignore[arg-type]


def compared(recordings: tuple[Recording, Recording], names: Mapping[str, str]) -> list[Comparison]:
    """Compare each named array with the module of the same name, or of the name in ``names``, run on the array before it.

    Raises:
        InvalidValueError: an array has no module.
    """
    arrays, calls = recordings[0].calls, recordings[1].calls
    last = {call.path: number for number, call in reversed(list(enumerate(calls)))}
    partners: dict[int, NDArray[Any]] = {}  # number of a call of b -> the array of a
    rows: list[Comparison] = []
    for array in arrays:
        path = names.get(array.path, array.path)
        if path not in last:
            raise InvalidValueError(
                f"names must say which module of b is {array.path!r}, got {path!r}, which is no path of b.{nearest(path, last)} Pass "
                f"names={{{array.path!r}: path in b}}."
            )
        number = last[path]
        array.output = recordings[0].output = _moved(array.output, calls[number].output)
        chain = [calls[number]]
        while chain[0].sources and chain[0].sources[0] >= 0 and chain[0].sources[0] not in partners:
            chain.insert(0, calls[chain[0].sources[0]])
        source = chain[0].sources[0] if chain[0].sources else -1
        inputs = (partners[source],) if source in partners else chain[0].inputs[:1]
        one = Unit((Call(array.path, array.module, None, inputs, array.output),), recordings[0].reader)
        rows.append(compare(one, Unit(tuple(chain), recordings[1].reader), recordings))
        assert array.output is not None
        partners[number] = array.output
    return rows


def _moved(array: Any, like: NDArray[Any] | None) -> Any:
    """Return an array with its channels on the axis where another array has them: the order in which the two are nearest."""
    orders = [array, np.moveaxis(array, 1, -1), np.moveaxis(array, -1, 1)] if array.ndim > 2 else [array]
    fitting = [order for order in orders if like is not None and order.shape == like.shape]
    return min(fitting, key=lambda order: float(np.abs(order - like).max(initial=0.0)), default=array)
