"""What callers and files may say for a part, turned into a `Choice`: numbers, pairs, arrays, a framework's own words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from convpolicy.arithmetic import integer
from convpolicy.errors import InvalidTypeError
from convpolicy.parts import Choice, number
from convpolicy.plan import single


def as_padding(padding: Any, names: Mapping[str, str] | None = None) -> Choice:
    """Turn what a caller may pass as ``padding`` into a Choice.

    Args:
        padding: an int (both sides), a pair (left, right), a name, a Choice or a mapping.
        names: the framework's own words, e.g. ``{"same": "torch_same"}``.

    Raises:
        InvalidTypeError, InvalidValueError: holds what came and what is allowed.
    """
    if isinstance(padding, (tuple, list)) and len(padding) == 2:
        return Choice(
            "explicit",
            left=integer("padding left", padding[0], 0),
            right=integer("padding right", padding[1], 0),
        )
    padding = single("padding", padding)
    if isinstance(padding, str):
        return Choice((names or {}).get(padding, padding))
    if isinstance(padding, (Choice, Mapping)):
        return Choice.of("padding", padding)
    both = integer("padding", padding, 0)
    return Choice("explicit", left=both, right=both)


def as_initializer(argument: str, value: Any) -> Choice:
    """Turn a name, Choice, mapping, number (constant) or array of axes OIW into a Choice.

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
    return Choice.of(argument, value)


def as_words(value: Any) -> tuple[tuple[str, str], ...]:
    """Turn ``padding_names``, a mapping or pairs of a framework's word and the rule it stands for, into pairs.

    Raises:
        InvalidTypeError: anything else; holds what came.
    """
    pairs = value.items() if isinstance(value, Mapping) else value
    if isinstance(pairs, str) or not isinstance(pairs, Iterable):
        pairs = [value]
    words = tuple(tuple(pair) if isinstance(pair, (tuple, list)) else () for pair in pairs)
    if not all(len(pair) == 2 and all(isinstance(text, str) for text in pair) for pair in words):
        raise InvalidTypeError(
            f"padding_names must pair words with rules, got {value!r}; pass for example (('same', 'same_upper'),)."
        )
    return words


def as_choice(field: str, value: Any, names: Mapping[str, str] | None = None) -> Choice:
    """Turn what a caller or a file may say for one field of a policy into a Choice.

    Args:
        field: ``padding``, ``weight_init``, …; named in the message.
        value: see `as_padding` and `as_initializer`; elsewhere a name, a Choice or a mapping.
        names: the framework's own words for ``padding``.
    """
    if field == "padding":
        return as_padding(value, names)
    if field in ("weight_init", "bias_init"):
        return as_initializer(field, value)
    return Choice.of(field, value)
