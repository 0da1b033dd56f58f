"""The policies of ``keras.layers.DepthwiseConv1D``, whose kernel is (kernel, in, multiplier), and its Glorot initializer."""

from __future__ import annotations

import math
from typing import Any

from convpolicy.core.policy import Policy
from convpolicy.parts.initializer import Initializer

GLOROT = "keras_depthwise_glorot_uniform"
# backend -> the policy of DepthwiseConv1D there
NAMES = {"keras": "keras-depthwise", "keras-torch": "keras-depthwise-torch", "keras-jax": "keras-depthwise-jax"}


def glorot_uniform(draws: Any, target: Any) -> Any:
    """Keras's glorot_uniform for a depthwise kernel: fan_in is in_channels · kernel, fan_out is multiplier · kernel.

    Source: keras/src/initializers/random_initializers.py, compute_fans, for a kernel with axes WIM.
    """
    out, _one, kernel = target.shape
    fan_avg = (target.groups * kernel + out // target.groups * kernel) / 2
    limit = math.sqrt(3.0 * (1.0 / max(1.0, fan_avg)))
    return draws.uniform(target.shape, -limit, limit)


def _check(target: Any) -> None:
    if len(target.shape) != 3 or target.shape[1] != 1:
        raise ValueError(
            f"it needs a depthwise weight (out, 1, kernel), got shape {target.shape}; pass groups=in_channels, or another initializer."
        )


INITIALIZER = Initializer(GLOROT, glorot_uniform, check=_check)


def policy(backend: str) -> Policy:
    """Return the policy of DepthwiseConv1D on a backend; its random stream has the backend's name."""
    return Policy(
        NAMES[backend],
        padding="valid",
        weight_init=GLOROT,
        bias_init="zeros",
        layout="WIM",
        data_layout="NWC",
        random_stream=backend,
        padding_names=(("same", "same_upper"), ("valid", "valid")),
        framework="keras",
        versions=">=3.15,<3.16",
        measured="3.15.1",
        source="keras/src/layers/convolutional/depthwise_conv1d.py, class DepthwiseConv1D",
        description="No padding; bias of zeros; Glorot uniform kernel stored as (kernel, in, multiplier); groups=in_channels only.",
    )
