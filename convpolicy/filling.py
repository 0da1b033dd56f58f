"""Initial weights of a policy: weight, then bias, from one random stream."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from convpolicy.errors import InvalidValueError
from convpolicy.initializers import TORCH_UNIFORM, Target
from convpolicy.parts import Choice
from convpolicy.plan import ConvSpec
from convpolicy.random.float32 import rounded
from convpolicy.random.stream import Stream
from convpolicy.streams import Draws

if TYPE_CHECKING:
    from convpolicy.policy import Policy

ROLES = ("weight", "bias")
CONSTRUCTED = {"weight_init": TORCH_UNIFORM, "bias_init": Choice("uniform")}  # what torch's own layer is born with


def targets(policy: Policy, spec: ConvSpec) -> dict[str, Target]:
    """Return the tensors that a layer fills, by role, after asking their initializers whether they can.

    Raises:
        InvalidValueError: an initializer that does not fit the shape; holds the field and the initializer's sentence.
    """
    shapes = {"weight": spec.weight_shape} | ({"bias": (spec.out_channels,)} if policy.bias else {})
    found = {role: Target(shape, spec.fans, spec.groups) for role, shape in shapes.items()}
    for role, target in found.items():
        initializer, arguments = policy.part(f"{role}_init")
        try:
            initializer.require(target, arguments)
        except InvalidValueError as error:
            raise InvalidValueError(f"{role}_init: {error}") from error
    return found


def draw(policy: Policy, spec: ConvSpec, stream: Stream, dtype: str = "float32") -> dict[str, NDArray[Any] | None]:
    """Draw weight (out, in/groups, kernel), then bias (out,) or None.

    Args:
        policy: whose initializers draw.
        spec: checked sizes.
        stream: the random stream.
        dtype: ``"float32"``, ``"float64"``, ``"float16"``, or ``"bfloat16"``, which comes as the float32 numbers it holds.
    """
    draws = Draws(stream, policy.part("layout")[0], spec.groups, dtype)
    values: dict[str, NDArray[Any] | None] = dict.fromkeys(ROLES)
    wanted = targets(policy, spec)
    if policy.redraws:
        values = draw(policy.evolve(**CONSTRUCTED, redraws=False), spec, stream, dtype)
        wanted = {
            role: target for role, target in wanted.items() if getattr(policy, f"{role}_init") != CONSTRUCTED[f"{role}_init"]
        }
    for role, target in wanted.items():
        initializer, arguments = policy.part(f"{role}_init")
        stream.begin(role)
        try:
            with np.errstate(over="ignore", invalid="ignore"):  # refused below, in words
                filled = rounded(initializer.fill(draws, target, arguments), dtype)
                finite = math.isfinite(np.add.reduce(filled, axis=None))  # one pass; a sum may overflow where no value does
        except InvalidValueError as error:
            raise InvalidValueError(f"{role}_init: {error}") from error
        if not (finite or np.isfinite(filled).all()):
            raise InvalidValueError(
                f"{role}_init: initializer {initializer.name!r} must give values that {dtype} holds, got NaN or infinity with "
                f"{getattr(policy, f'{role}_init')}; scale them down or pick a wider dtype."
            )
        values[role] = filled
    return values
