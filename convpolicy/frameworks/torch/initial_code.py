"""How ``translate`` writes an initializer in torch: a statement of ``torch.nn.init``."""

from __future__ import annotations

from collections.abc import Callable

from convpolicy.parts.distribution import Distribution
from convpolicy.translation.distributions import bounds, in_numbers
from convpolicy.translation.initial_code import gain, he_or_xavier, negative_slope
from convpolicy.translation.reading import Request
from convpolicy.translation.values import code_of


def initial(distribution: Distribution, role: str, request: Request) -> str | None:
    """Return a statement that fills ``{tensor}``, or None for a distribution that torch does not have."""
    family = he_or_xavier(distribution, role)
    if family is not None and family[0] == "xavier":
        gains = "".join(f", gain={value!r}" for value in gain(distribution).values())
        return f"nn.init.xavier_{family[1]}_({{tensor}}{gains})"
    if family is not None:
        slope, mode = negative_slope(distribution), distribution.parameters["fan"]
        arguments = [f"a={slope!r}"] if slope else []
        arguments += [f'mode="{mode}"'] if mode != "fan_in" else []
        arguments += ['nonlinearity="leaky_relu"' if slope else 'nonlinearity="relu"']
        return f"nn.init.kaiming_{family[1]}_({{tensor}}, {', '.join(arguments)})"
    plain, groups = in_numbers(distribution, request), request.values["groups"]
    p = plain.parameters
    if plain.kind == "truncated_normal":
        low, high = bounds(p)
        cut = f"a={code_of(low)}, b={code_of(high)}"
        return f"nn.init.trunc_normal_({{tensor}}, mean={code_of(p['mean'])}, std={code_of(p['std'])}, {cut})"
    statements: dict[str, Callable[[], str]] = {
        "constant": lambda: f"nn.init.constant_({{tensor}}, {p['value']!r})" if p["value"] else "nn.init.zeros_({tensor})",
        "normal": lambda: f"nn.init.normal_({{tensor}}, mean={code_of(p['mean'])}, std={code_of(p['std'])})",
        "uniform": lambda: f"nn.init.uniform_({{tensor}}, {code_of(p['low'])}, {code_of(p['high'])})",
        "orthogonal": lambda: f"nn.init.orthogonal_({{tensor}}, gain={p['gain']!r})",
        "dirac": lambda: f"nn.init.dirac_({{tensor}}, groups={code_of(groups)})",
    }
    return statements[plain.kind]() if plain.kind in statements else None
