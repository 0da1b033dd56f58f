"""Converts arguments of callers and values of files to a `Choice`: numbers, pairs, arrays and names of a framework."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from convpolicy.arithmetic import LARGEST, SIDES, integer, single
from convpolicy.errors import InvalidTypeError, InvalidValueError, shown
from convpolicy.parts.choice import Choice
from convpolicy.parts.part import number


def as_padding(padding: Any, names: Mapping[str, str] | None = None) -> Choice:
    """Convert the argument ``padding`` to a Choice.

    Args:
        padding: one of

            - an int: samples to add on both sides
            - a pair of ints (left, right); a negative number removes samples
            - the name of a padding rule, a Choice or a mapping
        names: the framework's names of rules, e.g. ``{"same": "same_upper"}``.

    Raises:
        InvalidTypeError, InvalidValueError: any other value. The message contains it and what is allowed.
    """
    if isinstance(padding, (tuple, list)) and len(padding) == 2:
        left, right = _pair(padding)
        if min(left, right) < 0:
            return Choice("crop", left=-left, right=-right)
    return as_crop(padding, names)


def as_crop(padding: Any, names: Mapping[str, str] | None = None) -> Choice:
    """Convert the argument ``padding`` of a transposed convolution to a Choice.

    Args:
        padding: one of

            - an int: samples to cut on both sides
            - a pair of ints (left, right); a negative number appends zeros
            - the name of a crop rule, a Choice or a mapping
        names: the framework's names of rules, e.g. ``{"same": "same_upper"}``.

    Raises:
        InvalidTypeError, InvalidValueError: any other value. The message contains it and what is allowed.
    """
    if isinstance(padding, (tuple, list)) and len(padding) == 2:
        left, right = _pair(padding)
        return Choice("explicit", left=left, right=right)
    padding = single("padding", padding)
    if isinstance(padding, str):
        return Choice((names or {}).get(padding, padding))
    if isinstance(padding, (Choice, Mapping)):
        return Choice.of("padding", padding)
    both = integer("padding", padding, 0, LARGEST)
    return Choice("explicit", left=both, right=both)


def _pair(padding: Any) -> tuple[int, int]:
    left, right = (integer(f"padding {side}", number, -LARGEST, LARGEST) for side, number in zip(SIDES, padding))
    return left, right


def as_padding_mode(padding_mode: Any) -> Choice:
    """Convert the argument ``padding_mode`` to a Choice: a name, a Choice, a mapping, or a pair of them, left and right.

    Raises:
        InvalidTypeError, InvalidValueError: any other value. The message contains it and what is allowed.
    """
    if not isinstance(padding_mode, (tuple, list)):
        return Choice.of("padding_mode", padding_mode)
    if len(padding_mode) != 2:
        raise InvalidValueError(
            f"padding_mode must be one mode or a pair of them, left and right, got {shown(padding_mode)}; pass one or two."
        )
    left, right = (Choice.of(f"padding_mode {side}", mode) for side, mode in zip(SIDES, padding_mode))
    return left if left == right else Choice("per_side", left=left, right=right)


def as_initializer(argument: str, value: Any, names: Mapping[str, Any] | None = None) -> Choice:
    """Convert an initializer to a Choice.

    Args:
        argument: name of the argument, for the message.
        value: a name, a Choice, a mapping, a number (a constant) or an array of axes OIW.
        names: the policy's names of initializers; they take precedence over registered names.

    Raises:
        InvalidTypeError, InvalidValueError: any other value. The message contains the argument, the value and what is allowed.
    """
    if isinstance(value, (int, float, np.number)) and not isinstance(value, bool):
        return Choice("constant", value=number(argument, value))
    if isinstance(value, np.ndarray):
        try:
            return Choice("array", values=value)
        except InvalidTypeError as error:
            raise InvalidTypeError(f"{argument}: {error}") from error
    return Choice.of(argument, (names or {}).get(value, value) if isinstance(value, str) else value)


def as_rule_names(value: Any) -> tuple[tuple[str, str], ...]:
    """Convert ``padding_names`` to pairs of a framework's name and the padding rule that it means.

    Args:
        value: a mapping, or pairs.

    Raises:
        InvalidTypeError: any other value. The message contains it.
    """
    pairs = _pairs("padding_names", value)
    if not all(len(pair) == 2 and all(isinstance(text, str) for text in pair) for pair in pairs):
        raise InvalidTypeError(
            f"padding_names must map names to padding rules, got {shown(value)}; pass for example {{'same': 'same_upper'}}."
        )
    return pairs


def as_mode_names(value: Any) -> tuple[tuple[str, Choice], ...]:
    """Convert ``mode_names`` to pairs of a name for ``padding`` and the padding mode that this name implies.

    Args:
        value: a mapping, or pairs.

    Raises:
        InvalidTypeError: any other value. The message contains it.
    """
    return as_named_choices("mode_names", value)


def as_init_names(value: Any) -> tuple[tuple[str, Choice], ...]:
    """Convert ``init_names`` to pairs of a name for ``weight_init`` and the initializer that it means.

    Args:
        value: a mapping, or pairs.

    Raises:
        InvalidTypeError: any other value. The message contains it.
    """
    return as_named_choices("init_names", value)


def as_named_choices(argument: str, value: Any) -> tuple[tuple[str, Choice], ...]:
    """Convert a mapping, or pairs, to pairs of a name and a Choice; ``argument`` is for the message."""
    pairs = _pairs(argument, value)
    if not all(len(pair) == 2 and isinstance(pair[0], str) for pair in pairs):
        raise InvalidTypeError(
            f"{argument} must map names to parts, got {shown(value)}; pass for example {{'CIRCULAR': 'circular'}}."
        )
    return tuple((name, Choice.of(argument, part)) for name, part in pairs)


def _pairs(argument: str, value: Any) -> tuple[tuple[Any, ...], ...]:
    pairs = value.items() if isinstance(value, Mapping) else value
    if isinstance(pairs, str) or not isinstance(pairs, Iterable):
        pairs = [value]
    pairs = tuple(tuple(pair) if isinstance(pair, (tuple, list)) else () for pair in pairs)
    names = [pair[0] for pair in pairs if pair and isinstance(pair[0], str)]
    if len(set(names)) < len(names):
        duplicate = next(name for name in names if names.count(name) > 1)
        raise InvalidValueError(f"{argument} must have every name once, got {shown(duplicate)} more than once; keep one.")
    return pairs


def unordered(pairs: tuple[tuple[str, Any], ...]) -> frozenset[tuple[str, Any]]:
    """Return pairs in the form in which policies compare them: their order does not matter."""
    return frozenset(pairs)


def with_mode(fields: Mapping[str, Any], mode_names: Mapping[str, Choice]) -> dict[str, Any]:
    """Add the ``padding_mode`` that the name in ``padding`` implies, unless ``fields`` contains one."""
    name = fields.get("padding")
    mode = mode_names.get(name) if isinstance(name, str) else None
    return {"padding_mode": mode, **fields} if mode is not None else dict(fields)


def as_choice(field: str, kind: str, value: Any, names: Mapping[str, Any] | None = None) -> Choice:
    """Convert the value of one field of a policy to a Choice.

    Args:
        field: name of the field, e.g. ``"padding"``.
        kind: the kind of part that the field names, e.g. ``"padding rule"``.
        value: see `as_padding`, `as_crop`, `as_padding_mode` and `as_initializer`; for other kinds a name, a Choice or a mapping.
        names: the policy's names for ``padding`` or ``weight_init``.
    """
    if kind in _RULES:
        return _RULES[kind](value, names)
    if kind == "padding mode":
        return as_padding_mode(value)
    if kind == "initializer":
        return as_initializer(field, value, names)
    return Choice.of(field, value)


_RULES: dict[str, Callable[[Any, Mapping[str, str] | None], Choice]] = {"padding rule": as_padding, "crop rule": as_crop}


def named(value: Any) -> Any:
    """Convert a name or a mapping to a Choice; the validator of the field checks any other value."""
    return Choice.of("part", value) if isinstance(value, (str, Mapping)) else value


def named_mode(value: Any) -> Any:
    """Convert a padding mode, or a pair of them, to a Choice; see `named`."""
    return as_padding_mode(value) if isinstance(value, (str, Mapping, tuple, list)) else value


def plain_bool(value: Any) -> Any:
    """Convert a NumPy bool to a Python bool."""
    return bool(value) if isinstance(value, np.bool_) else value


def as_axis(value: Any) -> int | None:
    """Convert ``weight_norm`` to an axis of the weight (out, in/groups, kernel), or to None if it is None or False.

    Raises:
        InvalidTypeError, InvalidValueError: any other value. The message contains it and the axes.
    """
    if value is None or value is False:
        return None
    axis = integer("weight_norm", value, 0)
    if axis > 2:
        raise InvalidValueError(
            f"weight_norm must be None, False or an axis of the weight, 0, 1 or 2, got {shown(value)}; pick one."
        )
    return axis


def of_type(kind: type) -> Callable[[Any, Any, Any], None]:
    """Return an attrs validator that requires an instance of ``kind``."""

    def check(policy: Any, attribute: Any, value: Any) -> None:
        if not isinstance(value, kind):
            raise InvalidTypeError(
                f"{attribute.name} must be of type {kind.__name__}, got {shown(value)} of type {type(value).__name__}; pass one."
            )

    return check
