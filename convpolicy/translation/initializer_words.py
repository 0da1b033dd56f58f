"""What a framework calls its initializers: tables of name -> `Named`, and pieces for them that several frameworks share."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from convpolicy.errors import InvalidValueError, nearest
from convpolicy.parts.choice import Choice
from convpolicy.translation.reading import bind
from convpolicy.translation.values import Call, Expression, Value

SEED: Mapping[str, Any] = {"seed": None}
WITHOUT_EFFECT = ("seed", "dtype", "generator")  # on the distribution
UNIT_GAINS = ("linear", "sigmoid", "conv1d", "conv2d", "conv3d")


class Named(NamedTuple):
    """One initializer of a framework.

    Args:
        parameters: name -> default, in positional order.
        choice: ``(**parameters) -> Choice`` of the registered initializer that draws the same; it gets every parameter but those of
            `WITHOUT_EFFECT`, and raises ValueError for what no registered one draws.
    """

    parameters: Mapping[str, Any]
    choice: Callable[..., Choice]


def gain_of(nonlinearity: str, negative_slope: float = 0.0) -> float:
    """Return the gain of a nonlinearity as most frameworks define it: √2 for relu, 5/3 for tanh, 3/4 for selu, 1 for linear.

    Args:
        nonlinearity: its name.
        negative_slope: of a leaky_relu.

    Raises:
        ValueError: another nonlinearity.
    """
    gains = {"relu": math.sqrt(2.0), "leaky_relu": math.sqrt(2.0 / (1 + negative_slope**2)), "tanh": 5.0 / 3, "selu": 0.75}
    if nonlinearity not in gains and nonlinearity not in UNIT_GAINS:
        raise ValueError(f"no gain is known for {nonlinearity!r}")
    return gains.get(nonlinearity, 1.0)


def scaled(fan: str, gain: float, distribution: str) -> Choice:
    """Return a variance scaling with standard deviation gain / √fan."""
    return Choice("variance_scaling", fan=fan, gain=gain, distribution=distribution)


def variance_scaling(distributions: Mapping[str, str]) -> Named:
    """Return ``VarianceScaling(scale, mode, distribution)``.

    Args:
        distributions: the framework's name of a distribution -> what it draws: ``"normal"``, ``"truncated_normal"``, ``"uniform"``.
    """
    return Named(
        {"scale": 1.0, "mode": "fan_in", "distribution": "truncated_normal", **SEED},
        lambda scale, mode, distribution: scaled(mode, math.sqrt(scale), distributions[distribution]),
    )


def truncated_at_values(mean: float, std: float, a: float, b: float) -> Choice:
    """Return a truncated normal whose bounds are values, not standard deviations."""
    return Choice("truncated_normal", mean=mean, std=std, lower=(a - mean) / std, upper=(b - mean) / std)


def plain(name: str) -> Named:
    """Return an initializer without parameters."""
    return Named({}, lambda: Choice(name))


def orthogonal(parameter: str) -> Named:
    """Return an orthogonal initializer whose gain is called ``parameter``."""
    return Named({parameter: 1.0}, lambda **arguments: Choice("orthogonal", gain=arguments[parameter]))


def families(*names: str) -> dict[str, Named]:
    """Return ``he_normal`` and the like of each family name, in frameworks whose normals of these names are truncated."""

    def named(name: str) -> Named:
        return Named(SEED, lambda: Choice(name))

    shapes = {"normal": "truncated_normal", "uniform": "uniform"}
    return {f"{family}{own}": named(f"{family}_{shape}") for family in names for own, shape in shapes.items()}


CONSTANT = Named({"value": 0.0}, lambda value: Choice("constant", value=value))
DIRAC = Named({"groups": 1}, lambda groups: Choice("dirac") if groups == 1 else Choice("dirac", groups=groups))


def choice_of(argument: str, value: Value, names: Mapping[str, Named], groups: Any) -> Choice | None:
    """Return the registered initializer that draws the same, or None when only running the code would tell.

    Args:
        argument: its name, for messages.
        value: a name as text, a call, a class named without a call, or a number.
        names: the framework's own, in lower case without underscores.
        groups: of the convolution; None is returned for a dirac of other groups.

    Raises:
        InvalidValueError: a word that the framework does not know, or arguments that it does not take; holds the nearest.
    """
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return Choice("constant", value=value)
    if not isinstance(value, (str, Call, Expression)):
        return None
    name = value if isinstance(value, str) else value.short if isinstance(value, Call) else (value.path or "").rpartition(".")[2]
    key = name.replace("_", "").lower()
    if key not in names:
        if isinstance(value, str):
            raise InvalidValueError(
                f"{argument} must be one of {', '.join(names)}, got {value!r}; pick one.{nearest(value, names)}"
            )
        return None
    if isinstance(value, Expression) and "initializers" not in (value.path or ""):
        return None  # a variable, whatever it is called
    call = value if isinstance(value, Call) else Call(key, (), (), str(value))
    named = names[key]
    try:
        arguments = bind(call, named.parameters, len(named.parameters), key)
        if any(isinstance(argument, (Expression, Call)) for argument in arguments.values()):
            return None
        choice = named.choice(**{name: arguments[name] for name in arguments if name not in WITHOUT_EFFECT})
    except (ValueError, TypeError, KeyError, ArithmeticError):  # names, calls, or what this library has no word for
        return None
    if choice.name == "dirac":
        return Choice("dirac") if dict(choice.params).get("groups", 1) == groups else None
    return choice
