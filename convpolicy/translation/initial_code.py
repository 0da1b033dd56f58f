"""Each framework's initializers as code: the law that was read, in the words of the framework that is written."""

from __future__ import annotations

import math
from typing import Any

from convpolicy.translation.laws import Law, bounds, in_numbers, negative
from convpolicy.translation.reading import Wanted
from convpolicy.translation.values import Value, code_of

STANDARD_BOUNDS = (-2.0, 2.0)


def _call(function: str, *positional: Value, **keywords: Value) -> str:
    words = [*map(code_of, positional), *(f"{name}={code_of(value)}" for name, value in keywords.items())]
    return f"{function}({', '.join(words)})"


def _nothing() -> None:
    """Stand in for an initializer that the framework has not."""


def _gain(found: Law) -> dict[str, Any]:
    gain = math.sqrt(found.parameters["scale"])
    return {} if math.isclose(gain, 1.0) else {"gain": gain}


def _by_torchs_names(found: Law, role: str) -> tuple[str, str] | None:
    """Return (family, distribution) of a scaled law that torch and MindSpore have an initializer for."""
    if found.kind != "scaled" or role != "weight" or found.parameters["distribution"] == "truncated_normal":
        return None
    fan, scale = found.parameters["fan"], found.parameters["scale"]
    if fan == "fan_avg":
        return "xavier", found.parameters["distribution"]
    return ("he", found.parameters["distribution"]) if fan in ("fan_in", "fan_out") and 0.0 < scale <= 2.0 else None


def _slope(found: Law) -> float:
    """Return the negative slope that gives a scale: 2 / (1 + slope²)."""
    scale = found.parameters["scale"]
    return math.sqrt(float(f"{max(2.0 / scale - 1, 0.0):.14g}"))


def torch(found: Law, role: str, wanted: Wanted) -> str | None:
    """A statement of ``torch.nn.init``, ``{}`` standing for the tensor."""
    named = _by_torchs_names(found, role)
    if named is not None and named[0] == "xavier":
        return "".join(["nn.init.xavier_", named[1], "_({}", *(f", gain={gain!r}" for gain in _gain(found).values()), ")"])
    if named is not None:
        slope, mode = _slope(found), found.parameters["fan"]
        words = [f"a={slope!r}"] if slope else []
        words += [f'mode="{mode}"'] if mode != "fan_in" else []
        words += ['nonlinearity="leaky_relu"' if slope else 'nonlinearity="relu"']
        return f"nn.init.kaiming_{named[1]}_({{}}, {', '.join(words)})"
    plain, groups = in_numbers(found, wanted), wanted.values["groups"]
    p = plain.parameters
    if plain.kind == "truncated_normal":
        low, high = bounds(p)
        return f"nn.init.trunc_normal_({{}}, mean={code_of(p['mean'])}, std={code_of(p['std'])}, a={code_of(low)}, b={code_of(high)})"
    return {
        "constant": lambda: f"nn.init.constant_({{}}, {p['value']!r})" if p["value"] else "nn.init.zeros_({})",
        "normal": lambda: f"nn.init.normal_({{}}, mean={code_of(p['mean'])}, std={code_of(p['std'])})",
        "uniform": lambda: f"nn.init.uniform_({{}}, {code_of(p['low'])}, {code_of(p['high'])})",
        "orthogonal": lambda: f"nn.init.orthogonal_({{}}, gain={p['gain']!r})",
        "dirac": lambda: f"nn.init.dirac_({{}}, groups={code_of(groups)})",
    }[plain.kind]()


def mindspore(found: Law, role: str, wanted: Wanted) -> str | None:
    """An object of ``mindspore.common.initializer``."""
    named = _by_torchs_names(found, role)
    if named is not None and named[0] == "xavier":
        return _call(f"initializer.Xavier{named[1].capitalize()}", **_gain(found))
    if named is not None:
        slope, mode = _slope(found), found.parameters["fan"]
        words = {"negative_slope": slope} if slope else {}
        words |= {"mode": mode} if mode != "fan_in" else {}
        return _call(f"initializer.He{named[1].capitalize()}", **words)
    plain, groups = in_numbers(found, wanted), wanted.values["groups"]
    p = plain.parameters
    if plain.kind == "uniform":
        symmetric = code_of(p["low"]) == code_of(negative(p["high"]))
        return _call("initializer.Uniform", scale=p["high"]) if symmetric else None
    if plain.kind == "truncated_normal":
        low, high = bounds(p)
        return _call("initializer.TruncatedNormal", sigma=p["std"], mean=p["mean"], a=low, b=high)
    return {
        "constant": lambda: _call("initializer.Constant", p["value"]) if p["value"] else '"zeros"',
        "normal": lambda: _call("initializer.Normal", sigma=p["std"], mean=p["mean"]),
        "orthogonal": lambda: _call("initializer.Orthogonal", gain=p["gain"]),
        "dirac": lambda: _call("initializer.Dirac", groups=groups),
    }[plain.kind]()


def _by_keras_name(found: Law) -> str | None:
    names = {("fan_in", 2.0): "he", ("fan_in", 1.0): "lecun", ("fan_avg", 1.0): "glorot"}
    laws = {"truncated_normal": "normal", "uniform": "uniform"}
    for (fan, scale), family in names.items():
        for distribution, name in laws.items():
            if found.kind == "scaled" and found.is_scaled(scale, fan, distribution):
                return f"{family}_{name}"
    return None


def _has_fans(found: Law, role: str) -> bool:
    return found.kind == "scaled" and role == "weight" and found.parameters["fan"] in ("fan_in", "fan_out", "fan_avg")


def keras(found: Law, role: str, wanted: Wanted) -> str | None:
    """A name, or an object of ``keras.initializers``."""
    if _has_fans(found, role):
        name = _by_keras_name(found)
        law = {"normal": "untruncated_normal"}.get(found.parameters["distribution"], found.parameters["distribution"])
        scaling = {"scale": found.parameters["scale"], "mode": found.parameters["fan"], "distribution": law}
        return code_of(name) if name else _call("keras.initializers.VarianceScaling", **scaling)
    plain = in_numbers(found, wanted)
    p = plain.parameters
    if plain.kind == "truncated_normal":
        if (p["lower"], p["upper"]) != STANDARD_BOUNDS:
            return None
        return _call("keras.initializers.TruncatedNormal", mean=p["mean"], stddev=p["std"])
    return {
        "constant": lambda: _call("keras.initializers.Constant", p["value"]) if p["value"] else '"zeros"',
        "normal": lambda: _call("keras.initializers.RandomNormal", mean=p["mean"], stddev=p["std"]),
        "uniform": lambda: _call("keras.initializers.RandomUniform", p["low"], p["high"]),
        "orthogonal": lambda: _call("keras.initializers.Orthogonal", gain=p["gain"]),
    }.get(plain.kind, _nothing)()


def flax(found: Law, role: str, wanted: Wanted) -> str | None:
    """A function of ``flax.nnx.initializers``, or one of ``jax.random``."""
    if _has_fans(found, role):
        name = _by_keras_name(found)
        scaling = (found.parameters["scale"], found.parameters["fan"], found.parameters["distribution"])
        return f"nnx.initializers.{name}()" if name else _call("nnx.initializers.variance_scaling", *scaling)
    plain = in_numbers(found, wanted)
    p = plain.parameters
    if plain.kind == "uniform":
        return f"lambda *drawn: jax.random.uniform(*drawn, minval={code_of(p['low'])}, maxval={code_of(p['high'])})"
    mean = p.get("mean", 0.0)
    if plain.kind == "normal":
        drawn = _call("nnx.initializers.normal", p["std"])
        return drawn if not mean else f"lambda *drawn: {mean!r} + {drawn}(*drawn)"
    if plain.kind == "truncated_normal":
        drawn = _call("nnx.initializers.truncated_normal", p["std"], lower=p["lower"], upper=p["upper"])
        return drawn if not mean else f"lambda *drawn: {mean!r} + {drawn}(*drawn)"
    return {
        "constant": lambda: _call("nnx.initializers.constant", p["value"]) if p["value"] else "nnx.initializers.zeros_init()",
        "orthogonal": lambda: _call("nnx.initializers.orthogonal", p["gain"]),
    }.get(plain.kind, _nothing)()


def paddle(found: Law, role: str, wanted: Wanted) -> str | None:
    """A ``paddle.nn.initializer`` object as ``weight_attr`` or ``bias_attr``."""
    plain, groups = in_numbers(found, wanted), wanted.values["groups"]
    p = plain.parameters
    if plain.kind == "truncated_normal":
        low, high = bounds(p)
        return _call("nn.initializer.TruncatedNormal", mean=p["mean"], std=p["std"], a=low, b=high)
    return {
        "constant": lambda: _call("nn.initializer.Constant", p["value"]),
        "normal": lambda: _call("nn.initializer.Normal", mean=p["mean"], std=p["std"]),
        "uniform": lambda: _call("nn.initializer.Uniform", p["low"], p["high"]),
        "orthogonal": lambda: _call("nn.initializer.Orthogonal", gain=p["gain"]),
        "dirac": lambda: _call("nn.initializer.Dirac", groups=groups),
    }[plain.kind]()
