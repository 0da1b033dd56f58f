"""What each framework calls its initializers, as tables: name -> parameters with defaults, and the `Choice` they stand for."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from convpolicy.errors import InvalidValueError, nearest
from convpolicy.parts.choice import Choice
from convpolicy.translation.reading import bind
from convpolicy.translation.values import Call, Expression, Value

_SEED = {"seed": None}
WITHOUT_EFFECT = ("seed", "dtype")  # on the law
UNIT_GAINS = ("linear", "sigmoid", "conv1d", "conv2d", "conv3d")


class Named(NamedTuple):
    """One initializer of a framework: its parameters in positional order, and what it is here."""

    parameters: Mapping[str, Any]
    choice: Callable[..., Choice]


def gain_of(nonlinearity: str, negative_slope: float = 0.0) -> float:
    """Return the gain that torch, MindSpore and Paddle give a nonlinearity.

    Raises:
        ValueError: another one.
    """
    gains = {"relu": math.sqrt(2.0), "leaky_relu": math.sqrt(2.0 / (1 + negative_slope**2)), "tanh": 5.0 / 3, "selu": 0.75}
    if nonlinearity not in gains and nonlinearity not in UNIT_GAINS:
        raise ValueError(f"no gain is known for {nonlinearity!r}")
    return gains.get(nonlinearity, 1.0)


def _scaled(fan: str, gain: float, law: str) -> Choice:
    return Choice("variance_scaling", fan=fan, gain=gain, distribution=law)


def _scaling(laws: Mapping[str, str]) -> Named:
    """``VarianceScaling(scale, mode, distribution)``, with what each distribution really draws."""
    return Named(
        {"scale": 1.0, "mode": "fan_in", "distribution": "truncated_normal", **_SEED},
        lambda scale, mode, distribution: _scaled(mode, math.sqrt(scale), laws[distribution]),
    )


def _absolute(mean: float, std: float, a: float, b: float) -> Choice:
    """A truncated normal whose bounds are values, not standard deviations."""
    return Choice("truncated_normal", mean=mean, std=std, lower=(a - mean) / std, upper=(b - mean) / std)


def _constant(value: float) -> Choice:
    return Choice("constant", value=value)


def _plain(name: str) -> Named:
    return Named({}, lambda: Choice(name))


def _orthogonal(parameter: str) -> Named:
    return Named({parameter: 1.0}, lambda **given: Choice("orthogonal", gain=given[parameter]))


def _families(*families: str) -> dict[str, Named]:
    """Keras's and Flax's ``he_normal`` and its like, whose normal laws are truncated."""

    def named(name: str) -> Named:
        return Named(_SEED, lambda: Choice(name))

    laws = {"normal": "truncated_normal", "uniform": "uniform"}
    return {f"{family}{own}": named(f"{family}_{law}") for family in families for own, law in laws.items()}


def _he(law: str) -> Named:
    return Named(
        {"negative_slope": 0, "mode": "fan_in", "nonlinearity": "leaky_relu"},
        lambda negative_slope, mode, nonlinearity: _scaled(mode, gain_of(nonlinearity, negative_slope), law),
    )


def _kaiming(law: str) -> Named:
    def choice(fan_in: Any, negative_slope: float, nonlinearity: str, mode: str) -> Choice:
        if fan_in is not None:
            raise ValueError("a fan_in of its own")
        return _scaled(mode, gain_of(nonlinearity, negative_slope), law)

    return Named({"fan_in": None, "negative_slope": 0.0, "nonlinearity": "relu", "mode": "fan_in"}, choice)


def _paddle_xavier(law: str) -> Named:
    def choice(fan_in: Any, fan_out: Any, gain: float) -> Choice:
        if fan_in is not None or fan_out is not None:
            raise ValueError("fans of its own")
        return _scaled("fan_avg", gain, law)

    return Named({"fan_in": None, "fan_out": None, "gain": 1.0}, choice)


def _dirac(groups: int) -> Choice:
    return Choice("dirac") if groups == 1 else Choice("dirac", groups=groups)


MINDSPORE = {
    "zero": _plain("zeros"),
    "zeros": _plain("zeros"),
    "one": _plain("ones"),
    "ones": _plain("ones"),
    "constant": Named({"value": 0.0}, _constant),
    "normal": Named({"sigma": 0.01, "mean": 0.0}, lambda sigma, mean: Choice("normal", mean=mean, std=sigma)),
    "uniform": Named({"scale": 0.07}, lambda scale: Choice("uniform", low=-scale, high=scale)),
    "truncatednormal": Named(
        {"sigma": 0.01, "mean": 0.0, "a": -2.0, "b": 2.0}, lambda sigma, mean, a, b: _absolute(mean, sigma, a, b)
    ),
    "heuniform": _he("uniform"),
    "henormal": _he("normal"),
    "xavieruniform": Named({"gain": 1}, lambda gain: _scaled("fan_avg", gain, "uniform")),
    "xaviernormal": Named({"gain": 1}, lambda gain: _scaled("fan_avg", gain, "normal")),
    # its truncated normal draws the uniform law, in 2.0.0 and 2.10.0 as measured
    "variancescaling": _scaling({"uniform": "uniform", "untruncated_normal": "normal", "truncated_normal": "uniform"}),
    "orthogonal": _orthogonal("gain"),
    "dirac": Named({"groups": 1}, _dirac),
}

_RANDOM_NORMAL = Named({"mean": 0.0, "stddev": 0.05, **_SEED}, lambda mean, stddev: Choice("normal", mean=mean, std=stddev))
_RANDOM_UNIFORM = Named(
    {"minval": -0.05, "maxval": 0.05, **_SEED}, lambda minval, maxval: Choice("uniform", low=minval, high=maxval)
)
KERAS = {
    "zeros": _plain("zeros"),
    "ones": _plain("ones"),
    "constant": Named({"value": 0.0}, _constant),
    "randomnormal": _RANDOM_NORMAL,
    "normal": _RANDOM_NORMAL,
    "randomuniform": _RANDOM_UNIFORM,
    "uniform": _RANDOM_UNIFORM,
    "truncatednormal": Named(
        {"mean": 0.0, "stddev": 0.05, **_SEED}, lambda mean, stddev: Choice("truncated_normal", mean=mean, std=stddev)
    ),
    **_families("glorot", "he", "lecun"),
    "variancescaling": _scaling({"truncated_normal": "truncated_normal", "untruncated_normal": "normal", "uniform": "uniform"}),
    "orthogonal": Named({"gain": 1.0, **_SEED}, lambda gain: Choice("orthogonal", gain=gain)),
}

FLAX = {
    **{name: _plain("zeros") for name in ("zeros", "zerosinit")},
    **{name: _plain("ones") for name in ("ones", "onesinit")},
    "constant": Named({"value": 0.0}, _constant),
    "normal": Named({"stddev": 0.01}, lambda stddev: Choice("normal", std=stddev)),
    "uniform": Named({"scale": 0.01}, lambda scale: Choice("uniform", low=0.0, high=scale)),
    "truncatednormal": Named(
        {"stddev": 0.01, "dtype": None, "lower": -2.0, "upper": 2.0},
        lambda stddev, lower, upper: Choice("truncated_normal", std=stddev, lower=lower, upper=upper),
    ),
    **_families("glorot", "xavier", "he", "kaiming", "lecun"),
    "variancescaling": _scaling({law: law for law in ("truncated_normal", "normal", "uniform")}),
    "orthogonal": _orthogonal("scale"),
}

PADDLE = {
    "constant": Named({"value": 0.0}, _constant),
    "normal": Named({"mean": 0.0, "std": 1.0}, lambda mean, std: Choice("normal", mean=mean, std=std)),
    "uniform": Named({"low": -1.0, "high": 1.0}, lambda low, high: Choice("uniform", low=low, high=high)),
    # the bounds are values, as measured on 3.3.1
    "truncatednormal": Named({"mean": 0.0, "std": 1.0, "a": -2.0, "b": 2.0}, _absolute),
    "kaimingnormal": _kaiming("normal"),
    "kaiminguniform": _kaiming("uniform"),
    "xaviernormal": _paddle_xavier("normal"),
    "xavieruniform": _paddle_xavier("uniform"),
    "orthogonal": _orthogonal("gain"),
    "dirac": Named({"groups": 1}, _dirac),
}


def choice_of(argument: str, value: Value, names: Mapping[str, Named], groups: Any) -> Choice | None:
    """Return what an initializer stands for, or None when only running the code would tell.

    Args:
        argument: its name, for messages.
        value: a name as text, a call, a class named without a call, or a number.
        names: the framework's own.
        groups: of the convolution; a dirac of other groups is not known.

    Raises:
        InvalidValueError: a word that the framework does not know, or arguments that it does not take; holds the nearest.
    """
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return Choice("constant", value=value)
    if not isinstance(value, (str, Call, Expression)):
        return None
    name = value if isinstance(value, str) else value.short if isinstance(value, Call) else value.text.rpartition(".")[2]
    key = name.replace("_", "").lower()
    if key not in names:
        if isinstance(value, str):
            raise InvalidValueError(
                f"{argument} must be one of {', '.join(names)}, got {value!r}; pick one.{nearest(value, names)}"
            )
        return None
    if isinstance(value, Expression) and "initializers" not in value.text:
        return None  # a variable, whatever it is called
    call = value if isinstance(value, Call) else Call(key, (), (), str(value))
    named = names[key]
    try:
        given = bind(call, named.parameters, len(named.parameters), key)
        if any(isinstance(argument, (Expression, Call)) for argument in given.values()):
            return None
        choice = named.choice(**{name: given[name] for name in given if name not in WITHOUT_EFFECT})
    except (ValueError, TypeError, KeyError, ZeroDivisionError):  # names, calls, or what this library has no word for
        return None
    if choice.name == "dirac":
        return Choice("dirac") if dict(choice.params).get("groups", 1) == groups else None
    return choice
