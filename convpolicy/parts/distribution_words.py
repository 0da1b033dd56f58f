"""Distributions as text for people: ``uniform ±√(1/fan_in) (PyTorch default)``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from convpolicy.parts.distribution import Distribution

# scale (rounded to nine digits), fan and distribution -> the customary name
KNOWN: Mapping[tuple[float, str, str], str] = MappingProxyType(
    {
        (round(1 / 3, 9), "fan_in", "uniform"): "PyTorch default",
        **{(2.0, "fan_in", shape): "He" for shape in ("normal", "truncated_normal", "uniform")},
        **{(1.0, "fan_avg", shape): "Glorot" for shape in ("normal", "truncated_normal", "uniform")},
        **{(1.0, "fan_in", shape): "LeCun" for shape in ("normal", "truncated_normal", "uniform")},
    }
)


def _normal(mean: float, std: float) -> str:
    return f"normal with std {std:g}" + (f" and mean {mean:g}" if mean else "")


def _truncated(mean: float, std: float, lower: float, upper: float) -> str:
    return f"truncated {_normal(mean, std)} cut at {lower:g} and {upper:g} std"


def _scaled(scale: float, fan: str, distribution: str) -> str:
    shape = SHAPES[distribution].format(f"√({scale * FACTORS.get(distribution, 1.0):.6g}/{fan})")
    name = KNOWN.get((round(scale, 9), fan, distribution))
    return f"{shape} ({name})" if name else shape


SHAPES = {
    "uniform": "uniform ±{}",
    "normal": "normal with std {}",
    "truncated_normal": "truncated normal with std {}",
}
FACTORS = {"uniform": 3.0}  # a uniform distribution on ±b has the variance b² / 3
# kind of distribution -> function from its parameters to text
TEXTS: Mapping[str, Callable[..., str]] = MappingProxyType(
    {
        "constant": lambda value: {0.0: "zeros", 1.0: "ones"}.get(value, f"constant {value:g}"),
        "normal": _normal,
        "uniform": lambda low, high: f"uniform from {low:g} to {high:g}",
        "truncated_normal": _truncated,
        "scaled": _scaled,
        "orthogonal": lambda gain: "orthogonal" + (f" times {gain:g}" if gain != 1 else ""),
        "dirac": lambda: "identity (dirac)",
    }
)


def in_words(distribution: Distribution) -> str:
    """Return a distribution as text for people, or an empty string if its kind has no text."""
    text = TEXTS.get(distribution.kind)
    parameters: Mapping[str, Any] = distribution.parameters
    return "" if text is None else text(**parameters)
