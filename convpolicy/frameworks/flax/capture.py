"""Taking ``flax.nnx.Conv`` and ``flax.linen.Conv`` apart."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
from flax import linen, nnx
from flax.linen.dtypes import promote_dtype as linen_promote_dtype
from flax.nnx.nn.dtypes import promote_dtype as nnx_promote_dtype
from flax.nnx.nn.linear import canonicalize_padding
from jax import lax

from convpolicy.core.named import policy as named_policy
from convpolicy.core.plan import ConvSpec
from convpolicy.core.policy import Policy
from convpolicy.errors import ConvPolicyError
from convpolicy.frameworks.flax import linen_layer, nnx_layer
from convpolicy.frameworks.flax.linen_layer import LinenConv1d
from convpolicy.frameworks.flax.values import DTYPES, unpacked
from convpolicy.layers.backend import LEARNED
from convpolicy.layers.capture import TRANSPOSED, Capture, as_given, refuse, refuse_others, with_learned

# Flax's words for padding; only those that go on to lax may be written small
WORDS = (
    "CAUSAL",
    "CIRCULAR",
    "REFLECT",
    *(form(word) for word in ("VALID", "SAME", "SAME_LOWER") for form in (str.upper, str.lower)),
)
CALLS = (nnx.Conv.__call__, nnx_layer.PaddedConv.__call__, linen.Conv.__call__, linen_layer.PaddedConv.__call__)
CONVOLUTIONS = (None, lax.conv_general_dilated)
DEFAULT_PRECISIONS = (None, lax.Precision.DEFAULT, "default", "fastest", "bfloat16")
PROMOTIONS = (nnx_promote_dtype, linen_promote_dtype)
# what no policy says -> when it is so, and what to do
INEXPRESSIBLE: dict[str, tuple[Callable[[Any], bool], str]] = {
    "its class computes its call in a way of its own": (
        lambda layer: type(layer).__call__ not in CALLS,
        "capture a plain Conv with its weights",
    ),
    "it dilates its input, as a transposed convolution does": (
        lambda layer: _sizes(layer.input_dilation) != (1,),
        "set input_dilation to 1",
    ),
    "its precision is not the default": (lambda layer: not _is_default(layer.precision), "set precision to None"),
    "it has a conv_general_dilated of its own": (
        lambda layer: layer.conv_general_dilated not in CONVOLUTIONS or getattr(layer, "conv_general_dilated_cls", None) is not None,
        "take jax.lax.conv_general_dilated",
    ),
    "it has a promote_dtype of its own": (lambda layer: layer.promote_dtype not in PROMOTIONS, "take Flax's own"),
    "its output has a dtype of its own": (
        lambda layer: getattr(layer, "preferred_element_type", None) is not None,
        "set preferred_element_type to None",
    ),
}  # fmt: skip


def capture_nnx(layer: Any) -> Capture | None:
    """Return sizes, policy and weights of a ``flax.nnx.Conv``; None for what is none."""
    if not isinstance(layer, nnx.Conv):
        refuse_others(layer, {nnx.ConvTranspose: TRANSPOSED})
        return None
    if layer.use_bias and layer.bias is None:
        raise refuse(layer, "use_bias is set and there is no bias", "set use_bias to False")
    request = layer._request if isinstance(layer, nnx_layer.PaddedConv) else None
    weights = {"kernel": layer.kernel.value, "bias": layer.bias.value if layer.use_bias else None}
    if request is not None and request.learned() is not None:
        weights[LEARNED] = layer.padding_value.value
    return _captured(layer, weights, layer.in_features, layer.out_features, request, "flax")


def capture_linen(layer: Any) -> Capture | None:
    """Return sizes, policy and weights of a ``flax.linen.Conv`` with its variables; None for what is none."""
    if isinstance(layer, LinenConv1d):
        module, variables = layer.module, layer.variables
        if not isinstance(module, linen.Conv):
            raise refuse(module, "it is no flax.linen.Conv", "put one beside the variables")
    elif isinstance(layer, linen.Conv):
        if layer.scope is None:
            raise refuse(layer, "a linen module by itself holds no weights", "pass module.bind(variables)")
        module, variables = layer, layer.variables
    else:
        refuse_others(layer, {linen.ConvTranspose: TRANSPOSED})
        return None
    params = linen.meta.unbox(variables.get("params", {}))
    request = module.request if isinstance(module, linen_layer.PaddedConv) else None
    learns = request is not None and request.learned() is not None
    needed = ("kernel", *(["bias"] if module.use_bias else []), *([LEARNED] if learns else []))
    missing = [name for name in needed if name not in params]
    if missing:
        raise refuse(module, f"its variables have no {missing[0]}", "pass those that its init returned")
    return _captured(module, {name: params[name] for name in needed}, None, module.features, request, "flax-linen")


def _captured(
    layer: Any, weights: Mapping[str, Any], in_channels: int | None, out_channels: int, request: Any, policy: str
) -> Capture:
    for reason, (is_so, fix) in INEXPRESSIBLE.items():
        if is_so(layer):
            raise refuse(layer, reason, fix)
    found = {name: value for name, value in weights.items() if value is not None}
    for value in found.values():
        if not isinstance(value, (jax.Array, np.ndarray)) or isinstance(value, jax.core.Tracer):
            raise refuse(layer, f"its weights are of class {type(value).__name__} and hold no values", "give it arrays")
    kernel = found["kernel"]
    if kernel.ndim != 3:
        raise refuse(layer, f"its kernel has shape {kernel.shape} and not 3 axes", "capture a 1-D convolution")
    found["kernel"] = _masked(layer, kernel)
    dtypes = {str(value.dtype) for value in found.values()}
    dtypes |= set() if layer.dtype is None else {str(np.dtype(layer.dtype))}
    if len(dtypes) > 1 or not dtypes <= set(DTYPES):
        raise refuse(
            layer,
            f"its weights and what it computes in are {', '.join(sorted(dtypes))}",
            f"convert both to one of {', '.join(DTYPES)}",
        )
    spec = _spec(layer, kernel, in_channels, out_channels)
    if request is not None and (request.spec != spec or layer.padding != "VALID"):
        raise refuse(layer, "its sizes or padding were changed after it was built", "build it anew")
    shapes = {"bias": (spec.out_channels,)} | ({LEARNED: request.learned().shape} if LEARNED in found else {})
    for name, shape in shapes.items():
        if name in found and found[name].shape != shape:
            raise refuse(layer, f"its {name} has shape {found[name].shape}", f"give it shape {shape}")
    arrays = {name: None if value is None else as_given(value) for name, value in unpacked(found).items()}
    weight, bias = arrays["weight"], arrays["bias"]
    assert weight is not None
    chosen = (_policy(layer, policy) if request is None else request.policy).evolve(bias=bias is not None)
    chosen = with_learned(chosen, arrays[LEARNED]) if LEARNED in arrays else chosen
    return Capture(spec, chosen, weight, bias, dtypes.pop())


def _masked(layer: Any, kernel: Any) -> Any:
    """Return the kernel as the next call uses it."""
    if layer.mask is None:
        return kernel
    if layer.mask.shape != kernel.shape:
        raise refuse(layer, f"its mask has shape {layer.mask.shape}", f"give it shape {kernel.shape}")
    return kernel * layer.mask


def _spec(layer: Any, kernel: Any, in_channels: int | None, out_channels: int) -> ConvSpec:
    groups, strides, dilations = layer.feature_group_count, _sizes(layer.strides), _sizes(layer.kernel_dilation)
    if len(strides) != 1 or len(dilations) != 1:
        raise refuse(layer, f"its strides are {strides} and its kernel_dilation {dilations}", "pass one number for each")
    expected = (*_sizes(layer.kernel_size), kernel.shape[1] if in_channels is None else in_channels // groups, out_channels)
    if kernel.shape != expected:
        raise refuse(layer, f"its kernel has shape {kernel.shape} and its sizes say {expected}", "build it anew")
    return ConvSpec.of(kernel.shape[1] * groups, kernel.shape[2], kernel.shape[0], strides[0], dilations[0], groups)


def _policy(layer: Any, name: str) -> Policy:
    try:
        padding = canonicalize_padding(layer.padding, 1)
        if isinstance(padding, str) and padding not in WORDS:
            raise ValueError(f"Flax has no padding {padding!r}")
        if not isinstance(padding, str):
            return named_policy(name).evolve(padding=tuple(padding[0]), padding_mode="zeros")
        return named_policy(name).evolve(padding=padding if padding in ("valid", "same") else padding.upper())
    except (ConvPolicyError, ValueError) as error:
        raise refuse(layer, str(error).rstrip("."), "correct its padding") from error


def _sizes(given: Any) -> tuple[int, ...]:
    """Return a size as Flax reads it: None is 1."""
    return tuple(given) if isinstance(given, (tuple, list)) else (1 if given is None else int(given),)


def _is_default(precision: Any) -> bool:
    both = precision if isinstance(precision, tuple) else (precision,)
    return all(one in DEFAULT_PRECISIONS for one in both)
