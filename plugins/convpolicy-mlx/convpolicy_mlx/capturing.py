"""Capture of ``mlx.nn.Conv1d``."""

from __future__ import annotations

from typing import Any

import mlx.core as mx
from mlx import nn

import convpolicy as cp
from convpolicy import Capture, Choice, ConvPolicyError, ConvSpec
from convpolicy.layers.backend import LEARNED
from convpolicy.layers.capture import refuse, with_learned
from convpolicy_mlx.layer import DTYPES, PARAMETERS, PaddedConv1d, unpacked

CALLS = (nn.Conv1d.__call__, PaddedConv1d.__call__)
NAMES = {dtype: name for name, dtype in DTYPES.items()}
SIZES = ("stride", "padding", "dilation", "groups")


def capture(layer: Any) -> Capture | None:
    """Return sizes, policy and weights of a ``mlx.nn.Conv1d``, or None for another object.

    Raises:
        InvalidValueError: the layer cannot be captured exactly; the message contains the reason and the fix.
    """
    if not isinstance(layer, nn.Conv1d):
        return None
    if type(layer).__call__ not in CALLS:
        raise refuse(layer, "its class has another __call__", "capture a plain nn.Conv1d with its weights")
    dtype = _checked_dtype(layer)
    spec = _spec(layer)
    request = layer._request if isinstance(layer, PaddedConv1d) else None
    if request is not None and (request.spec != spec or layer.padding != 0):
        raise refuse(layer, "its sizes or padding were changed after it was built", "build a new layer")
    padding = Choice("crop", left=-layer.padding, right=-layer.padding) if layer.padding < 0 else layer.padding
    policy = cp.policy("mlx").evolve(padding=padding) if request is None else request.policy
    weights = unpacked(layer)
    initial = None if request is None else request.learned()
    if initial is not None:
        if weights.get(LEARNED, weights["weight"]).shape != initial.shape:
            raise refuse(layer, f"its {LEARNED} no longer has shape {initial.shape}", "replace it with one of this shape")
        policy = with_learned(policy, weights[LEARNED])
    return Capture(spec, policy.evolve(bias="bias" in layer), weights["weight"], weights["bias"], dtype)


def _checked_dtype(layer: nn.Conv1d) -> str:
    weights = {name: layer.get(name) for name in PARAMETERS if name in layer}
    for name, value in weights.items():
        if not isinstance(value, mx.array):
            raise refuse(layer, f"its {name} is of class {type(value).__name__}", "replace it with an mx.array")
    if "weight" not in weights or weights["weight"].ndim != 3:
        raise refuse(layer, "its weight is not an array of 3 axes", "build a new layer")
    if "bias" in weights and weights["bias"].shape != weights["weight"].shape[:1]:
        raise refuse(
            layer, f"its bias has shape {weights['bias'].shape}", f"replace it with one of shape {weights['weight'].shape[:1]}"
        )
    dtypes = {NAMES.get(value.dtype, str(value.dtype)) for value in weights.values()}
    if len(dtypes) > 1 or not dtypes <= set(DTYPES):
        raise refuse(layer, f"its weight and bias are {', '.join(sorted(dtypes))}", f"convert both to one of {', '.join(DTYPES)}")
    return dtypes.pop()


def _spec(layer: nn.Conv1d) -> ConvSpec:
    for name in SIZES:
        if not isinstance(getattr(layer, name, None), int):
            raise refuse(layer, f"its {name} is {getattr(layer, name, None)!r}, with which MLX does not run", "set an integer")
    outputs, kernel, inputs = layer.weight.shape
    try:
        return ConvSpec.of(inputs * layer.groups, outputs, kernel, layer.stride, layer.dilation, layer.groups)
    except ConvPolicyError as error:
        raise refuse(layer, str(error).rstrip("."), "build a new layer") from error
