"""Helpers that write the code of initializers, shared by several dialects."""

from __future__ import annotations

import math
from typing import Any

from convpolicy.parts.distribution import Distribution
from convpolicy.translation.values import Value, code_of

STANDARD_BOUNDS = (-2.0, 2.0)  # of a truncated normal distribution, in standard deviations
FANS = ("fan_in", "fan_out", "fan_avg")
FAMILIES = {("fan_in", 2.0): "he", ("fan_in", 1.0): "lecun", ("fan_avg", 1.0): "glorot"}


def call(function: str, *positional: Value, **keywords: Value) -> str:
    """Return the code of a call: ``call("init.Normal", mean=0.0)`` is ``init.Normal(mean=0.0)``."""
    arguments = [*map(code_of, positional), *(f"{name}={code_of(value)}" for name, value in keywords.items())]
    return f"{function}({', '.join(arguments)})"


def gain(distribution: Distribution) -> dict[str, Any]:
    """Return ``{"gain": √scale}`` for a scaled distribution, or an empty dictionary for a gain of 1."""
    value = math.sqrt(distribution.parameters["scale"])
    return {} if math.isclose(value, 1.0) else {"gain": value}


def he_or_xavier(distribution: Distribution, role: str) -> tuple[str, str] | None:
    """Return family and shape of a scaled distribution, such as ``("he", "uniform")``, or None when it has no such name.

    A scale over the mean of the fans is Xavier with a gain. A scale of at most 2 over one fan is He with a `negative_slope`. Biases and
    truncated normal distributions have no such name.
    """
    if distribution.kind != "scaled" or role != "weight" or distribution.parameters["distribution"] == "truncated_normal":
        return None
    fan, scale = distribution.parameters["fan"], distribution.parameters["scale"]
    if fan == "fan_avg":
        return "xavier", distribution.parameters["distribution"]
    within = fan in ("fan_in", "fan_out") and 0.0 < scale <= 2.0 and math.isfinite(2.0 / scale)  # a slope is a number
    return ("he", distribution.parameters["distribution"]) if within else None


def negative_slope(distribution: Distribution) -> float:
    """Return the slope of the leaky ReLU for which He initialization has this scale, 2 / (1 + slope²)."""
    scale = distribution.parameters["scale"]
    return math.sqrt(float(f"{max(2.0 / scale - 1, 0.0):.14g}"))


def family_name(distribution: Distribution) -> str | None:
    """Return a name such as ``"he_normal"`` or ``"glorot_uniform"``, or None; a normal distribution of these names is truncated."""
    for (fan, scale), family in FAMILIES.items():
        for shape, name in {"truncated_normal": "normal", "uniform": "uniform"}.items():
            if distribution == Distribution("scaled", scale=scale, fan=fan, distribution=shape):
                return f"{family}_{name}"
    return None


def has_fans(distribution: Distribution, role: str) -> bool:
    """Return True for a weight with a scaled distribution over a fan that ``VarianceScaling`` has."""
    return distribution.kind == "scaled" and role == "weight" and distribution.parameters["fan"] in FANS
