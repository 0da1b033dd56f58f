"""`Meaning`: what the arguments of a call mean beyond their names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from convpolicy.errors import InvalidValueError
from convpolicy.translation.reading import size
from convpolicy.translation.values import Expression, Value

SAMPLES = "padding is taken for a number of samples, as its value is not known here"
ONLY_TRAINING = "only matters in training"


@attrs.frozen(kw_only=True)
class Meaning:
    """What the arguments of a call mean beyond their names.

    Args:
        policy: changes of the policy, as `Policy.evolve` takes them: ``padding``, ``padding_mode``, …
        padding: an expression for the samples on both sides, instead of the policy's rule.
        arguments: common name -> value, instead of what the call says.
        notes: what the reader of the translation should know, a comment each.
    """

    policy: Mapping[str, Any] = attrs.field(factory=dict)
    padding: Expression | None = None
    arguments: Mapping[str, Value] = attrs.field(factory=dict)
    notes: tuple[str, ...] = ()


def both_sides(arguments: Mapping[str, Value]) -> Meaning:
    """Read ``padding`` as a number of zeros on both sides; a class without that argument pads as its policy does.

    Raises:
        InvalidValueError: a word; holds it.
    """
    if "padding" not in arguments:
        return Meaning()
    padding = size("padding", arguments["padding"])
    if isinstance(padding, Expression):
        return Meaning(padding=padding)
    if isinstance(padding, str):
        raise InvalidValueError(f"padding must be an integer, got {padding!r}; pass the number of samples on each side.")
    return Meaning(policy={"padding": padding})
