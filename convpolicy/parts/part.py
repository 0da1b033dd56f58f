"""`Part`, what plugins register, and `Param`, one parameter of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, ClassVar

import attrs
import numpy as np

from convpolicy.arithmetic import LARGEST, integer
from convpolicy.errors import InvalidTypeError, InvalidValueError, nearest, shown, with_hint
from convpolicy.parts.choice import Choice, FrozenArray
from convpolicy.registry.offer import Offer


def number(argument: str, value: Any) -> float:
    """Check one real number at the edge; NaN and infinity are numbers.

    Raises:
        InvalidTypeError: not a number, or a bool; holds the argument, the value and its type.
        InvalidValueError: an integer that no float can hold.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise InvalidTypeError(f"{argument} must be a number, got {shown(value)} of type {type(value).__name__}; pass a float.")
    try:
        return float(value)
    except OverflowError:
        raise InvalidValueError(f"{argument} must fit a float, got an integer beyond 1e308; pass less.") from None


def _flag(argument: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise InvalidTypeError(
            f"{argument} must be True or False, got {shown(value)} of type {type(value).__name__}; pass a bool."
        )
    return value


def _array(argument: str, value: Any) -> FrozenArray:
    if not isinstance(value, FrozenArray):
        raise InvalidTypeError(
            f"{argument} must be an array of numbers, got {shown(value)} of type {type(value).__name__}; pass a numpy array."
        )
    if not np.isfinite(value.array).all():
        raise InvalidValueError(f"{argument} must hold finite numbers only, got NaN or infinity; clean the array first.")
    return value


def _values(argument: str, value: Any) -> float | FrozenArray:
    """Check one number, or an array of one axis: one per channel."""
    if not isinstance(value, FrozenArray):
        return number(argument, value)
    if value.array.ndim != 1 or not value.array.size:
        raise InvalidValueError(
            f"{argument} must be a number or an array of shape (channels,), got shape {value.array.shape}; pass one axis."
        )
    return value


def _mode(argument: str, value: Any) -> Choice:
    return Choice.of(argument, value)


def _is_finite(checked: float | FrozenArray) -> bool:
    return bool(np.isfinite(checked.array if isinstance(checked, FrozenArray) else checked).all())


_CHECKS: dict[str, Callable[[str, Any], Any]] = {
    "number": number,
    "integer": lambda argument, value: integer(argument, value, 0, LARGEST),
    "offset": lambda argument, value: integer(argument, value, -LARGEST, LARGEST),
    "flag": _flag,
    "array": _array,
    "name": lambda _argument, value: value,
    "values": _values,
    "mode": _mode,
}


def _known_check(_param: Any, _field: Any, kind: Any) -> None:
    if not isinstance(kind, str) or kind not in _CHECKS:
        raise InvalidValueError(f"a Param's kind must be one of {', '.join(_CHECKS)}, got {shown(kind)}; pick one.")


@attrs.frozen
class Param:
    """One parameter of a part.

    Args:
        default: used when a choice does not set it; None means that the part decides.
        kind: ``"number"`` (float), ``"integer"`` (0 or more), ``"offset"`` (an integer of any sign), ``"flag"``, ``"array"``,
            ``"name"``, ``"values"`` (a number, or one per channel) or ``"mode"`` (a padding mode).
        allowed: for ``"name"``, the names allowed.
        minimum: for ``"number"``, the smallest value allowed.
        finite: for ``"number"`` and ``"values"``, whether NaN and infinity are refused.
    """

    default: Any = None
    kind: str = attrs.field(default="number", validator=_known_check)
    allowed: tuple[str, ...] = ()
    minimum: float | None = None
    finite: bool = True

    def check(self, argument: str, value: Any) -> Any:
        """Return the value, checked.

        Raises:
            InvalidTypeError, InvalidValueError: holds the argument, the value and what is allowed.
        """
        checked = _CHECKS[self.kind](argument, value)
        if self.kind in ("number", "values") and self.finite and not _is_finite(checked):
            raise InvalidValueError(f"{argument} must be finite, got {shown(value)}; pass an ordinary number.")
        if self.allowed and checked not in self.allowed:
            raise InvalidValueError(f"{argument} must be one of {', '.join(self.allowed)}, got {shown(value)}; pick one.")
        if self.minimum is not None and checked < self.minimum:
            raise InvalidValueError(f"{argument} must be at least {self.minimum:g}, got {shown(value)}; pass more.")
        return checked


def _read_only(params: Mapping[str, Param]) -> Mapping[str, Param]:
    """Return a copy of a part's parameters.

    Raises:
        InvalidTypeError: anything but a mapping of names to `Param`; holds what came.
    """
    if not isinstance(params, Mapping) or not all(isinstance(k, str) and isinstance(v, Param) for k, v in params.items()):
        raise InvalidTypeError(f"params must map names to Param, got {shown(params)}; pass for example {{'gain': Param(1.0)}}.")
    return MappingProxyType(dict(params))


def _text(part: Any, _field: Any, name: Any) -> None:
    if not isinstance(name, str):
        raise InvalidTypeError(
            f"the name of a {part.kind} must be text, got {shown(name)} of type {type(name).__name__}; pass a name."
        )


@attrs.frozen(eq=False)
class Part(Offer):
    """Base of everything a plugin registers.

    Args:
        name: unique among its kind.
        params: parameter name -> `Param`; passed by keyword to the part's function.
        description: one sentence for lists and tables; taken from the function's docstring when empty.
        provider: the plugin it came from; filled in by the registry.
    """

    kind: ClassVar[str] = "part"
    name: str = attrs.field(validator=_text)
    params: Mapping[str, Param] = attrs.field(factory=dict, kw_only=True, converter=_read_only)
    description: str = attrs.field(default="", kw_only=True)
    provider: str = attrs.field(default="", kw_only=True)

    def __copy__(self) -> Any:
        """Return a copy; `copy.copy` would go by way of pickling, and take twice as long."""
        twin: Any = object.__new__(type(self))
        for field in type(self).__attrs_attrs__:
            object.__setattr__(twin, field.name, getattr(self, field.name))
        return twin

    def arguments(self, choice: Choice) -> dict[str, Any]:
        """Merge a choice's parameters into the defaults.

        Args:
            choice: a Choice of this part.

        Returns:
            Parameter name -> checked value, defaults included.

        Raises:
            InvalidValueError: a parameter the part does not have (holds the nearest name), or a bad value.
            InvalidTypeError: a value of the wrong type.
        """
        merged = {name: param.default for name, param in self.params.items()}
        for name, value in choice.params:
            if name not in self.params:
                fault = f"{self.kind} {self.name!r} has no parameter {shown(name)}"
                raise InvalidValueError(with_hint(fault, "it has", self.params, nearest(name, self.params)))
            merged[name] = self.params[name].check(f"{self.name}: {name}", value)
        return merged


def first_sentence(function: Any) -> str:
    """Return the first line of a function's docstring, or an empty string."""
    doc = (getattr(function, "__doc__", None) or "").strip()
    return doc.split("\n", 1)[0].strip()


def declared(words: Iterable[str], allowed: tuple[str, ...]) -> frozenset[str]:
    """Return the words in which a part says what holds of it.

    Raises:
        InvalidTypeError, InvalidValueError: no set of words, or another word; holds those allowed.
    """
    if isinstance(words, str) or not isinstance(words, Iterable):
        raise InvalidTypeError(f"declares must be a set of words, got {shown(words)}; pass for example {{{allowed[0]!r}}}.")
    found = frozenset(words)
    for word in found:
        if word not in allowed:
            raise InvalidValueError(f"declares must be of {', '.join(allowed)}, got {shown(word)}.{nearest(word, allowed)}")
    return found
