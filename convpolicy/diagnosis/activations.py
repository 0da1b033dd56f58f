"""Activation functions that `why` tries on the output of a convolution, computed in float64."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

ERF = np.frompyfunc(math.erf, 1, 1)
SELU_SCALE, SELU_ALPHA = 1.0507009873554805, 1.6732632423543772  # Klambauer et al. (2017), Self-normalizing neural networks


@attrs.frozen(eq=False)
class Activation:
    """One elementwise function.

    Args:
        name: its usual name.
        function: the function, applied to an array elementwise.
        low, high: bounds of its results.
        slope: its largest slope.
    """

    name: str
    function: Callable[[NDArray[Any]], NDArray[Any]]
    low: float = -math.inf
    high: float = math.inf
    slope: float = 1.0


def _elu(x: NDArray[Any]) -> NDArray[Any]:
    return np.where(x > 0, x, np.expm1(np.minimum(x, 0.0)))


def _selu(x: NDArray[Any]) -> NDArray[Any]:
    scaled: NDArray[Any] = SELU_SCALE * np.where(x > 0, x, SELU_ALPHA * np.expm1(np.minimum(x, 0.0)))
    return scaled


def _gelu(x: NDArray[Any]) -> NDArray[Any]:
    return x / 2 * (1 + np.asarray(ERF(x / math.sqrt(2)), np.float64))


def _gelu_by_tanh(x: NDArray[Any]) -> NDArray[Any]:
    gated: NDArray[Any] = x / 2 * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
    return gated


def _softplus(x: NDArray[Any]) -> NDArray[Any]:
    smooth: NDArray[Any] = np.logaddexp(0.0, x)
    return smooth


def _sigmoid(x: NDArray[Any]) -> NDArray[Any]:
    share: NDArray[Any] = np.exp(-np.logaddexp(0.0, -x))
    return share


ACTIVATIONS = (
    Activation("relu", lambda x: np.maximum(x, 0.0), low=0.0),
    Activation("relu6", lambda x: np.clip(x, 0.0, 6.0), low=0.0, high=6.0),
    Activation("gelu, exact, by erf", _gelu, low=-0.17, slope=1.13),
    Activation("gelu, approximate, by tanh", _gelu_by_tanh, low=-0.171, slope=1.13),
    Activation("tanh", np.tanh, low=-1.0, high=1.0),
    Activation("sigmoid", _sigmoid, low=0.0, high=1.0, slope=0.25),
    Activation("silu, also called swish", lambda x: x * _sigmoid(x), low=-0.2785, slope=1.1),
    Activation("elu", _elu, low=-1.0),
    Activation("selu", _selu, low=-SELU_SCALE * SELU_ALPHA, slope=SELU_SCALE * SELU_ALPHA),
    Activation("softplus", _softplus, low=0.0),
    Activation("softsign", lambda x: x / (1 + np.abs(x)), low=-1.0, high=1.0),
    Activation("mish", lambda x: x * np.tanh(_softplus(x)), low=-0.309, slope=1.09),
    Activation("hard_sigmoid, relu6(x + 3) / 6", lambda x: np.clip(x / 6 + 0.5, 0.0, 1.0), low=0.0, high=1.0, slope=0.2),
    Activation(
        "hard_sigmoid, 0.2 x + 0.5 cut to 0 and 1", lambda x: np.clip(0.2 * x + 0.5, 0.0, 1.0), low=0.0, high=1.0, slope=0.2
    ),
    Activation("hard_swish", lambda x: x * np.clip(x / 6 + 0.5, 0.0, 1.0), low=-0.375, slope=1.5),
    Activation("hard_tanh", lambda x: np.clip(x, -1.0, 1.0), low=-1.0, high=1.0),
    Activation("log_sigmoid", lambda x: -_softplus(-x), high=0.0),
)


def leaky_relu(negative_slope: float) -> Activation:
    """Return leaky_relu with this slope for negative inputs."""
    return Activation(
        f"leaky_relu(negative_slope={negative_slope:.7g})",
        lambda x: np.where(x > 0, x, negative_slope * x),
        slope=max(1.0, abs(negative_slope)),
    )
