"""Distributions of initial values, whose parameters are numbers or, for sizes that are names, expressions."""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from convpolicy.core.layer_policy import LayerPolicy
from convpolicy.errors import ConvPolicyError, PluginError
from convpolicy.parts.distribution import Distribution
from convpolicy.parts.initializer import Initializer
from convpolicy.translation.reading import Request
from convpolicy.translation.values import Expression, Value, atom, code_of

TRUNCATED_STD = 0.87962566103423978  # standard deviation of N(0, 1) truncated at ±2


def distribution_of(policy: LayerPolicy, role: str) -> Distribution | None:
    """Return the distribution of a policy's initial values, or None when the initializer does not declare one.

    Args:
        policy: the policy.
        role: ``"weight"`` or ``"bias"``.

    Raises:
        PluginError: the initializer's ``distribution`` fails or returns something else; the message names it and its plugin.
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
    """Return the simple fraction that a scale equals up to rounding, as √5² equals 5; if there is none, the scale."""
    simple = float(Fraction(scale).limit_denominator(1000))
    return simple if math.isclose(simple, scale, rel_tol=1e-14) else scale


def in_numbers(distribution: Distribution, request: Request) -> Distribution:
    """Compute the standard deviation or the bounds of a scaled distribution from the weight's fans.

    Args:
        distribution: any distribution; only a ``"scaled"`` one changes.
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


def in_fans(distribution: Distribution, request: Request, fan_in: str) -> Distribution | None:
    """Return a distribution in terms of the fans of another framework, or None if that framework cannot express it.

    Args:
        distribution: a distribution of the layer's framework.
        request: the layer; its layout says which channels its framework counts as fan-in.
        fan_in: the channels that the other framework counts as fan-in, as in `Layout`.
    """
    if request.policy.part("layout")[0].fan_in == fan_in:
        return distribution
    if distribution.kind != "scaled":
        return None if distribution.kind == "orthogonal" else distribution  # it is orthogonal in the other pair of axes
    swapped = {"fan_in": "fan_out", "fan_out": "fan_in", "fan_avg": "fan_avg"}.get(distribution.parameters["fan"])
    if swapped is None or request.values["groups"] != 1:
        return in_numbers(distribution, request)
    return Distribution("scaled", **{**distribution.parameters, "fan": swapped})


def root_of_ratio(numerator: float, denominator: Value) -> Value:
    """Return √(numerator / denominator), as an expression if the denominator is one."""
    if isinstance(denominator, Expression):
        return Expression(f"({numerator!r} / ({denominator})) ** 0.5")
    return math.sqrt(numerator / denominator)


def negative(value: Value) -> Value:
    """Return -value, as an expression if the value is one."""
    return Expression(f"-{atom(value)}") if isinstance(value, Expression) else -value


def times(factor: float, value: Value) -> Value:
    """Return factor · value, as an expression if the value is one."""
    return Expression(f"{factor!r} * {atom(value)}") if isinstance(value, Expression) else factor * value


def shifted(mean: float, offset: Value) -> Value:
    """Return mean + offset, as an expression if the offset is one."""
    if mean == 0.0:
        return offset
    return Expression(f"{mean!r} + {code_of(offset)}") if isinstance(offset, Expression) else mean + offset


def bounds(parameters: Mapping[str, Any]) -> tuple[Value, Value]:
    """Return the bounds of a truncated normal distribution: mean + lower · std and mean + upper · std."""
    mean, std = parameters["mean"], parameters["std"]
    low, high = (shifted(mean, times(parameters[name], std)) for name in ("lower", "upper"))
    return low, high
