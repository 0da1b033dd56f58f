"""How ``translate`` writes an initializer in Paddle: an object of ``paddle.nn.initializer``."""

from __future__ import annotations

from collections.abc import Callable

from convpolicy.parts.distribution import Distribution
from convpolicy.translation.distributions import bounds, in_numbers
from convpolicy.translation.initial_code import call
from convpolicy.translation.reading import Request


def initial(distribution: Distribution, role: str, request: Request) -> str | None:
    """Return the code of ``weight_attr`` or ``bias_attr``, or None for a distribution that Paddle does not have."""
    plain, groups = in_numbers(distribution, request), request.values["groups"]
    p = plain.parameters
    if plain.kind == "truncated_normal":
        low, high = bounds(p)
        return call("nn.initializer.TruncatedNormal", mean=p["mean"], std=p["std"], a=low, b=high)
    values: dict[str, Callable[[], str]] = {
        "constant": lambda: call("nn.initializer.Constant", p["value"]),
        "normal": lambda: call("nn.initializer.Normal", mean=p["mean"], std=p["std"]),
        "uniform": lambda: call("nn.initializer.Uniform", p["low"], p["high"]),
        "orthogonal": lambda: call("nn.initializer.Orthogonal", gain=p["gain"]),
        "dirac": lambda: call("nn.initializer.Dirac", groups=groups),
    }
    return values[plain.kind]() if plain.kind in values else None
