"""How ``translate`` writes an initializer in Keras: a name, or an object of ``keras.initializers``."""

from __future__ import annotations

from collections.abc import Callable

from convpolicy.parts.distribution import Distribution
from convpolicy.translation.distributions import in_numbers
from convpolicy.translation.initial_code import STANDARD_BOUNDS, call, family_name, has_fans
from convpolicy.translation.reading import Request
from convpolicy.translation.values import code_of


def initial(distribution: Distribution, role: str, request: Request) -> str | None:
    """Return the code of ``kernel_initializer`` or ``bias_initializer``, or None for a distribution that Keras does not have."""
    if has_fans(distribution, role):
        name, shape = family_name(distribution), distribution.parameters["distribution"]
        distribution_name = {"normal": "untruncated_normal"}.get(shape, shape)
        scaling = {
            "scale": distribution.parameters["scale"],
            "mode": distribution.parameters["fan"],
            "distribution": distribution_name,
        }
        return code_of(name) if name else call("keras.initializers.VarianceScaling", **scaling)
    plain = in_numbers(distribution, request)
    p = plain.parameters
    if plain.kind == "truncated_normal":
        if (p["lower"], p["upper"]) != STANDARD_BOUNDS:
            return None
        return call("keras.initializers.TruncatedNormal", mean=p["mean"], stddev=p["std"])
    values: dict[str, Callable[[], str]] = {
        "constant": lambda: call("keras.initializers.Constant", p["value"]) if p["value"] else '"zeros"',
        "normal": lambda: call("keras.initializers.RandomNormal", mean=p["mean"], stddev=p["std"]),
        "uniform": lambda: call("keras.initializers.RandomUniform", p["low"], p["high"]),
        "orthogonal": lambda: call("keras.initializers.Orthogonal", gain=p["gain"]),
    }
    return values[plain.kind]() if plain.kind in values else None
