"""What each kind of module computes, as plain NumPy in float64. Data of modules with channels have their channels on axis 1."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from convpolicy.diagnosis.activations import ERF
from convpolicy.reference import tolerance

Doubles = NDArray[np.float64]
ELEMENTWISE = 16  # roundings in an elementwise function or a normalization of one element, exp, tanh, erf and sqrt included


@attrs.frozen(eq=False)
class Result:
    """The output of a formula.

    Attributes:
        values: the output.
        magnitude: sum of absolute values of the terms of each output.
        terms: number of terms.
    """

    values: Doubles
    magnitude: Doubles
    terms: int = ELEMENTWISE

    def bound(self, dtype: str) -> Doubles:
        """Return the largest rounding error of a module that computes in a dtype."""
        if dtype in ("float16", "bfloat16"):  # sums are kept in float32 and rounded a few times
            narrow: Doubles = tolerance(dtype, ELEMENTWISE, self.magnitude) + tolerance("float32", self.terms, self.magnitude)
            return narrow
        wide: Doubles = tolerance(dtype, self.terms, self.magnitude)
        return wide


def _per_channel(array: NDArray[Any], ndim: int) -> Doubles:
    return np.asarray(array, np.float64).reshape((1, -1) + (1,) * (ndim - 2))


def _scaled(normal: Result, arrays: Mapping[str, NDArray[Any]], shape: Callable[[NDArray[Any]], Doubles]) -> Result:
    values, magnitude = normal.values, normal.magnitude
    if "scale" in arrays:
        scale = shape(arrays["scale"])
        values, magnitude = values * scale, magnitude * np.abs(scale)
    if "shift" in arrays:
        shift = shape(arrays["shift"])
        values, magnitude = values + shift, magnitude + np.abs(shift)
    return Result(values, magnitude, normal.terms)


def _normal(x: Doubles, axes: tuple[int, ...], eps: float, *, centred: bool = True) -> Result:
    """Normalize over some axes; one-pass formulas for the variance lose digits where the mean is large."""
    mean, size = (part.mean(axes, keepdims=True) if centred else np.zeros(1) for part in (x, np.abs(x)))
    square = (x**2).mean(axes, keepdims=True)
    variance = ((x - mean) ** 2).mean(axes, keepdims=True)
    root = np.sqrt(variance + eps)
    lost = 1 + square / (variance + eps)
    magnitude = (np.abs(x) + size) / root * lost
    return Result((x - mean) / root, magnitude, ELEMENTWISE + int(math.prod(x.shape[axis] for axis in axes)))


def linear(x: Doubles, _settings: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Result:
    """Multiply the last axis by the weight (out, in) and add the bias."""
    weight = np.asarray(arrays["weight"], np.float64)
    values, magnitude = x @ weight.T, np.abs(x) @ np.abs(weight).T
    if "bias" in arrays:
        bias = np.asarray(arrays["bias"], np.float64)
        values, magnitude = values + bias, magnitude + np.abs(bias)
    return Result(values, magnitude, weight.shape[1] + 1)


def batch_norm(x: Doubles, settings: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Result:
    """Normalize each channel by the running statistics, or by those of the batch."""
    if settings["batch_statistics"]:
        normal = _normal(x, tuple(axis for axis in range(x.ndim) if axis != 1), settings["eps"])
    else:
        mean, variance = (_per_channel(arrays[role], x.ndim) for role in ("mean", "variance"))
        root = np.sqrt(variance + settings["eps"])
        normal = Result((x - mean) / root, (np.abs(x) + np.abs(mean)) / root)
    return _scaled(normal, arrays, lambda array: _per_channel(array, x.ndim))


def layer_norm(x: Doubles, settings: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Result:
    """Normalize over the last axes."""
    axes = tuple(range(x.ndim - settings["axes"], x.ndim))
    return _scaled(_normal(x, axes, settings["eps"]), arrays, lambda array: np.asarray(array, np.float64))


def rms_norm(x: Doubles, settings: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Result:
    """Divide by the root of the mean square over the last axis."""
    normal = _normal(x, (x.ndim - 1,), settings["eps"], centred=False)
    return _scaled(normal, arrays, lambda array: np.asarray(array, np.float64))


def group_norm(x: Doubles, settings: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Result:
    """Normalize over each group of channels and all positions."""
    groups = settings["groups"]
    if settings.get("interleaved"):  # channels c, c + groups, c + 2 * groups, …
        grouped = np.swapaxes(x.reshape(len(x), -1, groups, *x.shape[2:]), 1, 2)
        normal = _normal(grouped, tuple(range(2, grouped.ndim)), settings["eps"])
        parts = [np.swapaxes(part, 1, 2).reshape(x.shape) for part in (normal.values, normal.magnitude)]
    else:
        normal = _normal(x.reshape(len(x), groups, -1), (2,), settings["eps"])
        parts = [part.reshape(x.shape) for part in (normal.values, normal.magnitude)]
    whole = Result(parts[0], parts[1], normal.terms)
    return _scaled(whole, arrays, lambda array: _per_channel(array, x.ndim))


def dropout(x: Doubles, _settings: Mapping[str, Any], _arrays: Mapping[str, NDArray[Any]]) -> Result:
    """Return the input: what a dropout computes that is off."""
    return Result(x, np.abs(x), 0)


def embedding(x: NDArray[Any], _settings: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Result:
    """Look up each token."""
    values = np.asarray(arrays["weight"], np.float64)[np.asarray(x, np.int64)]
    return Result(values, np.abs(values), 0)


def _softmax(x: Doubles, axis: int) -> Doubles:
    shares = np.exp(x - x.max(axis, keepdims=True))
    return np.asarray(shares / shares.sum(axis, keepdims=True))


def _sigmoid(x: Doubles) -> Doubles:
    return np.asarray(np.exp(-np.logaddexp(0.0, -x)))


def _negative(x: Doubles, slope: float) -> Doubles:
    return np.where(x > 0, x, slope * x)


def _rational_tanh(x: Doubles) -> Doubles:
    """A continued fraction up to |x| = 5 and 1 beyond, up to 1.01e-4 from tanh (MindSpore's nnacl, TanhOpt)."""
    square = x**2
    above = (((square + 378) * square + 17325) * square + 135135) * x
    return np.where(np.abs(x) > 5, np.sign(x), above / (((28 * square + 3150) * square + 62370) * square + 135135))


# Function -> formula of the input, the slope or another parameter, and the axis.
FUNCTIONS: dict[str, Callable[[Doubles, Any, Any], Doubles]] = {
    "identity": lambda x, _slope, _axis: x,
    "relu": lambda x, _slope, _axis: np.maximum(x, 0.0),
    "relu6": lambda x, _slope, _axis: np.clip(x, 0.0, 6.0),
    "leaky relu": lambda x, slope, _axis: _negative(x, slope),
    "gelu": lambda x, _slope, _axis: x / 2 * (1 + np.asarray(ERF(x / math.sqrt(2)), np.float64)),
    "gelu by tanh": lambda x, _slope, _axis: x / 2 * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
    "gelu by sigmoid": lambda x, _slope, _axis: x * _sigmoid(1.702 * x),
    "silu": lambda x, _slope, _axis: x * _sigmoid(x),
    "sigmoid": lambda x, _slope, _axis: _sigmoid(x),
    "hard sigmoid": lambda x, _slope, _axis: np.clip(x / 6 + 0.5, 0.0, 1.0),
    "hard sigmoid of slope 0.2": lambda x, _slope, _axis: np.clip(0.2 * x + 0.5, 0.0, 1.0),
    "hard swish": lambda x, _slope, _axis: x * np.clip(x / 6 + 0.5, 0.0, 1.0),
    "tanh": lambda x, _slope, _axis: np.tanh(x),
    "tanh by a fraction": lambda x, _slope, _axis: _rational_tanh(x),
    "hard tanh": lambda x, _slope, _axis: np.clip(x, -1.0, 1.0),
    "elu": lambda x, slope, _axis: np.where(x > 0, x, slope * np.expm1(np.minimum(x, 0.0))),
    "selu": lambda x, _slope, _axis: 1.0507009873554805 * np.where(x > 0, x, 1.6732632423543772 * np.expm1(np.minimum(x, 0.0))),
    "selu of rounded constants": lambda x, _slope, _axis: 1.0507 * np.where(x > 0, x, 1.67326 * np.expm1(np.minimum(x, 0.0))),
    "softplus": lambda x, _slope, _axis: np.logaddexp(0.0, x),
    "softsign": lambda x, _slope, _axis: x / (1 + np.abs(x)),
    "mish": lambda x, _slope, _axis: x * np.tanh(np.logaddexp(0.0, x)),
    "log sigmoid": lambda x, _slope, _axis: -np.logaddexp(0.0, -x),
    "exp": lambda x, _slope, _axis: np.exp(x),
    "softmax": lambda x, _slope, axis: _softmax(x, axis),
    "log softmax": lambda x, _slope, axis: np.log(_softmax(x, axis)),
}
SLOPES = {"leaky relu": (0.01, 0.2, 0.3, 0.1), "elu": (1.0,)}  # the defaults of frameworks


def activation(x: Doubles, settings: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Result:
    """Apply a function to each element, or to the elements along one axis."""
    slope = _per_channel(arrays["weight"], max(x.ndim, 2)) if "weight" in arrays else settings.get("slope", 0.0)
    with np.errstate(over="ignore"):
        values = FUNCTIONS[settings["function"]](x, slope, settings.get("axis", -1))
    return Result(values, np.abs(x) + np.abs(values) + 1.0 * (settings["function"] not in ("relu", "identity")))


def global_pooling(x: Doubles, settings: Mapping[str, Any], _arrays: Mapping[str, NDArray[Any]]) -> Result:
    """Average or maximum over all positions."""
    axes = tuple(range(2, x.ndim))
    if settings["function"] == "max":
        values = x.max(axes)
        return Result(values, np.abs(values), 0)
    return Result(x.mean(axes), np.abs(x).mean(axes), math.prod(x.shape[2:]))
