"""`Part`, the base class of everything that plugins register, and `Param`, a parameter of a part."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cache
from types import MappingProxyType
from typing import Any, ClassVar

import attrs
import numpy as np

from convpolicy.arithmetic import LARGEST, integer
from convpolicy.errors import InvalidTypeError, InvalidValueError, nearest, shown, with_hint
from convpolicy.parts.choice import Choice, FrozenArray
from convpolicy.registry.offer import Offer


def number(argument: str, value: Any) -> float:
    """Check one real number of a caller and return the number as a float. NaN and infinity are allowed.

    Raises:
        InvalidTypeError: the value is a bool or not a number. The message contains the argument, the value and its type.
        InvalidValueError: the value is an integer beyond the range of a float.
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
        raise InvalidValueError(f"{argument} must contain only finite numbers, got NaN or infinity; clean the array first.")
    return value


def _values(argument: str, value: Any) -> float | FrozenArray:
    """Check one number, or an array (channels,)."""
    if not isinstance(value, FrozenArray):
        return number(argument, value)
    if value.array.ndim != 1 or not value.array.size:
        raise InvalidValueError(
            f"{argument} must be a number or an array of shape (channels,), got shape {value.array.shape}; pass one axis."
        )
    return value


def _mode(argument: str, value: Any) -> Choice:
    return Choice.of(argument, value)


def _is_finite(value: float | FrozenArray) -> bool:
    return bool(np.isfinite(value.array if isinstance(value, FrozenArray) else value).all())


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


def _names_check(_param: Any, _field: Any, allowed: Any) -> None:
    if isinstance(allowed, str):
        raise InvalidTypeError(f"allowed must be a tuple of names, got {allowed!r}; write ({allowed!r},).")


def _known_check(_param: Any, _field: Any, kind: Any) -> None:
    if not isinstance(kind, str) or kind not in _CHECKS:
        raise InvalidValueError(f"a Param's kind must be one of {', '.join(_CHECKS)}, got {shown(kind)}; pick one.")


@attrs.frozen
class Param:
    """One parameter of a part.

    Args:
        default: value if a `Choice` does not set the parameter. With None, the part's function decides.
        kind: type of the value:

            - ``"number"``: a float
            - ``"integer"``: an integer of 0 or more
            - ``"offset"``: an integer, which may be negative
            - ``"flag"``: True or False
            - ``"array"``: an array of finite numbers
            - ``"name"``: one of ``allowed``
            - ``"values"``: a number, or one number per channel
            - ``"mode"``: a padding mode
        allowed: the names that a parameter of kind ``"name"`` accepts.
        minimum: the smallest number that a parameter of kind ``"number"``, ``"integer"`` or ``"offset"`` accepts.
        finite: True does not allow NaN and infinity. It applies to the kinds ``"number"`` and ``"values"``.
    """

    default: Any = None
    kind: str = attrs.field(default="number", validator=_known_check)
    allowed: tuple[str, ...] = attrs.field(default=(), validator=_names_check)
    minimum: float | None = None
    finite: bool = True

    def check(self, argument: str, value: Any) -> Any:
        """Check a value and return it in the type of the parameter.

        Args:
            argument: name of the argument, for the message.
            value: the value to check.

        Raises:
            InvalidTypeError, InvalidValueError: the value is not allowed. The message contains the argument, the value and what is
                allowed.
        """
        result = _CHECKS[self.kind](argument, value)
        if self.kind in ("number", "values") and self.finite and not _is_finite(result):
            raise InvalidValueError(f"{argument} must be finite, got {shown(value)}; pass a finite number.")
        if self.allowed and result not in self.allowed:
            raise InvalidValueError(f"{argument} must be one of {', '.join(self.allowed)}, got {shown(value)}; pick one.")
        if self.minimum is not None and result < self.minimum:
            raise InvalidValueError(f"{argument} must be at least {self.minimum:g}, got {shown(value)}; pass more.")
        return result


def _read_only(params: Mapping[str, Param]) -> Mapping[str, Param]:
    """Return a read-only copy of a part's parameters.

    Raises:
        InvalidTypeError: not a mapping of names to `Param`. The message contains the value.
    """
    if not isinstance(params, Mapping) or not all(isinstance(k, str) and isinstance(v, Param) for k, v in params.items()):
        raise InvalidTypeError(f"params must map names to Param, got {shown(params)}; pass for example {{'gain': Param(1.0)}}.")
    return MappingProxyType(dict(params))


def _text(part: Any, _field: Any, name: Any) -> None:
    if not isinstance(name, str):
        raise InvalidTypeError(
            f"the name of a {part.kind} must be text, got {shown(name)} of type {type(name).__name__}; pass a name."
        )


@cache
def _names(kind: Any) -> tuple[str, ...]:
    """Return the names of the attributes of a class of parts."""
    return tuple(field.name for field in attrs.fields(kind))


@attrs.frozen(eq=False)
class Part(Offer):
    """Base class of everything that a plugin registers.

    Args:
        name: unique name among the parts of the same kind.
        params: mapping from parameter name to `Param`. The parameters are passed to the part's function by keyword.
        description: one sentence for lists and tables. By default, the first line of the function's docstring.
        provider: name of the plugin that registered the part. The registry sets this attribute.
    """

    kind: ClassVar[str] = "part"
    name: str = attrs.field(validator=_text)
    params: Mapping[str, Param] = attrs.field(factory=dict, kw_only=True, converter=_read_only)
    description: str = attrs.field(default="", kw_only=True)
    provider: str = attrs.field(default="", kw_only=True)

    def __copy__(self) -> Any:
        """Return a copy; `copy.copy` would go by way of pickling, and take twice as long."""
        kind: Any = type(self)
        twin: Any = object.__new__(kind)
        for name in _names(kind):
            object.__setattr__(twin, name, getattr(self, name))
        return twin

    def arguments(self, choice: Choice) -> dict[str, Any]:
        """Return the value of each parameter: the value in a `Choice`, or the default.

        Args:
            choice: a `Choice` of this part.

        Returns:
            A mapping from parameter name to checked value.

        Raises:
            InvalidValueError: a value is not allowed, or the part has no parameter of this name.
            InvalidTypeError: a value has the wrong type.
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


def declared(properties: Iterable[str], allowed: tuple[str, ...]) -> frozenset[str]:
    """Check the properties that a part declares and return them as a set.

    Raises:
        InvalidTypeError, InvalidValueError: not a set of names, or an unknown name. The message contains the names allowed.
    """
    if isinstance(properties, str) or not isinstance(properties, Iterable):
        raise InvalidTypeError(f"declares must be a set of names, got {shown(properties)}; pass for example {{{allowed[0]!r}}}.")
    names = frozenset(properties)
    for name in names:
        if name not in allowed:
            raise InvalidValueError(
                f"declares must contain only {', '.join(allowed)}, got {shown(name)}.{nearest(name, allowed)}"
            )
    return names
