"""How ``translate`` writes an initializer in MLX: a statement of ``mlx.nn.init``, or of ``mlx.core.random`` for a truncated normal."""

from __future__ import annotations

from convpolicy import Distribution
from convpolicy.translation.distributions import in_numbers
from convpolicy.translation.initial_code import call, gain, has_fans
from convpolicy.translation.reading import Request
from convpolicy.translation.values import atom


def initial(distribution: Distribution, role: str, request: Request) -> str | None:
    """Return a statement that fills ``{tensor}``, or None for a distribution that MLX does not have."""
    draw = _expression(distribution, role, request)
    return None if draw is None else f"{{tensor}} = {draw}"


def _expression(distribution: Distribution, role: str, request: Request) -> str | None:
    if has_fans(distribution, role) and distribution.parameters["distribution"] in ("uniform", "normal"):
        shape, fan = (distribution.parameters[name] for name in ("distribution", "fan"))
        mode = ', mode="fan_out"' if fan == "fan_out" else ""
        arguments = mode + "".join(f", gain={value!r}" for value in gain(distribution).values())
        return f"nn.init.{'glorot' if fan == 'fan_avg' else 'he'}_{shape}()({{tensor}}{arguments})"
    plain = in_numbers(distribution, request)
    p = plain.parameters
    if plain.kind == "uniform":
        return f"{call('nn.init.uniform', p['low'], p['high'])}({{tensor}})"
    if plain.kind == "normal":
        return f"{call('nn.init.normal', p['mean'], p['std'])}({{tensor}})"
    if plain.kind == "constant":
        return f"{call('nn.init.constant', p['value'])}({{tensor}})"
    if plain.kind == "truncated_normal":
        mean = f"{p['mean']!r} + " if p["mean"] else ""
        return f"{mean}{atom(p['std'])} * mx.random.truncated_normal({p['lower']!r}, {p['upper']!r}, {{tensor}}.shape)"
    if plain.kind == "orthogonal" and role == "weight":  # MLX's needs a matrix: one row per output channel
        return f"{call('nn.init.orthogonal', p['gain'])}({{tensor}}.flatten(1)).reshape({{tensor}}.shape)"
    return None
