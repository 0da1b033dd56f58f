"""The built-in initializers: a distribution and a scale rule.

The shape is (out, in/groups, kernel) for a weight and (out,) for a bias.
"""

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
STEEPEST = 1e150  # largest negative slope, whose square is still finite
LEAST_MASS = 1e-3  # least probability within the bounds; below it, drawing by rejection takes too long


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
    """N(mean, std²), by default N(0, 1) as MindSpore documents it; MindSpore 2.0 was measured to draw N(0, 0.01²)."""
    return draws.normal(target.shape, mean, std)


def truncated_normal(draws: Draws, target: Target, *, mean: float, std: float, lower: float, upper: float) -> Values:
    """N(mean, std²) truncated to mean + [lower, upper] · std, with the bounds in standard deviations."""
    return draws.truncated_normal(target.shape, mean, std, lower, upper)


def check_cut(target: Target, *, mean: float, std: float, lower: float, upper: float) -> None:
    """Check that the bounds are in order and contain enough of the distribution."""
    if not lower < upper:
        raise ValueError(f"lower must be below upper, got {lower} and {upper}; swap them.")
    if (math.erf(upper / math.sqrt(2)) - math.erf(lower / math.sqrt(2))) / 2 < LEAST_MASS:
        raise ValueError(
            f"[lower, upper] must contain at least {LEAST_MASS} of the distribution, got [{lower}, {upper}]; widen it."
        )


def uniform(draws: Draws, target: Target, *, low: float | None, high: float | None) -> Values:
    """Uniform from low to high; without bounds uniform ±√(1/fan_in), PyTorch's default for weight and bias.

    Source: torch/nn/modules/conv.py, _ConvNd.reset_parameters.
    """
    if low is None or high is None:
        high = 1 / math.sqrt(target.fans.fan_in)
        low = -high
    return draws.uniform(target.shape, low, high)


def uniform_distribution(low: float | None, high: float | None) -> Distribution:
    """Return the distribution of `uniform`; uniform ±√(1/fan_in) has the variance 1/(3 fan_in)."""
    if low is None or high is None:
        return Distribution("scaled", scale=1.0 / 3.0, fan="fan_in", distribution="uniform")
    return Distribution("uniform", low=low, high=high)


def check_range(target: Target, *, low: float | None, high: float | None) -> None:
    """Check that both bounds or none are set, that they are in order, and that their range is finite."""
    if (low is None) != (high is None):
        raise ValueError("low and high must be passed together, or neither for ±sqrt(1/fan_in).")
    if low is not None and high is not None and not 0 <= high - low < math.inf:
        raise ValueError(f"low must be at most high and not infinitely far from it, got {low} and {high}; correct them.")


def variance_scaling(draws: Draws, target: Target, *, fan: str, gain: float, distribution: str) -> Values:
    """Standard deviation gain / √fan; the distribution is normal, truncated normal (±2σ, corrected) or uniform.

    Source: He et al. (2015), Glorot & Bengio (2010), LeCun et al. (1998); keras VarianceScaling with scale = gain².
    """
    return draws.scaled(target.shape, target.fans, fan, gain, distribution)


def variance_scaling_distribution(fan: str, gain: float, distribution: str) -> Distribution:
    """Return the distribution of `variance_scaling`."""
    return Distribution("scaled", scale=gain * gain, fan=fan, distribution=distribution)


def he(draws: Draws, target: Target, *, fan: str, negative_slope: float, distribution: str) -> Values:
    """Standard deviation √(2 / (1 + negative_slope²) / fan), for a layer before a leaky ReLU of that slope.

    A uniform distribution with the slope √5 is uniform ±√(1/fan_in), PyTorch's default.
    Source: He et al. (2015); torch/nn/init.py, ``kaiming_uniform_``, whose parameter ``a`` is the slope.
    """
    return draws.scaled(target.shape, target.fans, fan, math.sqrt(2.0 / (1 + negative_slope**2)), distribution)


def he_distribution(fan: str, negative_slope: float, distribution: str) -> Distribution:
    """Return the distribution of `he`."""
    return Distribution("scaled", scale=2.0 / (1 + negative_slope**2), fan=fan, distribution=distribution)


def check_slope(target: Target, *, fan: str, negative_slope: float, distribution: str) -> None:
    """Check that the square of the slope is finite."""
    if abs(negative_slope) > STEEPEST:
        raise ValueError(f"negative_slope must be at most {STEEPEST:g} in magnitude, got {negative_slope}; pass less.")


def orthogonal(draws: Draws, target: Target, *, gain: float) -> Values:
    """Orthogonal matrix (out, in/groups · kernel), with orthonormal rows or columns, times gain.

    Source: Saxe et al. (2014); torch/nn/init.py, ``orthogonal_``.
    """
    rows, columns = target.shape[0], math.prod(target.shape[1:])
    flat = draws.normal((max(rows, columns), min(rows, columns)), 0.0, 1.0)
    q, r = np.linalg.qr(flat)
    signed: Values = gain * q * np.sign(np.diag(r))  # the signs make the distribution uniform over orthogonal matrices
    return (signed if rows >= columns else signed.T).reshape(target.shape)


def dirac(draws: Draws, target: Target) -> Values:
    """Identity: output channel i copies input channel i of its group; the 1 is at kernel position kernel // 2.

    Source: torch/nn/init.py, ``dirac_``.
    """
    out, inputs, kernel = target.shape
    weight = np.zeros(target.shape)
    per_group = out // target.groups
    for channel in range(out):
        if channel % per_group < inputs:
            weight[channel, channel % per_group, kernel // 2] = 1.0
    return weight


def from_array(draws: Draws, target: Target, *, values: FrozenArray) -> Values:
    """The numbers of an array, (out, in/groups, kernel) for a weight and (out,) for a bias."""
    return np.array(values.array)


def check_shape(target: Target, *, values: FrozenArray | None) -> None:
    """Check that the array has the shape of the target."""
    if values is None or values.array.shape != target.shape:
        shape = None if values is None else values.array.shape
        raise ValueError(f"values must have shape {target.shape}, got {shape}; pass an array of that shape.")


def check_weight(target: Target, **_params: Any) -> None:
    """Check that the target is a weight."""
    if len(target.shape) != 3:
        raise ValueError(f"it needs a weight of three axes, got shape {target.shape}; pick another one for the bias.")


# name -> draw function, parameter of the scale, fan, numerator of the variance, source
SCALED: dict[str, tuple[Callable[..., Values], dict[str, Param], str, int, str]] = {
    "he": (he, {"negative_slope": Param(0.0)}, "fan_in", 2, "He et al. (2015)"),
    "kaiming": (he, {"negative_slope": Param(0.0)}, "fan_in", 2, "He et al. (2015), PyTorch's name"),
    "xavier": (variance_scaling, {"gain": Param(1.0)}, "fan_avg", 1, "Glorot & Bengio (2010)"),
    "glorot": (variance_scaling, {"gain": Param(1.0)}, "fan_avg", 1, "Glorot & Bengio (2010), Keras's name"),
    "lecun": (variance_scaling, {"gain": Param(1.0)}, "fan_in", 1, "LeCun et al. (1998)"),
}
# distribution -> (factor of the variance, text); a uniform distribution on ±b has the variance b² / 3
DISTRIBUTIONS = {
    "normal": (1, "normal with std {}, as in PyTorch"),
    "truncated_normal": (1, "normal with std {}, truncated at ±2σ and corrected, as in Keras and Flax"),
    "uniform": (3, "uniform ±{}"),
}


def _scaled(name: str, distribution: str) -> Initializer:
    draw, scale, fan, variance, source = SCALED[name]
    factor, text = DISTRIBUTIONS[distribution]
    return Initializer(
        f"{name}_{distribution}",
        draw,
        check=check_slope if draw is he else None,
        distribution=he_distribution if draw is he else variance_scaling_distribution,
        params=_scale_params(fan, scale, distribution),
        description=f"{source}: {text.format(f'√({factor * variance}/{fan})')}.",
    )


def _scale_params(fan: str, scale: dict[str, Param], distribution: str) -> dict[str, Param]:
    return {
        "fan": Param(fan, kind="name", allowed=FANS),
        **scale,
        "distribution": Param(distribution, kind="name", allowed=tuple(DISTRIBUTIONS)),
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
        *(_scaled(name, distribution) for name in SCALED for distribution in DISTRIBUTIONS),
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
