"""Capture of ``mindspore.nn.Conv1d``, ``mindspore.nn.Conv1dTranspose`` and ``mindspore.mint.nn.Conv1d``."""

from __future__ import annotations

import sys
from typing import Any

from mindspore import mint, nn

from convpolicy.arithmetic import split, static_total
from convpolicy.core.alike import pads_alike
from convpolicy.core.named import policy
from convpolicy.core.spec import ConvSpec
from convpolicy.frameworks.mindspore.layer import SAME, ZEROS, PolicyConv1d
from convpolicy.frameworks.mindspore.transposed import PolicyConv1dTranspose
from convpolicy.layers.capture import Capture, as_given, one, refuse
from convpolicy.layers.learned import with_learned

DTYPES = {"Float32": "float32", "Float64": "float64", "Float16": "float16"}
HOOKS = ("_forward_hook", "_forward_pre_hook")
CASTS = {"fp16": "Float16", "bf16": "BFloat16", "fp32": "Float32"}  # the flags that to_float sets


def capture(layer: Any) -> Capture | None:
    """Return sizes, policy and weights of a Conv1d or a Conv1dTranspose, or None for another object."""
    layer_class = next((kind for kind in READERS if isinstance(layer, kind)), None)
    if layer_class is None:
        return None
    if type(layer).construct is not layer_class.construct or "construct" in vars(layer):
        raise refuse(layer, "its class overrides construct", f"capture a plain {layer_class.__name__} with its weights")
    if type(layer).construct.__code__.co_filename != sys.modules[layer_class.__module__].__file__:
        raise refuse(layer, "the construct of its class was replaced", "restore it")
    if any(getattr(layer, name, None) for name in HOOKS):
        raise refuse(layer, "a forward hook or pre-hook may change what it computes", "remove the hook")
    spec, layer_policy, weight, bias = READERS[layer_class](layer)
    learned = layer.padding_value if isinstance(layer, PolicyConv1d) else None
    others = [value for value in (bias, learned) if value is not None]
    if any(value.has_init for value in (weight, *others)):
        raise refuse(layer, "its parameters have no values yet", "call init_parameters_data() first")
    if any(getattr(layer, flag, False) and name != str(weight.dtype) for flag, name in CASTS.items()):
        raise refuse(layer, f"to_float makes it compute in another dtype than its {weight.dtype} weight", "undo to_float")
    first, second, kernel = spec.weight_shape
    if tuple(weight.shape) not in ((first, second, kernel), (first, second, 1, kernel)):
        raise refuse(
            layer,
            f"its weight has shape {weight.shape}, but its sizes need {spec.weight_shape}",
            "build a new layer of these sizes",
        )
    dtype = str(weight.dtype)
    if dtype not in DTYPES or any(str(value.dtype) != dtype for value in others):
        raise refuse(layer, f"weight and bias are {dtype}", f"convert both to one of {', '.join(DTYPES.values())}")
    if learned is not None:
        layer_policy = with_learned(layer_policy, learned.asnumpy())
    arrays = [None if value is None else as_given(value.asnumpy()) for value in (weight, bias)]
    return Capture(spec, layer_policy, arrays[0].reshape(spec.weight_shape), arrays[1], DTYPES[dtype])  # type: ignore[union-attr]


def _of_policy_layer(layer: PolicyConv1d) -> Any:
    request = layer._request
    zeros, pads = request.policy.padding_mode == ZEROS, request.static_pads()
    same = zeros and pads_alike(request.policy, SAME, request.spec)
    expected = ("same", None) if same else (None, pads if zeros and pads is not None else (0, 0))
    primitive = layer.conv2d
    actual = ("same", None) if primitive.pad_mode == "same" else (None, tuple(primitive.pad[2:]))
    initial = request.learned()
    is_as_built = layer.padding_value is None if initial is None else getattr(layer.padding_value, "shape", None) == initial.shape
    if _sizes(layer) != request.spec or actual != expected or not is_as_built:
        raise _changed(layer)
    return request.spec, layer.policy, layer.weight, layer.bias if layer.has_bias else None


def _changed(layer: Any) -> Exception:
    return refuse(layer, "its sizes or its padding were changed after it was built", "build a new layer")


def _sizes(layer: nn.Conv1d) -> ConvSpec:
    """Return the sizes of the convolution inside the layer; refuse a layer whose attributes differ from it."""
    built = layer.conv2d
    kernel, stride, dilation = (int(sizes[-1]) for sizes in (built.kernel_size, built.stride, built.dilation))
    attributes = (layer.kernel_size, layer.stride, layer.dilation, layer.group, layer.out_channels)
    if attributes != ((1, kernel), (1, stride), (1, dilation), built.group, built.out_channel):
        raise _changed(layer)
    return ConvSpec.of(layer.in_channels, layer.out_channels, kernel, stride, dilation, layer.group)


def _of_conv1d(layer: nn.Conv1d) -> Any:
    """Read ``mindspore.nn.Conv1d``, which is a Conv2d of height 1: its sizes are (1, n), its pads (0, 0, left, right)."""
    spec, built = _sizes(layer), layer.conv2d
    if built.pad_mode != layer.pad_mode or (built.pad_mode == "pad" and tuple(built.pad) != tuple(layer.padding)):
        raise _changed(layer)
    padding = built.pad_mode if built.pad_mode != "pad" else built.pad[2:]
    layer_policy = policy("mindspore").evolve(padding=padding, bias=layer.has_bias)
    return spec, layer_policy, layer.weight, layer.bias if layer.has_bias else None


def _transposed_sizes(layer: nn.Conv1dTranspose) -> ConvSpec:
    """Return the sizes of a transposed convolution; refuse a layer whose attributes differ from the primitive inside it."""
    built = layer.conv2d_transpose
    kernel, stride, dilation = (int(sizes[-1]) for sizes in (built.kernel_size, built.stride, built.dilation))
    attributes = (layer.kernel_size, layer.stride, layer.dilation, layer.group, layer.in_channels)
    modes = [mode for mode in ("same", "valid", "pad") if getattr(layer, f"is_{mode}")]
    pads = (*layer.padding[:3], max(layer.padding[3], 0))  # the last number is negative where the primitive appends zeros
    if (
        attributes != ((1, kernel), (1, stride), (1, dilation), built.group, built.out_channel)
        or [layer.pad_mode] != modes
        or modes != [built.pad_mode.lower()]
        or tuple(built.padding) != pads
    ):
        raise _changed(layer)
    return ConvSpec.of(layer.in_channels, layer.out_channels, kernel, stride, dilation, layer.group, transposed=True)


def _of_conv1d_transpose(layer: nn.Conv1dTranspose) -> Any:
    """Read ``mindspore.nn.Conv1dTranspose``, which is a Conv2dTranspose of height 1: it cuts (0, 0, left, right)."""
    spec = _transposed_sizes(layer)
    padding = layer.pad_mode if layer.pad_mode != "pad" else layer.padding[2:]
    layer_policy = policy("mindspore").half().evolve(padding=padding, bias=layer.has_bias)
    return spec, layer_policy, layer.weight, layer.bias if layer.has_bias else None


def _of_policy_transposed(layer: PolicyConv1dTranspose) -> Any:
    if _transposed_sizes(layer) != layer._request.spec or layer.padding[2:] != layer.cuts_inside:
        raise _changed(layer)
    return layer._request.spec, layer.policy, layer.weight, layer.bias if layer.has_bias else None


def _of_mint(layer: mint.nn.Conv1d) -> Any:
    """Read ``mindspore.mint.nn.Conv1d``, which has torch's padding and torch's weight layout."""
    kernel, stride, dilation = map(one, (layer.kernel_size, layer.stride, layer.dilation))
    own_padding = layer.padding if isinstance(layer.padding, str) else one(layer.padding)
    same = split(static_total(kernel, dilation), "right")
    pads = {"same": same, "valid": (0, 0)}[own_padding] if isinstance(own_padding, str) else (own_padding, own_padding)
    if layer.padding_mode != "zeros" and tuple(layer._reversed_padding) != pads:
        raise _changed(layer)
    padding = policy("torch").evolve(padding=own_padding).padding
    spec = ConvSpec.of(layer.in_channels, layer.out_channels, kernel, stride, dilation, layer.groups)
    layer_policy = policy("mindspore").evolve(
        name="mindspore.mint", padding=padding, padding_mode=layer.padding_mode, bias=layer.bias is not None, layout="OIW"
    )
    return spec, layer_policy, layer.weight, layer.bias


READERS = {
    PolicyConv1d: _of_policy_layer,
    nn.Conv1d: _of_conv1d,
    mint.nn.Conv1d: _of_mint,
    PolicyConv1dTranspose: _of_policy_transposed,
    nn.Conv1dTranspose: _of_conv1d_transpose,
}
