"""`Meaning`: how a dialect interprets the arguments of a call."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from convpolicy.arithmetic import integer
from convpolicy.core.named import policy as named_policy
from convpolicy.core.resolution import with_output_padding
from convpolicy.errors import InvalidValueError
from convpolicy.parts.choice import Choice
from convpolicy.translation.reading import size
from convpolicy.translation.values import Call, Expression, Value, code_of

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

    A class without these arguments cuts by its policy.

    Args:
        arguments: values by common name. ``padding`` samples are cut on each side, and on the right ``output_padding`` less.

    Raises:
        InvalidTypeError, InvalidValueError: a value is not an integer of at least 0; the message contains it.
    """
    if "padding" not in arguments and "output_padding" not in arguments:
        return Meaning()
    values = {name: size(name, arguments.get(name, 0)) for name in ("padding", "output_padding")}
    numbers = [value if isinstance(value, Expression) else integer(name, value, 0) for name, value in values.items()]
    return cut(*numbers)


def cut_by_word(policy: str, word: str, output_padding: Value = None) -> Meaning:
    """Return the meaning of a framework's name for a crop, with ``output_padding``.

    Args:
        policy: name of the framework's policy.
        word: the name.
        output_padding: samples cut less on the right, or None for the default of the name.

    Raises:
        InvalidTypeError, InvalidValueError: ``output_padding`` is not an integer of at least 0, or a name.
    """
    if isinstance(output_padding, (Expression, Call)):
        raise InvalidValueError(
            f"output_padding must be a literal here, got {code_of(output_padding)}, as padding is {word!r}; write its value."
        )
    choice = named_policy(policy).half().evolve(padding=word).padding
    if output_padding is not None:
        choice = with_output_padding(choice, integer("output_padding", output_padding, 0))
    return Meaning(policy={"padding": choice})


def cut(padding: Value, output_padding: Value = 0) -> Meaning:
    """Return the meaning of ``padding`` samples cut on each side, and on the right ``output_padding`` less.

    Args:
        padding, output_padding: integers or expressions.
    """
    if isinstance(padding, Expression) or isinstance(output_padding, Expression):
        return Meaning(padding=padding, output_padding=output_padding)
    return Meaning(policy={"padding": Choice("explicit", left=padding, right=padding, output_padding=output_padding)})
