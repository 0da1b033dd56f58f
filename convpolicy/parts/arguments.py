"""What callers and files may say for a part, turned into a `Choice`: numbers, pairs, arrays, a framework's own words."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from convpolicy.arithmetic import LARGEST, SIDES, integer, single
from convpolicy.errors import InvalidTypeError, InvalidValueError, shown
from convpolicy.parts.choice import Choice
from convpolicy.parts.part import number


def as_padding(padding: Any, names: Mapping[str, str] | None = None) -> Choice:
    """Turn what a caller may pass as ``padding`` into a Choice.

    Args:
        padding: an int (both sides), a pair (left, right), of which a negative number cuts samples away, a name, a Choice or a mapping.
        names: the framework's own words, e.g. ``{"same": "same_upper"}``.

    Raises:
        InvalidTypeError, InvalidValueError: holds what came and what is allowed.
    """
    if isinstance(padding, (tuple, list)) and len(padding) == 2:
        left, right = (integer(f"padding {side}", pad, -LARGEST, LARGEST) for side, pad in zip(SIDES, padding))
        return Choice("explicit", left=left, right=right) if min(left, right) >= 0 else Choice("crop", left=-left, right=-right)
    padding = single("padding", padding)
    if isinstance(padding, str):
        return Choice((names or {}).get(padding, padding))
    if isinstance(padding, (Choice, Mapping)):
        return Choice.of("padding", padding)
    both = integer("padding", padding, 0, LARGEST)
    return Choice("explicit", left=both, right=both)


def as_padding_mode(padding_mode: Any) -> Choice:
    """Turn a name, a Choice, a mapping, or a pair of them, one per side, into a Choice.

    Raises:
        InvalidTypeError, InvalidValueError: anything else; holds what came and what is allowed.
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
    """Turn a name, Choice, mapping, number (constant) or array of axes OIW into a Choice; the policy's words first.

    Raises:
        InvalidTypeError, InvalidValueError: holds the argument, what came and what is allowed.
    """
    if isinstance(value, (int, float, np.number)) and not isinstance(value, bool):
        return Choice("constant", value=number(argument, value))
    if isinstance(value, np.ndarray):
        try:
            return Choice("array", values=value)
        except InvalidTypeError as error:
            raise InvalidTypeError(f"{argument}: {error}") from error
    return Choice.of(argument, (names or {}).get(value, value) if isinstance(value, str) else value)


def as_words(value: Any) -> tuple[tuple[str, str], ...]:
    """Turn ``padding_names``, a mapping or pairs of a framework's word and the rule it stands for, into pairs.

    Raises:
        InvalidTypeError: anything else; holds what came.
    """
    words = _pairs("padding_names", value)
    if not all(len(pair) == 2 and all(isinstance(text, str) for text in pair) for pair in words):
        raise InvalidTypeError(
            f"padding_names must pair words with rules, got {shown(value)}; pass for example (('same', 'same_upper'),)."
        )
    return words


def as_mode_words(value: Any) -> tuple[tuple[str, Choice], ...]:
    """Turn ``mode_names``, a mapping or pairs of a word for ``padding`` and the padding mode it also says, into pairs.

    Raises:
        InvalidTypeError: anything else; holds what came.
    """
    return as_part_words("mode_names", value)


def as_init_words(value: Any) -> tuple[tuple[str, Choice], ...]:
    """Turn ``init_names``, a mapping or pairs of a word for ``weight_init`` and the initializer it stands for, into pairs.

    Raises:
        InvalidTypeError: anything else; holds what came.
    """
    return as_part_words("init_names", value)


def as_part_words(argument: str, value: Any) -> tuple[tuple[str, Choice], ...]:
    """Turn a mapping or pairs of a word and a part into pairs; ``argument`` is named in the message."""
    words = _pairs(argument, value)
    if not all(len(pair) == 2 and isinstance(pair[0], str) for pair in words):
        raise InvalidTypeError(
            f"{argument} must pair words with parts, got {shown(value)}; pass for example (('CIRCULAR', 'circular'),)."
        )
    return tuple((word, Choice.of(argument, part)) for word, part in words)


def _pairs(argument: str, value: Any) -> tuple[tuple[Any, ...], ...]:
    pairs = value.items() if isinstance(value, Mapping) else value
    if isinstance(pairs, str) or not isinstance(pairs, Iterable):
        pairs = [value]
    pairs = tuple(tuple(pair) if isinstance(pair, (tuple, list)) else () for pair in pairs)
    words = [pair[0] for pair in pairs if pair and isinstance(pair[0], str)]
    if len(set(words)) < len(words):
        twice = next(word for word in words if words.count(word) > 1)
        raise InvalidValueError(f"{argument} must have every word once, got {shown(twice)} more than once; keep one.")
    return pairs


def unordered(pairs: tuple[tuple[str, Any], ...]) -> frozenset[tuple[str, Any]]:
    """Return pairs as they are compared: a file may put them in another order."""
    return frozenset(pairs)


def with_mode(fields: Mapping[str, Any], mode_names: Mapping[str, Choice]) -> dict[str, Any]:
    """Add the ``padding_mode`` that a word for ``padding`` also says, unless one is given."""
    word = fields.get("padding")
    mode = mode_names.get(word) if isinstance(word, str) else None
    return {"padding_mode": mode, **fields} if mode is not None else dict(fields)


def as_choice(field: str, value: Any, names: Mapping[str, Any] | None = None) -> Choice:
    """Turn what a caller or a file may say for one field of a policy into a Choice.

    Args:
        field: ``padding``, ``weight_init``, …; named in the message.
        value: see `as_padding` and `as_initializer`; elsewhere a name, a Choice or a mapping.
        names: the policy's own words for ``padding`` or ``weight_init``.
    """
    if field == "padding":
        return as_padding(value, names)
    if field == "padding_mode":
        return as_padding_mode(value)
    if field in ("weight_init", "bias_init"):
        return as_initializer(field, value, names)
    return Choice.of(field, value)


def named(value: Any) -> Any:
    """Turn a name or a mapping into a Choice and leave the rest to the field's validator, which names the field."""
    return Choice.of("part", value) if isinstance(value, (str, Mapping)) else value


def named_mode(value: Any) -> Any:
    """Turn a padding mode, or a pair of them, into a Choice; see `named`."""
    return as_padding_mode(value) if isinstance(value, (str, Mapping, tuple, list)) else value


def plain_bool(value: Any) -> Any:
    """Turn NumPy's bool into Python's."""
    return bool(value) if isinstance(value, np.bool_) else value


def as_axis(value: Any) -> int | None:
    """Turn ``weight_norm`` into an axis of the weight (out, in/groups, kernel), or None for None and False.

    Raises:
        InvalidTypeError, InvalidValueError: anything else; holds what came and the axes.
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
    """Return a validator that a field holds a ``kind``."""

    def check(policy: Any, attribute: Any, value: Any) -> None:
        if not isinstance(value, kind):
            raise InvalidTypeError(
                f"{attribute.name} must be of type {kind.__name__}, got {shown(value)} of type {type(value).__name__}; pass one."
            )

    return check
