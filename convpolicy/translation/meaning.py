"""`Meaning`: how a dialect interprets the arguments of a call."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from convpolicy.errors import InvalidValueError
from convpolicy.parts.choice import Choice
from convpolicy.translation.reading import size
from convpolicy.translation.values import Expression, Value

SAMPLES = "padding is assumed to be a number of samples, because its value is not known here"
ONLY_TRAINING = "only matters in training"


@attrs.frozen(kw_only=True)
class Meaning:
    """The interpretation of the arguments of a call.

    Args:
        policy: changes to the policy, as arguments of `Policy.evolve`: ``padding``, ``padding_mode``, …
        padding: a number of samples on each side, which replaces the policy's rule if it or ``output_padding`` is an expression.
        output_padding: number of samples that a transposed convolution cuts less on the right than ``padding``.
        arguments: values by common name, which replace those of the call.
        notes: comments for the reader of the translation.
    """

    policy: Mapping[str, Any] = attrs.field(factory=dict)
    padding: Value = None
    output_padding: Value = 0
    arguments: Mapping[str, Value] = attrs.field(factory=dict)
    notes: tuple[str, ...] = ()


def both_sides(arguments: Mapping[str, Value]) -> Meaning:
    """Read ``padding`` as a number of zeros on each side; a class without that argument pads by its policy.

    Args:
        arguments: values by common name.

    Raises:
        InvalidValueError: ``padding`` is a string; the message contains it.
    """
    if "padding" not in arguments:
        return Meaning()
    padding = size("padding", arguments["padding"])
    if isinstance(padding, Expression):
        return Meaning(padding=padding)
    if isinstance(padding, str):
        raise InvalidValueError(f"padding must be an integer, got {padding!r}; pass the number of samples on each side.")
    return Meaning(policy={"padding": padding})


def cut_both_sides(arguments: Mapping[str, Value]) -> Meaning:
    """Read ``padding`` and ``output_padding`` of a transposed convolution as torch defines them.

    Args:
        arguments: values by common name. ``padding`` samples are cut on each side, and on the right ``output_padding`` less.

    Raises:
        InvalidValueError: a value is a string; the message contains it.
    """
    padding, output_padding = (size(name, arguments.get(name, 0)) for name in ("padding", "output_padding"))
    for name, value in (("padding", padding), ("output_padding", output_padding)):
        if isinstance(value, str):
            raise InvalidValueError(f"{name} must be an integer, got {value!r}; pass the number of samples.")
    if isinstance(padding, Expression) or isinstance(output_padding, Expression):
        return Meaning(padding=padding, output_padding=output_padding)
    return Meaning(policy={"padding": Choice("explicit", left=padding, right=padding, output_padding=output_padding)})
