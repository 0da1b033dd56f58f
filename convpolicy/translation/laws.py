"""A policy's initializers as laws: what is drawn, with numbers where the sizes are numbers and expressions where they are names."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any, NamedTuple

from convpolicy.core.policy import Policy
from convpolicy.parts.initializer import FAN_IN_UNIFORM
from convpolicy.translation.reading import Wanted
from convpolicy.translation.values import Expression, Value, atom, code_of

TRUNCATED_STD = 0.87962566103423978  # of N(0, 1) cut at ±2, by which Keras and Flax divide


class Law(NamedTuple):
    """One distribution.

    ``scaled``: variance scale / fan under ``distribution``; ``normal``: mean, std; ``uniform``: low, high; ``truncated_normal``:
    mean, std, and the bounds lower and upper in standard deviations; ``constant``: value; ``orthogonal``: gain; ``dirac``.
    """

    kind: str
    parameters: dict[str, Any]

    def is_scaled(self, scale: float, fan: str, distribution: str) -> bool:
        """Return True for this scaled law."""
        wanted = {"fan": fan, "distribution": distribution}
        return (
            self.kind == "scaled"
            and self.parameters["scale"] == scale
            and all(self.parameters[name] == value for name, value in wanted.items())
        )


def law(policy: Policy, role: str) -> Law:
    """Return the law of ``"weight"`` or ``"bias"``."""
    initializer, arguments = policy.part(f"{role}_init")
    given = dict(arguments)
    name = initializer.name
    if name in ("zeros", "ones"):
        return Law("constant", {"value": 0.0 if name == "zeros" else 1.0})
    if name == "uniform" and given["low"] is None:
        return law_of_torch()
    if "distribution" in given:
        slope = given.get("negative_slope")
        scale = _round(2.0 / (1 + slope**2) if slope is not None else given["gain"] ** 2)
        return Law("scaled", {"scale": scale, "fan": given["fan"], "distribution": given["distribution"]})
    return Law(name, given)


def law_of_torch() -> Law:
    """Return ±√(1/fan_in): variance 1/3 over fan_in, uniform."""
    slope = dict(FAN_IN_UNIFORM.params)["negative_slope"]
    return Law("scaled", {"scale": _round(2.0 / (1 + slope**2)), "fan": "fan_in", "distribution": "uniform"})


def _round(scale: float) -> float:
    """Return the simple fraction that a scale is within rounding of, as √5² is of 5, else the scale."""
    simple = float(Fraction(scale).limit_denominator(1000))
    return simple if math.isclose(simple, scale, rel_tol=1e-14) else scale


def in_numbers(found: Law, wanted: Wanted) -> Law:
    """Return a scaled law as a plain one, with its standard deviation or bounds from the weight's fans."""
    if found.kind != "scaled":
        return found
    scale, distribution = found.parameters["scale"], found.parameters["distribution"]
    factor = {"uniform": 3.0, "normal": 1.0, "truncated_normal": 1.0 / TRUNCATED_STD**2}[distribution]
    width = root_of_ratio(scale * factor, wanted.fan(found.parameters["fan"]))
    if distribution == "uniform":
        return Law("uniform", {"low": negative(width), "high": width})
    bounds = {"lower": -2.0, "upper": 2.0} if distribution == "truncated_normal" else {}
    return Law(distribution, {"mean": 0.0, "std": width, **bounds})


def root_of_ratio(numerator: float, denominator: Value) -> Value:
    """Return √(numerator / denominator), as code where the denominator is."""
    if isinstance(denominator, Expression):
        return Expression(f"({numerator!r} / ({denominator})) ** 0.5")
    return math.sqrt(numerator / denominator)


def negative(value: Value) -> Value:
    """Return -value, as code where the value is."""
    return Expression(f"-{atom(value)}") if isinstance(value, Expression) else -value


def times(factor: float, value: Value) -> Value:
    """Return factor · value, as code where the value is."""
    return Expression(f"{factor!r} * {atom(value)}") if isinstance(value, Expression) else factor * value


def shifted(mean: float, offset: Value) -> Value:
    """Return mean + offset, as code where the offset is."""
    if mean == 0.0:
        return offset
    return Expression(f"{mean!r} + {code_of(offset)}") if isinstance(offset, Expression) else mean + offset


def bounds(parameters: dict[str, Any]) -> tuple[Value, Value]:
    """Return the bounds of a truncated normal as values."""
    mean, std = parameters["mean"], parameters["std"]
    low, high = (shifted(mean, times(parameters[name], std)) for name in ("lower", "upper"))
    return low, high
