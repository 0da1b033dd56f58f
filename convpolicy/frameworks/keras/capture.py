"""Capture of ``keras.layers.Conv1D``, ``DepthwiseConv1D`` and ``Conv1DTranspose``, and of their subclasses that follow a plan.

A ``Sequential`` of ``ZeroPadding1D`` and a convolution, or of a transposed one and ``Cropping1D``, is captured as one layer.
"""

from __future__ import annotations

from typing import Any

import attrs
import keras

from convpolicy.core.layer_policy import LayerPolicy
from convpolicy.core.named import policy as named_policy
from convpolicy.core.resolution import with_output_padding
from convpolicy.core.spec import ConvSpec
from convpolicy.frameworks.keras.depthwise import NAMES
from convpolicy.frameworks.keras.layer import ZEROS, PaddedConv1D, PaddedDepthwiseConv1D
from convpolicy.frameworks.keras.plugin import RUNS_ON
from convpolicy.frameworks.keras.transposed_layer import CroppedConv1DTranspose
from convpolicy.frameworks.keras.values import parameters
from convpolicy.layers.backend import LEARNED
from convpolicy.layers.capture import Capture, as_given, refuse
from convpolicy.layers.learned import with_learned

OWN = (PaddedConv1D, PaddedDepthwiseConv1D, CroppedConv1DTranspose)
# the first class that matches defines the expected call
KINDS = (*OWN, keras.layers.Conv1D, keras.layers.DepthwiseConv1D, keras.layers.Conv1DTranspose)
# a sequence is transposed -> class of the layers before the convolution, or after the transposed one, and their numbers of samples
PARTS = {False: (keras.layers.ZeroPadding1D, "padding"), True: (keras.layers.Cropping1D, "cropping")}
DTYPES = ("float32", "float64", "float16", "bfloat16")


def capture(layer: Any) -> Capture | None:
    """Return sizes, policy and weights of a convolution or a transposed one; None for another object."""
    return _capture(layer, activation=False)


def capture_without_activation(layer: Any) -> Capture | None:
    """Return the same for a convolution that also applies an activation, without it."""
    return _capture(layer, activation=True)


def _capture(layer: Any, *, activation: bool) -> Capture | None:
    if isinstance(layer, keras.layers.SeparableConv1D):
        raise refuse(layer, "it is more than one convolution", "capture a DepthwiseConv1D and a Conv1D with its weights")
    if isinstance(layer, keras.Sequential):
        return _capture_sequence(layer)
    kind = next((kind for kind in KINDS if isinstance(layer, kind)), None)
    if kind is None:
        return None
    _check(layer, kind, activation=activation)
    values = parameters(layer)
    weight, bias = as_given(values["weight"]), None if values["bias"] is None else as_given(values["bias"])
    policy = with_learned(_policy(layer), values[LEARNED]) if LEARNED in values else _policy(layer)
    spec = _spec(layer, weight)
    policy.static_pads(spec.kernel_size, spec.stride, spec.dilation)  # raises where the framework fails when the layer is called
    return Capture(spec, policy, weight, bias, layer.dtype_policy.compute_dtype)


def activation_of(layer: Any) -> str:
    """Return that a layer applies an activation, as text after "it"; empty without one."""
    activation = getattr(layer, "activation", None)
    if activation in (None, keras.activations.linear):
        return ""
    return f"applies the activation {getattr(activation, '__name__', type(activation).__name__)!r}"


def without_activation(layer: Any) -> Any:
    """Return a layer that shares the weights of another and applies no activation."""
    if not activation_of(layer):
        return layer
    twin = object.__new__(type(layer))
    twin.__dict__.update(layer.__dict__)
    twin.__dict__["activation"] = keras.activations.linear
    return twin


def _capture_sequence(model: Any) -> Capture | None:
    """Return a ``Sequential`` of `PARTS` and a convolution as one layer; None for another ``Sequential``."""
    layers = list(model.layers) or [None]
    transposed = isinstance(layers[0], keras.layers.Conv1DTranspose)
    layer = layers.pop(0 if transposed else -1)
    part, numbers = PARTS[transposed]
    is_other = isinstance(layer, keras.layers.Conv1DTranspose) != transposed or not isinstance(layer, KINDS)
    if not layers or not {type(other) for other in layers} <= {part} or is_other:
        return None
    if type(model).call is not keras.Sequential.call or any("call" in vars(other) for other in (model, *layers)):
        raise refuse(model, "one of its layers overrides call", "capture its convolution alone")
    convolution = capture(layer)
    assert convolution is not None
    dtypes = {convolution.dtype, *(other.compute_dtype for other in layers), *(tensor.dtype for tensor in model.inputs or ())}
    if len(dtypes) > 1:
        raise refuse(model, f"its input and layers are {', '.join(sorted(dtypes))}", "build all of them with one dtype")
    if {getattr(other, "data_format", "channels_last") for other in layers} != {layer.data_format}:
        raise refuse(model, "its layers have different data_formats", "build all of them with one data_format")
    spec, policy = convolution.spec, convolution.policy
    own = policy.static_pads(spec.kernel_size, spec.stride, spec.dilation)
    mixed = policy.padding_mode != ZEROS and (transposed or own != (0, 0))  # the other layers pad with zeros, and wrap nothing
    if own is None or mixed or (min(own) < 0 and not transposed):
        reason = f"its {type(layer).__name__} pads by {policy.padding} with mode {policy.padding_mode}"
        raise refuse(model, reason, "set its padding to 'valid', or capture it alone")
    left, right = (sum(counts) for counts in zip(own, *(getattr(other, numbers) for other in layers)))
    return attrs.evolve(convolution, policy=policy.evolve(padding=(left, right), padding_mode=ZEROS))


def _check(layer: Any, kind: Any, *, activation: bool) -> None:
    if type(layer).call is not kind.call or "call" in vars(layer):
        raise refuse(layer, "its class overrides call", f"capture a plain {kind.__name__} with its weights")
    if not layer.built:
        raise refuse(layer, "it is not built and has no weights", "call it once on an input, or call build")
    if getattr(layer, "lora_enabled", False):
        raise refuse(layer, "LoRA adds to its kernel", "save and load the layer without it, which merges it")
    if not activation and (applied := activation_of(layer)):
        raise refuse(layer, f"it {applied}", "set activation to None and apply it after the layer")
    policy = layer.dtype_policy
    if getattr(policy, "quantization_mode", None) is not None:
        raise refuse(layer, f"it is quantized ({policy.name})", "capture it before it is quantized")
    if policy.compute_dtype != policy.variable_dtype or policy.compute_dtype not in DTYPES:
        dtypes = f"its weights are {policy.variable_dtype} and it computes in {policy.compute_dtype}"
        raise refuse(layer, dtypes, f"build it with one dtype of {', '.join(DTYPES)}")


def _spec(layer: Any, weight: Any) -> ConvSpec:
    strides, dilation = tuple(layer.strides), tuple(layer.dilation_rate)
    if isinstance(layer, keras.layers.Conv1DTranspose):
        channels, _out, kernel = weight.shape
        return ConvSpec.of(channels, layer.filters, kernel, strides, dilation, getattr(layer, "groups", 1), transposed=True)
    out, per_group, kernel = weight.shape
    groups = layer.kernel.shape[1] if isinstance(layer, keras.layers.DepthwiseConv1D) else layer.groups
    return ConvSpec.of(per_group * groups, out, kernel, strides, dilation, groups)


def _policy(layer: Any) -> LayerPolicy:
    if isinstance(layer, OWN):
        return layer.policy.evolve(bias=layer.use_bias)
    names = {framework: name for name, framework in RUNS_ON.items()}
    name = names[keras.config.backend()]
    if isinstance(layer, keras.layers.Conv1DTranspose):
        policy = named_policy(name).half().evolve(padding=layer.padding, bias=layer.use_bias)
        if layer.output_padding is None:
            return policy
        return policy.evolve(padding=with_output_padding(policy.padding, layer.output_padding[0]))
    is_depthwise = isinstance(layer, keras.layers.DepthwiseConv1D)
    return named_policy(NAMES[name] if is_depthwise else name).evolve(padding=layer.padding, bias=layer.use_bias)
