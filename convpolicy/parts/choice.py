"""`Choice`: the name of a registered part, with values for some of its parameters."""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping
from typing import Any

import attrs
import numpy as np

from convpolicy.errors import InvalidTypeError, shown

MOST_WRITTEN = 8  # numbers of an array that its repr contains


def require_unmasked(argument: str, value: Any) -> None:
    """Refuse a masked array: NumPy would use its masked numbers.

    Raises:
        InvalidTypeError: the array has a mask. The message names the argument.
    """
    if isinstance(value, np.ma.MaskedArray):
        raise InvalidTypeError(f"{argument} must be an array without a mask, got a masked array; pass array.filled(number).")


class FrozenArray:
    """A read-only float64 copy of an array that can be hashed and compared, for use in a policy."""

    __slots__ = ("_key", "array")

    def __init__(self, values: Any) -> None:
        array = np.array(values, dtype=np.float64)
        array.setflags(write=False)
        self.array = array
        self._key = (array.shape, array.tobytes())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FrozenArray) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    def __repr__(self) -> str:
        if self.array.ndim == 1 and self.array.size <= MOST_WRITTEN:
            return f"array({self.array.tolist()})"
        return f"array(shape={self.array.shape}, crc32={zlib.crc32(self.array.tobytes()):08x})"  # shows that two arrays differ

    def __reduce__(self) -> tuple[type[FrozenArray], tuple[Any]]:
        return FrozenArray, (np.array(self.array),)


def _canonical(argument: str, value: Any) -> Any:
    """Convert a parameter to the form that can be hashed, compared and written to a file.

    - A list or an array becomes a `FrozenArray`.
    - A NumPy scalar becomes a Python number, every NaN the same NaN, and -0.0 becomes 0.0.
    - A mapping with a name becomes a `Choice`, and a `Choice` without parameters becomes its name.
    """
    if isinstance(value, Mapping) and isinstance(value.get("name"), str):
        value = Choice.of(argument, value)
    if isinstance(value, Choice):
        return value if value.params else value.name
    if isinstance(value, (list, tuple, np.ndarray)):
        require_unmasked(argument, value)
        try:
            array = np.asarray(value)
        except ValueError:  # rows of different lengths
            raise InvalidTypeError(
                f"{argument} must be an array of numbers, got rows of different lengths; make them equally long."
            ) from None
        if array.dtype.kind not in "fiu":
            raise InvalidTypeError(f"{argument} must be an array of real numbers, got dtype {array.dtype}; pass floats.")
        return FrozenArray(array)
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, float):
        return math.nan if math.isnan(value) else value + 0.0
    try:
        hash(value)
    except TypeError:
        raise InvalidTypeError(
            f"{argument} must be a number, a name or an array, got {shown(value)} of type {type(value).__name__}; pass one of these."
        ) from None
    return value


def _as_data(value: Any) -> Any:
    if isinstance(value, FrozenArray):
        return value.array.tolist()
    return value.to_data() if isinstance(value, Choice) else value


def _comparable(params: tuple[tuple[str, Any], ...]) -> tuple[Any, ...]:
    return tuple((name, isinstance(value, bool), value) for name, value in params)  # True is not 1


@attrs.frozen(init=False, repr=False, eq=False)
class Choice:
    """The name of a registered part, with values for some of its parameters.

    Examples: ``Choice("same_upper", odd_side="left")``, ``Choice("normal", std=0.01)``. You can pass a Choice in place of a name.

    Args:
        name: name of a registered part.
        **params: parameters of the part. If a parameter is missing or None, the part's default is used.

    Raises:
        InvalidTypeError: the name is not a string, or a value has an unsupported type. Supported types are number, string, array and
            Choice.
    """

    name: str
    params: tuple[tuple[str, Any], ...]
    _key: tuple[Any, ...]  # for == and hash, which every look-up of a part or a plan uses

    def __init__(self, name: str, /, **params: Any) -> None:
        if not isinstance(name, str):
            raise InvalidTypeError(f"a Choice's name must be text, got {shown(name)} of type {type(name).__name__}; pass a name.")
        items = tuple(sorted((k, _canonical(f"{name}: {k}", v)) for k, v in params.items() if v is not None))
        self.__attrs_init__(name, items, (name, *_comparable(items)))

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Choice) and self._key == other._key)

    def __hash__(self) -> int:
        return hash(self._key)

    @classmethod
    def of(cls, argument: str, value: Any) -> Choice:
        """Convert a name, a mapping with the key ``name``, or a Choice to a Choice.

        Args:
            argument: name of the argument, for the message.
            value: the value to convert.

        Raises:
            InvalidTypeError: the value has another type. The message contains the argument and the type of the value.
        """
        if isinstance(value, Choice):
            return value
        if isinstance(value, str):
            return cls(value)
        if isinstance(value, Mapping) and isinstance(value.get("name"), str) and all(isinstance(k, str) for k in value):
            return cls(value["name"], **{k: v for k, v in value.items() if k != "name"})
        raise InvalidTypeError(
            f"{argument} must be a name, a Choice or a mapping with 'name', got {shown(value)} of type "
            f"{type(value).__name__}; pass for example {argument}=Choice('...')."
        )

    def evolve(self, name: str | None = None, /, **params: Any) -> Choice:
        """Return a modified copy.

        Args:
            name: another name; None for the same name.
            **params: parameters to set. None removes a parameter, so that the part's default is used.

        Raises:
            InvalidTypeError: see `Choice`.
        """
        return Choice(self.name if name is None else name, **{**dict(self.params), **params})

    def to_data(self) -> str | dict[str, Any]:
        """Return plain data for a file: the name alone, or a mapping with the name and the parameters."""
        if not self.params:
            return self.name
        return {
            "name": self.name,
            **{k: _as_data(v) for k, v in self.params},
        }

    def __str__(self) -> str:
        return self.name + (f"({', '.join(f'{k}={v}' for k, v in self.params)})" if self.params else "")

    def __repr__(self) -> str:
        return f"Choice({', '.join([repr(self.name), *(f'{k}={v!r}' for k, v in self.params)])})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _choice, (self.name, dict(self.params))


def _choice(name: str, params: dict[str, Any]) -> Choice:
    return Choice(name, **params)
