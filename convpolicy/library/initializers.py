"""Initializers: a distribution × a scale rule. The shape is (out, in/groups, kernel), or (out,) for a bias."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from convpolicy.parts.choice import FrozenArray
from convpolicy.parts.distribution import Distribution
from convpolicy.parts.initializer import Initializer, Target
from convpolicy.parts.part import Param
from convpolicy.parts.stream import Draws
from convpolicy.registry.marks import hookimpl

Values: TypeAlias = "NDArray[Any]"
FANS = ("fan_in", "fan_out", "fan_avg", "fan_in_all_groups")
STEEPEST = 1e150  # its square is a float
LEAST_MASS = 1e-3  # a narrower cut is drawn by rejection for too long


def zeros(draws: Draws, target: Target) -> Values:
    """Every element is 0."""
    return np.zeros(target.shape)


def ones(draws: Draws, target: Target) -> Values:
    """Every element is 1."""
    return np.ones(target.shape)


def constant(draws: Draws, target: Target, *, value: float) -> Values:
    """Every element is value."""
    return np.full(target.shape, value)


def normal(draws: Draws, target: Target, *, mean: float, std: float) -> Values:
    """N(mean, std²), default N(0, 1) as MindSpore's page says; MindSpore 2.0's 'normal' was measured as N(0, 0.01²)."""
    return draws.normal(target.shape, mean, std)


def truncated_normal(draws: Draws, target: Target, *, mean: float, std: float, lower: float, upper: float) -> Values:
    """N(mean, std²) redrawn until within mean + [lower, upper] · std, bounds in standard deviations."""
    return draws.truncated_normal(target.shape, mean, std, lower, upper)


def check_cut(target: Target, *, mean: float, std: float, lower: float, upper: float) -> None:
    """The bounds are in order and hold enough of the law."""
    if not lower < upper:
        raise ValueError(f"lower must be below upper, got {lower} and {upper}; swap them.")
    if (math.erf(upper / math.sqrt(2)) - math.erf(lower / math.sqrt(2))) / 2 < LEAST_MASS:
        raise ValueError(f"[lower, upper] must hold at least {LEAST_MASS} of the law, got [{lower}, {upper}]; widen it.")


def uniform(draws: Draws, target: Target, *, low: float | None, high: float | None) -> Values:
    """U(low, high); without bounds U(-√k, √k) with k = 1/fan_in, torch's default for weight and bias.

    Source: torch/nn/modules/conv.py, _ConvNd.reset_parameters.
    """
    if low is None or high is None:
        high = 1 / math.sqrt(target.fans.fan_in)
        low = -high
    return draws.uniform(target.shape, low, high)


def uniform_distribution(low: float | None, high: float | None) -> Distribution:
    """What `uniform` draws: ±√(1/fan_in) is the uniform distribution of variance 1/3 over fan_in."""
    if low is None or high is None:
        return Distribution("scaled", scale=1.0 / 3.0, fan="fan_in", distribution="uniform")
    return Distribution("uniform", low=low, high=high)


def check_range(target: Target, *, low: float | None, high: float | None) -> None:
    """Both bounds or neither, in order, and a range that a float holds."""
    if (low is None) != (high is None):
        raise ValueError("low and high must be given together, or neither for ±sqrt(1/fan_in).")
    if low is not None and high is not None and not 0 <= high - low < math.inf:
        raise ValueError(f"low must be at most high and not infinitely far from it, got {low} and {high}; correct them.")


def variance_scaling(draws: Draws, target: Target, *, fan: str, gain: float, distribution: str) -> Values:
    """Standard deviation gain / √fan, drawn from a normal, truncated normal (±2σ, corrected) or uniform law.

    Source: He et al. (2015), Glorot & Bengio (2010), LeCun et al. (1998); keras VarianceScaling with scale = gain².
    """
    return draws.scaled(target.shape, target.fans, fan, gain, distribution)


def variance_scaling_distribution(fan: str, gain: float, distribution: str) -> Distribution:
    """What `variance_scaling` draws."""
    return Distribution("scaled", scale=gain * gain, fan=fan, distribution=distribution)


def he(draws: Draws, target: Target, *, fan: str, negative_slope: float, distribution: str) -> Values:
    """Standard deviation √(2 / (1 + negative_slope²) / fan), before a leaky ReLU of that slope.

    Source: He et al. (2015); torch/nn/init.py, kaiming_uniform_, whose ``a`` is the slope; √5 gives ±√(1/fan_in).
    """
    return draws.scaled(target.shape, target.fans, fan, math.sqrt(2.0 / (1 + negative_slope**2)), distribution)


def he_distribution(fan: str, negative_slope: float, distribution: str) -> Distribution:
    """What `he` draws."""
    return Distribution("scaled", scale=2.0 / (1 + negative_slope**2), fan=fan, distribution=distribution)


def check_slope(target: Target, *, fan: str, negative_slope: float, distribution: str) -> None:
    """The slope has a square."""
    if abs(negative_slope) > STEEPEST:
        raise ValueError(f"negative_slope must be at most {STEEPEST:g} either way, got {negative_slope}; pass less.")


def orthogonal(draws: Draws, target: Target, *, gain: float) -> Values:
    """Rows (or columns) of the weight as (out, in/groups · kernel) orthonormal, times gain.

    Source: Saxe et al. (2014); torch/nn/init.py, orthogonal_.
    """
    rows, columns = target.shape[0], math.prod(target.shape[1:])
    flat = draws.normal((max(rows, columns), min(rows, columns)), 0.0, 1.0)
    q, r = np.linalg.qr(flat)
    signed: Values = gain * q * np.sign(np.diag(r))  # the signs make the law uniform over orthogonal matrices
    return (signed if rows >= columns else signed.T).reshape(target.shape)


def dirac(draws: Draws, target: Target) -> Values:
    """Identity: output channel i passes input channel i of its group, at kernel position kernel // 2.

    Source: torch/nn/init.py, dirac_.
    """
    out, inputs, kernel = target.shape
    weight = np.zeros(target.shape)
    per_group = out // target.groups
    for channel in range(out):
        if channel % per_group < inputs:
            weight[channel, channel % per_group, kernel // 2] = 1.0
    return weight


def from_array(draws: Draws, target: Target, *, values: FrozenArray) -> Values:
    """The given numbers, axes (out, in/groups, kernel) for a weight and (out,) for a bias."""
    return np.array(values.array)


def check_shape(target: Target, *, values: FrozenArray | None) -> None:
    """The array has the target's shape."""
    if values is None or values.array.shape != target.shape:
        got = None if values is None else values.array.shape
        raise ValueError(f"values must have shape {target.shape}, got {got}; pass an array of that shape.")


def check_weight(target: Target, **_params: Any) -> None:
    """The target is a weight."""
    if len(target.shape) != 3:
        raise ValueError(f"it needs a weight of three axes, got shape {target.shape}; pick another one for the bias.")


# name -> draw, the parameter it scales by, fan, source
SCALED: dict[str, tuple[Callable[..., Values], dict[str, Param], str, str]] = {
    "he": (he, {"negative_slope": Param(0.0)}, "fan_in", "He et al. (2015): std √(2/fan_in)"),
    "kaiming": (he, {"negative_slope": Param(0.0)}, "fan_in", "He et al. (2015) under torch's name: std √(2/fan_in)"),
    "xavier": (variance_scaling, {"gain": Param(1.0)}, "fan_avg", "Glorot & Bengio (2010): std √(1/fan_avg)"),
    "glorot": (variance_scaling, {"gain": Param(1.0)}, "fan_avg", "Glorot & Bengio (2010) under Keras's name: std √(1/fan_avg)"),
    "lecun": (variance_scaling, {"gain": Param(1.0)}, "fan_in", "LeCun et al. (1998): std √(1/fan_in)"),
}
OF_LAW = {
    "normal": "normal, not truncated, as torch.",
    "truncated_normal": "truncated normal at ±2σ, corrected, as Keras and Flax *_normal.",
    "uniform": "uniform ±√3·std.",
}


def _scaled(name: str, law: str) -> Initializer:
    draw, scale, fan, source = SCALED[name]
    return Initializer(
        f"{name}_{law}",
        draw,
        check=check_slope if draw is he else None,
        distribution=he_distribution if draw is he else variance_scaling_distribution,
        params=_scale_params(fan, scale, law),
        description=f"{source}, {OF_LAW[law]}",
    )


def _scale_params(fan: str, scale: dict[str, Param], law: str) -> dict[str, Param]:
    return {
        "fan": Param(fan, kind="name", allowed=FANS),
        **scale,
        "distribution": Param(law, kind="name", allowed=tuple(OF_LAW)),
    }


@hookimpl
def convpolicy_initializers() -> list[Initializer]:
    """Return the built-in initializers."""
    std = Param(1.0, minimum=0.0)
    return [
        Initializer("zeros", zeros, distribution=lambda: Distribution("constant", value=0.0)),
        Initializer("ones", ones, distribution=lambda: Distribution("constant", value=1.0)),
        Initializer("constant", constant, distribution=partial(Distribution, "constant"), params={"value": Param(0.0)}),
        Initializer("normal", normal, distribution=partial(Distribution, "normal"), params={"mean": Param(0.0), "std": std}),
        Initializer(
            "truncated_normal",
            truncated_normal,
            check=check_cut,
            distribution=partial(Distribution, "truncated_normal"),
            params={"mean": Param(0.0), "std": std, "lower": Param(-2.0), "upper": Param(2.0)},
        ),
        Initializer(
            "uniform",
            uniform,
            check=check_range,
            distribution=uniform_distribution,
            params={"low": Param(None), "high": Param(None)},
        ),
        Initializer(
            "variance_scaling",
            variance_scaling,
            distribution=variance_scaling_distribution,
            params=_scale_params("fan_in", {"gain": Param(1.0)}, "normal"),
        ),
        *(_scaled(name, law) for name in SCALED for law in OF_LAW),
        Initializer(
            "orthogonal",
            orthogonal,
            check=check_weight,
            distribution=partial(Distribution, "orthogonal"),
            params={"gain": Param(1.0)},
        ),
        Initializer("dirac", dirac, check=check_weight, distribution=partial(Distribution, "dirac")),
        Initializer("array", from_array, check=check_shape, params={"values": Param(None, kind="array")}),
    ]
