"""Draws the initial weight and bias of a layer from one random stream."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from convpolicy.bits.float32 import rounded
from convpolicy.core.resolution import named_part
from convpolicy.core.spec import ConvSpec
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
    """The initializer of one tensor of a layer.

    Args:
        choice: the initializer as the policy names it, for messages and comparisons.
        initializer: the registered initializer.
        arguments: the initializer's parameters.
    """

    choice: Choice
    initializer: Initializer
    arguments: Mapping[str, Any]


def in_words(choice: Choice) -> str:
    """Return an initializer as text for people: its distribution, or the choice if the initializer declares none."""
    try:
        part, arguments = named_part("initializer", choice)
        text = in_words_of(part.distribution(**arguments)) if part.distribution is not None else ""
    except Exception:  # a plugin fails, or the name is not registered; building the layer raises the error
        text = ""
    return text or str(choice)


def check_dtype(dtype: Any) -> None:
    """Refuse a dtype that initial values do not support.

    Raises:
        InvalidValueError: the dtype is not supported. The message lists the supported ones.
    """
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise InvalidValueError(f"dtype must be one of {', '.join(DTYPES)}, got {shown(dtype)}; pick one.")


def targets(spec: ConvSpec, fills: Mapping[str, Fill], layout: Layout) -> dict[str, Target]:
    """Return the tensors to fill, by role.

    Args:
        spec: checked sizes.
        fills: a `Fill` for the role ``"weight"``, and for ``"bias"`` if the layer has a bias.
        layout: layout of the weight. It says which axis counts as fan-in.
    """
    shapes = {"weight": spec.weight_shape, "bias": (spec.out_channels,)}
    fans = spec.fans_of(layout.fan_in)
    return {role: Target(shapes[role], fans, spec.groups) for role in fills}


def require(spec: ConvSpec, fills: Mapping[str, Fill], layout: Layout) -> None:
    """Check that every initializer accepts its tensor, before anything is built or drawn.

    Raises:
        InvalidValueError: an initializer refuses the shape. The message contains the field and the initializer's reason.
    """
    for role, target in targets(spec, fills, layout).items():
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
    """Draw a weight of ``spec.weight_shape``, then a bias (out,) or None.

    Args:
        fills: role -> `Fill`, in the order in which the tensors are drawn.
        constructed: role -> `Fill` of the framework's constructor, which draws first. A tensor with the same initializer in
            ``fills`` keeps these values; the others are drawn again. Empty if the constructor draws nothing.
        layout: layout of the weight; values are drawn in its axis order.
        spec: checked sizes.
        stream: the random stream.
        dtype: ``"float32"``, ``"float64"``, ``"float16"`` or ``"bfloat16"``; bfloat16 values are returned as float32.

    Raises:
        InvalidValueError: an initializer refuses its tensor, or a value is out of the range of ``dtype``. The message contains
            the field.
    """
    require(spec, fills, layout)
    draws = Draws(stream, layout, spec.groups, dtype)
    values: Values = dict.fromkeys(ROLES)
    for role, target in targets(spec, constructed, layout).items():
        values[role] = _fill(role, constructed[role], target, draws, stream, dtype)
    for role, target in targets(spec, fills, layout).items():
        if role not in constructed or fills[role].choice != constructed[role].choice:
            values[role] = _fill(role, fills[role], target, draws, stream, dtype)
    return values


def _fill(role: str, fill: Fill, target: Target, draws: Draws, stream: Stream, dtype: str) -> NDArray[Any]:
    stream.begin(role)
    try:
        with np.errstate(over="ignore", invalid="ignore"):  # refused below with a message
            values = rounded(fill.initializer.fill(draws, target, fill.arguments), dtype)
            finite = math.isfinite(np.add.reduce(values, axis=None))  # fast; the sum may overflow although no value does
    except InvalidValueError as error:
        raise InvalidValueError(f"{role}_init: {error}") from error
    if not (finite or np.isfinite(values).all()):
        raise InvalidValueError(
            f"{role}_init: initializer {fill.initializer.name!r} must draw finite values of {dtype}, got NaN or infinity with "
            f"{fill.choice}; scale them down or pick a wider dtype."
        )
    return values
