"""The distribution of a policy's initial values, with numbers where the sizes are numbers and expressions where they are names."""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from convpolicy.core.policy import Policy
from convpolicy.errors import ConvPolicyError, PluginError
from convpolicy.parts.distribution import Distribution
from convpolicy.parts.initializer import Initializer
from convpolicy.translation.reading import Request
from convpolicy.translation.values import Expression, Value, atom, code_of

TRUNCATED_STD = 0.87962566103423978  # of N(0, 1) cut at ±2, by which corrected truncated normals are divided


def distribution_of(policy: Policy, role: str) -> Distribution | None:
    """Return what a policy draws for ``"weight"`` or ``"bias"``, or None where its initializer does not say.

    Raises:
        PluginError: the initializer's ``distribution`` fails or returns something else; holds the initializer and its plugin.
    """
    initializer: Initializer
    initializer, arguments = policy.part(f"{role}_init")
    if initializer.distribution is None:
        return None
    name = f"distribution of initializer {initializer.name!r} ({initializer.provider})"
    try:
        distribution = initializer.distribution(**arguments)
    except ConvPolicyError:
        raise
    except Exception as error:
        raise PluginError(f"{name} failed for {dict(arguments)}: {type(error).__name__}: {error}") from error
    if not isinstance(distribution, Distribution):
        raise PluginError(f"{name} must return a Distribution, got {type(distribution).__name__}.")
    if not all(math.isfinite(value) for value in distribution.parameters.values() if isinstance(value, float)):
        return None
    if distribution.kind == "scaled":
        scale = _simple(distribution.parameters["scale"])
        return Distribution("scaled", **{**distribution.parameters, "scale": scale})
    return distribution


def _simple(scale: float) -> float:
    """Return the simple fraction that a scale is within rounding of, as √5² is of 5, else the scale."""
    simple = float(Fraction(scale).limit_denominator(1000))
    return simple if math.isclose(simple, scale, rel_tol=1e-14) else scale


def in_numbers(distribution: Distribution, request: Request) -> Distribution:
    """Return a scaled distribution as a plain one, with its standard deviation or bounds from the weight's fans.

    Args:
        distribution: of any kind; one that is not ``"scaled"`` is returned as it is.
        request: the layer, for its sizes.

    Returns:
        A ``"normal"``, ``"truncated_normal"`` or ``"uniform"`` distribution whose parameters are numbers or expressions.
    """
    if distribution.kind != "scaled":
        return distribution
    scale, shape = distribution.parameters["scale"], distribution.parameters["distribution"]
    factor = {"uniform": 3.0, "normal": 1.0, "truncated_normal": 1.0 / TRUNCATED_STD**2}[shape]
    width = root_of_ratio(scale * factor, request.fan(distribution.parameters["fan"]))
    if shape == "uniform":
        return Distribution("uniform", low=negative(width), high=width)
    cut = {"lower": -2.0, "upper": 2.0} if shape == "truncated_normal" else {}
    return Distribution(shape, mean=0.0, std=width, **cut)


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


def bounds(parameters: Mapping[str, Any]) -> tuple[Value, Value]:
    """Return the bounds of a truncated normal as values: mean + lower · std and mean + upper · std."""
    mean, std = parameters["mean"], parameters["std"]
    low, high = (shifted(mean, times(parameters[name], std)) for name in ("lower", "upper"))
    return low, high
