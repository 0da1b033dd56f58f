"""Pieces of code for initializers that several targets share; each dialect writes the rest."""

from __future__ import annotations

import math
from typing import Any

from convpolicy.parts.distribution import Distribution
from convpolicy.translation.values import Value, code_of

STANDARD_BOUNDS = (-2.0, 2.0)  # of a truncated normal, in standard deviations
FANS = ("fan_in", "fan_out", "fan_avg")
FAMILIES = {("fan_in", 2.0): "he", ("fan_in", 1.0): "lecun", ("fan_avg", 1.0): "glorot"}


def call(function: str, *positional: Value, **keywords: Value) -> str:
    """Return the code of a call: ``call("init.Normal", mean=0.0)`` is ``init.Normal(mean=0.0)``."""
    words = [*map(code_of, positional), *(f"{name}={code_of(value)}" for name, value in keywords.items())]
    return f"{function}({', '.join(words)})"


def gain(distribution: Distribution) -> dict[str, Any]:
    """Return ``{"gain": √scale}`` of a scaled distribution, or no argument where it is 1."""
    value = math.sqrt(distribution.parameters["scale"])
    return {} if math.isclose(value, 1.0) else {"gain": value}


def he_or_xavier(distribution: Distribution, role: str) -> tuple[str, str] | None:
    """Return (family, shape), e.g. ``("he", "uniform")``, of a scaled weight whose normals are not truncated, or None.

    Every scale over the mean of the fans is Xavier with a gain; over one fan, a scale of 2 or less is He with a `negative_slope`.
    """
    if distribution.kind != "scaled" or role != "weight" or distribution.parameters["distribution"] == "truncated_normal":
        return None
    fan, scale = distribution.parameters["fan"], distribution.parameters["scale"]
    if fan == "fan_avg":
        return "xavier", distribution.parameters["distribution"]
    within = fan in ("fan_in", "fan_out") and 0.0 < scale <= 2.0 and math.isfinite(2.0 / scale)  # a slope is a number
    return ("he", distribution.parameters["distribution"]) if within else None


def negative_slope(distribution: Distribution) -> float:
    """Return the slope of a leaky ReLU whose He scale this is: 2 / (1 + slope²)."""
    scale = distribution.parameters["scale"]
    return math.sqrt(float(f"{max(2.0 / scale - 1, 0.0):.14g}"))


def family_name(distribution: Distribution) -> str | None:
    """Return ``"he_normal"``, ``"glorot_uniform"`` or the like where the normals of these names are truncated, or None."""
    for (fan, scale), family in FAMILIES.items():
        for shape, name in {"truncated_normal": "normal", "uniform": "uniform"}.items():
            if distribution == Distribution("scaled", scale=scale, fan=fan, distribution=shape):
                return f"{family}_{name}"
    return None


def has_fans(distribution: Distribution, role: str) -> bool:
    """Return True for a scaled weight over a fan that a ``VarianceScaling`` knows."""
    return distribution.kind == "scaled" and role == "weight" and distribution.parameters["fan"] in FANS
