"""Read the initializers of a framework: tables of names and `Named` entries, and entries that several frameworks share."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from convpolicy.errors import InvalidValueError, nearest
from convpolicy.parts.choice import Choice
from convpolicy.translation.reading import bind
from convpolicy.translation.values import Call, Expression, Value

SEED: Mapping[str, Any] = {"seed": None}
WITHOUT_EFFECT = ("seed", "dtype", "generator")  # parameters that do not change the distribution
UNIT_GAINS = ("linear", "sigmoid", "conv1d", "conv2d", "conv3d")


class Named(NamedTuple):
    """One initializer of a framework.

    Args:
        parameters: name of each parameter with its default, in positional order.
        choice: function ``(**parameters) -> Choice`` that returns the registered initializer with the same distribution. It gets every
            parameter except those of `WITHOUT_EFFECT`, and raises ValueError when there is no such initializer.
    """

    parameters: Mapping[str, Any]
    choice: Callable[..., Choice]


def gain_of(nonlinearity: str, negative_slope: float = 0.0) -> float:
    """Return the gain of a nonlinearity as most frameworks define it: √2 for relu, 5/3 for tanh, 3/4 for selu, 1 for linear.

    Args:
        nonlinearity: name of the nonlinearity.
        negative_slope: slope of ``leaky_relu`` for negative inputs.

    Raises:
        ValueError: the nonlinearity is not one of these.
    """
    gains = {"relu": math.sqrt(2.0), "leaky_relu": math.sqrt(2.0 / (1 + negative_slope**2)), "tanh": 5.0 / 3, "selu": 0.75}
    if nonlinearity not in gains and nonlinearity not in UNIT_GAINS:
        raise ValueError(f"no gain is known for {nonlinearity!r}")
    return gains.get(nonlinearity, 1.0)


def scaled(fan: str, gain: float, distribution: str) -> Choice:
    """Return variance scaling with standard deviation gain / √fan."""
    return Choice("variance_scaling", fan=fan, gain=gain, distribution=distribution)


def variance_scaling(distributions: Mapping[str, str]) -> Named:
    """Return the entry for ``VarianceScaling(scale, mode, distribution)``.

    Args:
        distributions: the framework's name of each distribution, with its shape: ``"normal"``, ``"truncated_normal"`` or ``"uniform"``.
    """
    return Named(
        {"scale": 1.0, "mode": "fan_in", "distribution": "truncated_normal", **SEED},
        lambda scale, mode, distribution: scaled(mode, math.sqrt(scale), distributions[distribution]),
    )


def truncated_at_values(mean: float, std: float, a: float, b: float) -> Choice:
    """Return a truncated normal distribution with absolute bounds a and b."""
    return Choice("truncated_normal", mean=mean, std=std, lower=(a - mean) / std, upper=(b - mean) / std)


def plain(name: str) -> Named:
    """Return the entry for an initializer without parameters."""
    return Named({}, lambda: Choice(name))


def orthogonal(parameter: str) -> Named:
    """Return the entry for an orthogonal initializer whose gain is called ``parameter``."""
    return Named({parameter: 1.0}, lambda **arguments: Choice("orthogonal", gain=arguments[parameter]))


def families(*names: str) -> dict[str, Named]:
    """Return entries such as ``he_normal`` and ``he_uniform`` for families; the normal distributions are truncated."""

    def entry(name: str) -> Named:
        return Named(SEED, lambda: Choice(name))

    shapes = {"normal": "truncated_normal", "uniform": "uniform"}
    return {f"{family}{name}": entry(f"{family}_{shape}") for family in names for name, shape in shapes.items()}


CONSTANT = Named({"value": 0.0}, lambda value: Choice("constant", value=value))
DIRAC = Named({"groups": 1}, lambda groups: Choice("dirac") if groups == 1 else Choice("dirac", groups=groups))


def choice_of(argument: str, value: Value, names: Mapping[str, Named], groups: Any) -> Choice | None:
    """Return the registered initializer that a value describes, or None when it has no counterpart or is not known.

    Args:
        argument: name of the argument, used in messages.
        value: name of an initializer as a string, a call, the name of a class, or a number.
        names: initializers of the framework, by name in lower case without underscores.
        groups: number of groups of the convolution. A dirac initializer with another number of groups has no counterpart.

    Raises:
        InvalidValueError: the framework has no such initializer, or the initializer no such argument; the message suggests the nearest.
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
        return None  # a variable, not a class of the framework
    call = value if isinstance(value, Call) else Call(key, (), (), str(value))
    entry = names[key]
    try:
        arguments = bind(call, entry.parameters, len(entry.parameters), key)
        if any(isinstance(argument, (Expression, Call)) for argument in arguments.values()):
            return None
        choice = entry.choice(**{name: arguments[name] for name in arguments if name not in WITHOUT_EFFECT})
    except (ValueError, TypeError, KeyError, ArithmeticError):  # no registered initializer is the same
        return None
    if choice.name == "dirac":
        return Choice("dirac") if dict(choice.params).get("groups", 1) == groups else None
    return choice
