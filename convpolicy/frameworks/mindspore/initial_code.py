"""How ``translate`` writes an initializer in MindSpore: an object of ``mindspore.common.initializer``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from convpolicy.parts.distribution import Distribution
from convpolicy.translation.distributions import bounds, in_numbers, negative
from convpolicy.translation.initial_code import call, gain, he_or_xavier, negative_slope
from convpolicy.translation.reading import Request
from convpolicy.translation.values import code_of


def initial(distribution: Distribution, role: str, request: Request) -> str | None:
    """Return the code of ``weight_init`` or ``bias_init``, or None for a distribution that MindSpore does not have."""
    family = he_or_xavier(distribution, role)
    if family is not None and family[0] == "xavier":
        return call(f"initializer.Xavier{family[1].capitalize()}", **gain(distribution))
    if family is not None:
        slope, mode = negative_slope(distribution), distribution.parameters["fan"]
        arguments: dict[str, Any] = {"negative_slope": slope} if slope else {}
        arguments |= {"mode": mode} if mode != "fan_in" else {}
        return call(f"initializer.He{family[1].capitalize()}", **arguments)
    plain, groups = in_numbers(distribution, request), request.values["groups"]
    p = plain.parameters
    if plain.kind == "uniform":
        symmetric = code_of(p["low"]) == code_of(negative(p["high"]))
        return call("initializer.Uniform", scale=p["high"]) if symmetric else None
    if plain.kind == "truncated_normal":
        low, high = bounds(p)
        return call("initializer.TruncatedNormal", sigma=p["std"], mean=p["mean"], a=low, b=high)
    values: dict[str, Callable[[], str]] = {
        "constant": lambda: call("initializer.Constant", p["value"]) if p["value"] else '"zeros"',
        "normal": lambda: call("initializer.Normal", sigma=p["std"], mean=p["mean"]),
        "orthogonal": lambda: call("initializer.Orthogonal", gain=p["gain"]),
        "dirac": lambda: call("initializer.Dirac", groups=groups),
    }
    return values[plain.kind]() if plain.kind in values else None
