"""Capture of ``mlx.nn.Conv1d`` and ``mlx.nn.ConvTranspose1d``."""

from __future__ import annotations

from typing import Any

import mlx.core as mx
from mlx import nn

import convpolicy as cp
from convpolicy import Capture, Choice, ConvPolicyError, ConvSpec, LayerRequest
from convpolicy.layers.backend import LEARNED
from convpolicy.layers.capture import refuse
from convpolicy.layers.learned import with_learned
from convpolicy_mlx.arrays import DTYPES, PARAMETERS, Layer, layout_of, unpacked
from convpolicy_mlx.crop_rules import mlx_explicit
from convpolicy_mlx.layer import PaddedConv1d
from convpolicy_mlx.transposed import CroppedConvTranspose1d

CALLS = (nn.Conv1d.__call__, PaddedConv1d.__call__)
TRANSPOSED_CALLS = (nn.ConvTranspose1d.__call__, CroppedConvTranspose1d.__call__)
NAMES = {dtype: name for name, dtype in DTYPES.items()}
SIZES = ("stride", "padding", "dilation", "groups")
TRANSPOSED_SIZES = ("stride", "padding", "dilation", "output_padding")


def capture(layer: Any) -> Capture | None:
    """Return sizes, policy and weights of a ``mlx.nn.Conv1d`` or ``mlx.nn.ConvTranspose1d``, or None for another object.

    Raises:
        InvalidValueError: the layer cannot be captured exactly; the message contains the reason and the fix.
    """
    if isinstance(layer, nn.ConvTranspose1d):
        return _transposed(layer)
    if not isinstance(layer, nn.Conv1d):
        return None
    if type(layer).__call__ not in CALLS:
        raise refuse(layer, "its class has another __call__", "capture a plain nn.Conv1d with its weights")
    dtype = _checked_dtype(layer)
    _require_integers(layer, SIZES)
    outputs, kernel, inputs = layer.weight.shape
    spec = _spec(layer, inputs * layer.groups, outputs, kernel, layer.groups)
    request = _request(layer, PaddedConv1d, spec)
    padding = Choice("crop", left=-layer.padding, right=-layer.padding) if layer.padding < 0 else layer.padding
    policy: Any = cp.policy("mlx").evolve(padding=padding) if request is None else request.policy
    weights = unpacked(layout_of(layer), layer)
    initial = None if request is None else request.learned()
    if initial is not None:
        if weights.get(LEARNED, weights["weight"]).shape != initial.shape:
            raise refuse(layer, f"its {LEARNED} no longer has shape {initial.shape}", "replace it with one of this shape")
        policy = with_learned(policy, weights[LEARNED])
    return _captured(layer, spec, policy, dtype)


def _transposed(layer: nn.ConvTranspose1d) -> Capture:
    if type(layer).__call__ not in TRANSPOSED_CALLS:
        raise refuse(layer, "its class has another __call__", "capture a plain nn.ConvTranspose1d with its weights")
    dtype = _checked_dtype(layer)
    _require_integers(layer, TRANSPOSED_SIZES)
    groups = layer.groups if isinstance(layer, CroppedConvTranspose1d) else 1
    outputs, kernel, inputs = layer.weight.shape
    spec = _spec(layer, inputs, outputs * groups, kernel, groups)
    request = _request(layer, CroppedConvTranspose1d, spec)
    if request is not None:
        return _captured(layer, spec, request.policy, dtype)
    sizes = spec.kernel_size, spec.stride, spec.dilation
    left, right = mlx_explicit(*sizes, None, padding=layer.padding, output_padding=layer.output_padding)
    policy = cp.policy("mlx").half().evolve(padding=Choice("explicit", left=left, right=right))
    if (
        left == layer.padding
        and 0 < layer.output_padding < max(spec.stride, spec.dilation)
        and right == left - layer.output_padding
    ):
        policy = policy.evolve(padding=Choice("explicit", left=left, right=left, output_padding=layer.output_padding))
    return _captured(layer, spec, policy, dtype)


def _captured(layer: Layer, spec: ConvSpec, policy: Any, dtype: str) -> Capture:
    weights = unpacked(layout_of(layer), layer)
    return Capture(spec, policy.evolve(bias="bias" in layer), weights["weight"], weights["bias"], dtype)


def _request(layer: Layer, own_class: Any, spec: ConvSpec) -> LayerRequest | None:
    """Return the request of a layer that this backend built as a subclass, or None for MLX's own layer."""
    if not isinstance(layer, own_class):
        return None
    request: LayerRequest = layer._request
    if request.spec != spec or layer.padding != 0 or getattr(layer, "output_padding", 0) != 0:
        raise refuse(layer, "its sizes or padding were changed after it was built", "build a new layer")
    return request


def _checked_dtype(layer: Layer) -> str:
    weights = {name: layer.get(name) for name in PARAMETERS if name in layer}
    for name, value in weights.items():
        if not isinstance(value, mx.array):
            raise refuse(layer, f"its {name} is of class {type(value).__name__}", "replace it with an mx.array")
    if "weight" not in weights or weights["weight"].ndim != 3:
        raise refuse(layer, "its weight is not an array of 3 axes", "build a new layer")
    groups = layer.groups if isinstance(layer, CroppedConvTranspose1d) else 1
    outputs = (weights["weight"].shape[0] * groups,)
    if "bias" in weights and weights["bias"].shape != outputs:
        raise refuse(layer, f"its bias has shape {weights['bias'].shape}", f"replace it with one of shape {outputs}")
    dtypes = {NAMES.get(value.dtype, str(value.dtype)) for value in weights.values()}
    if len(dtypes) > 1 or not dtypes <= set(DTYPES):
        raise refuse(layer, f"its weight and bias are {', '.join(sorted(dtypes))}", f"convert both to one of {', '.join(DTYPES)}")
    return dtypes.pop()


def _require_integers(layer: Layer, names: tuple[str, ...]) -> None:
    for name in names:
        if not isinstance(getattr(layer, name, None), int):
            raise refuse(layer, f"its {name} is {getattr(layer, name, None)!r}, with which MLX does not run", "set an integer")


def _spec(layer: Layer, inputs: int, outputs: int, kernel: int, groups: int) -> ConvSpec:
    transposed = isinstance(layer, nn.ConvTranspose1d)
    try:
        return ConvSpec.of(inputs, outputs, kernel, layer.stride, layer.dilation, groups, transposed=transposed)
    except ConvPolicyError as error:
        raise refuse(layer, str(error).rstrip("."), "build a new layer") from error
