"""How ``translate`` writes an initializer in Flax: a function of ``flax.nnx.initializers`` or ``jax.random``."""

from __future__ import annotations

from collections.abc import Callable

from convpolicy.parts.distribution import Distribution
from convpolicy.translation.distributions import in_numbers
from convpolicy.translation.initial_code import call, family_name, has_fans
from convpolicy.translation.reading import Request
from convpolicy.translation.values import code_of


def initial(distribution: Distribution, role: str, request: Request) -> str | None:
    """Return the code of ``kernel_init`` or ``bias_init``, or None for a distribution that Flax does not have."""
    if has_fans(distribution, role):
        name = family_name(distribution)
        scaling = (distribution.parameters[key] for key in ("scale", "fan", "distribution"))
        return f"nnx.initializers.{name}()" if name else call("nnx.initializers.variance_scaling", *scaling)
    plain = in_numbers(distribution, request)
    p = plain.parameters
    if plain.kind == "uniform":
        return f"lambda *drawn: jax.random.uniform(*drawn, minval={code_of(p['low'])}, maxval={code_of(p['high'])})"
    mean = p.get("mean", 0.0)
    if plain.kind == "normal":
        draw = call("nnx.initializers.normal", p["std"])
        return draw if not mean else f"lambda *drawn: {mean!r} + {draw}(*drawn)"
    if plain.kind == "truncated_normal":
        draw = call("nnx.initializers.truncated_normal", p["std"], lower=p["lower"], upper=p["upper"])
        return draw if not mean else f"lambda *drawn: {mean!r} + {draw}(*drawn)"
    values: dict[str, Callable[[], str]] = {
        "constant": lambda: call("nnx.initializers.constant", p["value"]) if p["value"] else "nnx.initializers.zeros_init()",
        "orthogonal": lambda: call("nnx.initializers.orthogonal", p["gain"]),
    }
    return values[plain.kind]() if plain.kind in values else None
