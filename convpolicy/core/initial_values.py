"""Initial weights and biases: weight, then bias, from one random stream."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from convpolicy.bits.float32 import rounded
from convpolicy.core.plan import ConvSpec
from convpolicy.core.resolution import named_part
from convpolicy.errors import InvalidValueError, shown
from convpolicy.parts.choice import Choice
from convpolicy.parts.distribution_words import in_words as in_words_of
from convpolicy.parts.initializer import Initializer, Target
from convpolicy.parts.layout import Layout
from convpolicy.parts.stream import Draws, Stream

DTYPES = ("float32", "float64", "float16", "bfloat16")

ROLES = ("weight", "bias")
Values = dict[str, NDArray[Any] | None]


@attrs.frozen
class Fill:
    """How one tensor of a layer gets its initial values.

    Args:
        choice: the initializer as the policy names it, for messages and comparisons.
        initializer: the registered initializer.
        arguments: its parameters.
    """

    choice: Choice
    initializer: Initializer
    arguments: Mapping[str, Any]


def in_words(choice: Choice) -> str:
    """Return an initializer as text for people: its distribution, or the choice itself where none is known."""
    try:
        part, arguments = named_part("initializer", choice)
        text = in_words_of(part.distribution(**arguments)) if part.distribution is not None else ""
    except Exception:  # of a plugin, or a name that is not registered: text is for reading, building the layer refuses it
        text = ""
    return text or str(choice)


def check_dtype(dtype: Any) -> None:
    """Refuse a dtype in which no initial values are drawn.

    Raises:
        InvalidValueError: holds those there are.
    """
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise InvalidValueError(f"dtype must be one of {', '.join(DTYPES)}, got {shown(dtype)}; pick one.")


def targets(spec: ConvSpec, fills: Mapping[str, Fill]) -> dict[str, Target]:
    """Return the tensors to fill, by role.

    Args:
        spec: checked sizes.
        fills: role -> `Fill`; a layer without bias has none for ``"bias"``.
    """
    shapes = {"weight": spec.weight_shape, "bias": (spec.out_channels,)}
    return {role: Target(shapes[role], spec.fans, spec.groups) for role in fills}


def require(spec: ConvSpec, fills: Mapping[str, Fill]) -> None:
    """Ask every initializer whether it fits its tensor, before anything is built or drawn.

    Raises:
        InvalidValueError: an initializer that does not fit the shape; holds the field and the initializer's sentence.
    """
    for role, target in targets(spec, fills).items():
        try:
            fills[role].initializer.require(target, fills[role].arguments)
        except InvalidValueError as error:
            raise InvalidValueError(f"{role}_init: {error}") from error


def draw(
    fills: Mapping[str, Fill],
    constructed: Mapping[str, Fill],
    layout: Layout,
    spec: ConvSpec,
    stream: Stream,
    dtype: str = "float32",
) -> Values:
    """Draw weight (out, in/groups, kernel), then bias (out,) or None.

    Args:
        fills: role -> `Fill`, in the order in which they are drawn.
        constructed: what the framework's own constructor draws first; a tensor whose `Fill` names the same initializer keeps
            these values, the others are drawn anew. Empty where nothing is drawn twice.
        layout: of the weight; values are drawn in its axis order.
        spec: checked sizes.
        stream: the random stream.
        dtype: ``"float32"``, ``"float64"``, ``"float16"``, or ``"bfloat16"``, which comes as the float32 numbers it holds.

    Raises:
        InvalidValueError: an initializer that does not fit, or values that ``dtype`` does not hold; holds the field.
    """
    require(spec, fills)
    draws = Draws(stream, layout, spec.groups, dtype)
    values: Values = dict.fromkeys(ROLES)
    for role, target in targets(spec, constructed).items():
        values[role] = _filled(role, constructed[role], target, draws, stream, dtype)
    for role, target in targets(spec, fills).items():
        if role not in constructed or fills[role].choice != constructed[role].choice:
            values[role] = _filled(role, fills[role], target, draws, stream, dtype)
    return values


def _filled(role: str, fill: Fill, target: Target, draws: Draws, stream: Stream, dtype: str) -> NDArray[Any]:
    stream.begin(role)
    try:
        with np.errstate(over="ignore", invalid="ignore"):  # refused below, in words
            values = rounded(fill.initializer.fill(draws, target, fill.arguments), dtype)
            finite = math.isfinite(np.add.reduce(values, axis=None))  # one pass; a sum may overflow where no value does
    except InvalidValueError as error:
        raise InvalidValueError(f"{role}_init: {error}") from error
    if not (finite or np.isfinite(values).all()):
        raise InvalidValueError(
            f"{role}_init: initializer {fill.initializer.name!r} must give values that {dtype} holds, got NaN or infinity with "
            f"{fill.choice}; scale them down or pick a wider dtype."
        )
    return values
