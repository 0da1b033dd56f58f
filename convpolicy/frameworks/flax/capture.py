"""Capture of ``flax.nnx.Conv`` and ``flax.linen.Conv``, and of ``ConvTranspose`` in both."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from typing import Any

import jax
import numpy as np
from flax import linen, nnx
from flax.linen.dtypes import promote_dtype as linen_promote_dtype
from flax.nnx.nn.dtypes import promote_dtype as nnx_promote_dtype
from flax.nnx.nn.linear import canonicalize_padding
from jax import lax

from convpolicy.core.layer_policy import LayerPolicy
from convpolicy.core.named import policy as named_policy
from convpolicy.core.spec import ConvSpec
from convpolicy.errors import ConvPolicyError
from convpolicy.frameworks.flax import linen_layer, linen_transposed, nnx_layer, nnx_transposed
from convpolicy.frameworks.flax.linen_layer import LinenConv1d
from convpolicy.frameworks.flax.plugin import TRANSPOSE_KERNEL
from convpolicy.frameworks.flax.values import DTYPES, layout_in, layout_of, unpacked
from convpolicy.layers.backend import LEARNED
from convpolicy.layers.capture import Capture, as_given, refuse
from convpolicy.layers.learned import with_learned

# Flax's names of paddings; those that Flax passes to lax may be lower case
PADDING_NAMES = (
    "CAUSAL",
    "CIRCULAR",
    "REFLECT",
    *(form(name) for name in ("VALID", "SAME", "SAME_LOWER") for form in (str.upper, str.lower)),
)
KINDS = {"nnx": (nnx.Conv, nnx.ConvTranspose), "linen": (linen.Conv, linen.ConvTranspose)}
OWN = (
    nnx_layer.PaddedConv,
    nnx_transposed.CroppedConvTranspose,
    linen_layer.PaddedConv,
    linen_transposed.CroppedConvTranspose,
)
CALLS = tuple(kind.__call__ for kind in (*KINDS["nnx"], *KINDS["linen"], *OWN))
CONVOLUTIONS = (None, lax.conv_general_dilated)
DEFAULT_PRECISIONS = (None, lax.Precision.DEFAULT, "default", "fastest", "bfloat16")
PROMOTIONS = (nnx_promote_dtype, linen_promote_dtype)
# reason why a layer is refused -> condition on the layer, and fix
INEXPRESSIBLE: dict[str, tuple[Callable[[Any], bool], str]] = {
    "its class overrides __call__": (
        lambda layer: type(layer).__call__ not in CALLS,
        "capture a plain Conv with its weights",
    ),
    "it dilates its input, as a transposed convolution does": (
        lambda layer: _sizes(getattr(layer, "input_dilation", 1)) != (1,),
        "set input_dilation to 1",
    ),
    "its precision is not the default": (lambda layer: not _is_default(layer.precision), "set precision to None"),
    "it has another conv_general_dilated": (
        lambda layer: getattr(layer, "conv_general_dilated", None) not in CONVOLUTIONS
        or getattr(layer, "conv_general_dilated_cls", None) is not None,
        "use jax.lax.conv_general_dilated",
    ),
    "it has another promote_dtype": (lambda layer: layer.promote_dtype not in PROMOTIONS, "use Flax's own"),
    "its output has another dtype than its input": (
        lambda layer: getattr(layer, "preferred_element_type", None) is not None,
        "set preferred_element_type to None",
    ),
}  # fmt: skip


def capture_nnx(layer: Any) -> Capture | None:
    """Return sizes, policy and weights of a convolution of ``flax.nnx``, or None for another object."""
    if not isinstance(layer, KINDS["nnx"]):
        return None
    if layer.use_bias and layer.bias is None:
        raise refuse(layer, "use_bias is set, but it has no bias", "set use_bias to False")
    request = layer._request if isinstance(layer, OWN) else None
    weights = {"kernel": layer.kernel.value, "bias": layer.bias.value if layer.use_bias else None}
    if request is not None and request.learned() is not None:
        weights[LEARNED] = layer.padding_value.value
    return _captured(layer, weights, layer.in_features, layer.out_features, request, "flax")


def capture_linen(layer: Any) -> Capture | None:
    """Return sizes, policy and weights of a convolution of ``flax.linen`` with its variables, or None for another object."""
    if isinstance(layer, LinenConv1d):
        module, variables = layer.module, layer.variables
        if not isinstance(module, KINDS["linen"]):
            raise refuse(module, "its module is not a flax.linen.Conv or flax.linen.ConvTranspose", "build it with one of these")
    elif isinstance(layer, KINDS["linen"]):
        if layer.scope is None:
            raise refuse(layer, "an unbound linen module has no weights", "pass module.bind(variables)")
        module, variables = layer, layer.variables
    else:
        return None
    params = linen.meta.unbox(variables.get("params", {}))
    request = module.request if isinstance(module, OWN) else None
    learns = request is not None and request.learned() is not None
    needed = ("kernel", *(["bias"] if module.use_bias else []), *([LEARNED] if learns else []))
    missing = [name for name in needed if name not in params]
    if missing:
        raise refuse(module, f"its variables have no {missing[0]}", "pass the variables that its init returned")
    return _captured(module, {name: params[name] for name in needed}, None, module.features, request, "flax-linen")


def _captured(
    layer: Any, weights: Mapping[str, Any], in_channels: int | None, out_channels: int, request: Any, policy: str
) -> Capture:
    for reason, (applies, fix) in INEXPRESSIBLE.items():
        if applies(layer):
            raise refuse(layer, reason, fix)
    parameters = {name: value for name, value in weights.items() if value is not None}
    for value in parameters.values():
        if not isinstance(value, (jax.Array, np.ndarray)) or isinstance(value, jax.core.Tracer):
            raise refuse(layer, f"its weights are of class {type(value).__name__} and have no values", "replace them with arrays")
    kernel = parameters["kernel"]
    if kernel.ndim != 3:
        raise refuse(layer, f"its kernel has shape {kernel.shape} and not 3 axes", "capture a 1-D convolution")
    parameters["kernel"] = _masked(layer, kernel)
    dtypes = {str(value.dtype) for value in parameters.values()}
    dtypes |= set() if layer.dtype is None else {str(np.dtype(layer.dtype))}
    if len(dtypes) > 1 or not dtypes <= set(DTYPES):
        raise refuse(
            layer,
            f"the dtypes of its weights and its computation are {', '.join(sorted(dtypes))}",
            f"convert both to one of {', '.join(DTYPES)}",
        )
    transposed = isinstance(layer, (nnx.ConvTranspose, linen.ConvTranspose))
    groups = request.spec.groups if transposed and request is not None else getattr(layer, "feature_group_count", 1)
    spec = _spec(layer, kernel, in_channels, out_channels, groups, transposed=transposed)
    if request is not None and (request.spec, layout_of(request), "VALID") != (spec, layout_in(layer), layer.padding):
        raise refuse(layer, "its sizes or padding were changed after it was built", "build a new layer")
    shapes = {"bias": (spec.out_channels,)} | ({LEARNED: request.learned().shape} if LEARNED in parameters else {})
    for name, shape in shapes.items():
        if name in parameters and parameters[name].shape != shape:
            raise refuse(layer, f"its {name} has shape {parameters[name].shape}", f"replace it with one of shape {shape}")
    arrays = {name: None if value is None else as_given(value) for name, value in unpacked(parameters, layout_in(layer)).items()}
    weight, bias = arrays["weight"], arrays["bias"]
    assert weight is not None
    read = _crops if transposed else _policy
    layer_policy = (read(layer, policy, spec) if request is None else request.policy).evolve(bias=bias is not None)
    layer_policy = with_learned(layer_policy, arrays[LEARNED]) if LEARNED in arrays else layer_policy
    return Capture(spec, layer_policy, weight, bias, dtypes.pop())


def _masked(layer: Any, kernel: Any) -> Any:
    """Return the kernel that the next call uses: the layer's kernel times its mask."""
    if layer.mask is None:
        return kernel
    if layer.mask.shape != kernel.shape:
        raise refuse(layer, f"its mask has shape {layer.mask.shape}", f"replace it with one of shape {kernel.shape}")
    return kernel * layer.mask


def _spec(layer: Any, kernel: Any, in_channels: int | None, out_channels: int, groups: int, *, transposed: bool) -> ConvSpec:
    strides, dilations = _sizes(layer.strides), _sizes(layer.kernel_dilation)
    if len(strides) != 1 or len(dilations) != 1:
        raise refuse(layer, f"its strides are {strides} and its kernel_dilation {dilations}", "pass one number for each")
    axes = layout_in(layer).axes
    of_kernel = dict(zip(axes, kernel.shape))  # the number of output channels of a transposed kernel is that of one group
    in_channels = in_channels or of_kernel["I"] * (1 if transposed else groups)
    lengths = {"W": _sizes(layer.kernel_size), "I": (in_channels,), "O": (out_channels,)}
    grouped = "O" if transposed else "I"
    lengths[grouped] = (lengths[grouped][0] // groups,)
    expected = tuple(number for axis in axes for number in lengths[axis])
    if kernel.shape != expected:
        raise refuse(
            layer, f"its kernel has shape {kernel.shape}, but its sizes need {expected}", "build a new layer of these sizes"
        )
    return ConvSpec.of(in_channels, out_channels, of_kernel["W"], strides[0], dilations[0], groups, transposed=transposed)


def _policy(layer: Any, name: str, spec: ConvSpec) -> LayerPolicy:
    padding = _padding(layer, PADDING_NAMES)
    try:
        if not isinstance(padding, str):
            return named_policy(name).evolve(padding=padding, padding_mode="zeros")
        return named_policy(name).evolve(padding=padding if padding in ("valid", "same") else padding.upper())
    except (ConvPolicyError, ValueError) as error:
        raise refuse(layer, str(error).rstrip("."), "correct its padding") from error


def _crops(layer: Any, name: str, spec: ConvSpec) -> LayerPolicy:
    """Return the policy of a ``ConvTranspose``; pads of the dilated input become numbers of samples that are cut."""
    half = named_policy(name + (TRANSPOSE_KERNEL if layer.transpose_kernel else "")).half()
    padding, reach = _padding(layer, dict(half.padding_names)), spec.effective_kernel - 1
    try:
        policy = half.evolve(padding=padding if isinstance(padding, str) else tuple(reach - pad for pad in padding))
        policy.static_pads(spec.kernel_size, spec.stride, spec.dilation)  # raises if Flax refuses the name for these sizes
    except ConvPolicyError as error:
        raise refuse(layer, str(error).rstrip("."), "correct its padding") from error
    return policy


def _padding(layer: Any, names: Container[str]) -> str | tuple[int, int]:
    """Return the name of a padding, or a pair of numbers."""
    try:
        padding = canonicalize_padding(layer.padding, 1)
    except ValueError as error:
        raise refuse(layer, str(error).rstrip("."), "correct its padding") from error
    if not isinstance(padding, str):
        left, right = padding[0]
        return left, right
    if padding not in names:
        raise refuse(layer, f"Flax has no padding {padding!r} for it", "correct its padding")
    return padding


def _sizes(size: Any) -> tuple[int, ...]:
    """Return a size as a tuple; Flax treats None as 1."""
    return tuple(size) if isinstance(size, (tuple, list)) else (1 if size is None else int(size),)


def _is_default(precision: Any) -> bool:
    both = precision if isinstance(precision, tuple) else (precision,)
    return all(one in DEFAULT_PRECISIONS for one in both)
