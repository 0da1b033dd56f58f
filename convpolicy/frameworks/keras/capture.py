"""Capture of ``keras.layers.Conv1D`` and ``DepthwiseConv1D``, and of their subclasses that pad by a plan.

A ``Sequential`` of ``ZeroPadding1D`` and one of them is captured as one convolution.
"""

from __future__ import annotations

from typing import Any

import attrs
import keras

from convpolicy.core.layer_policy import LayerPolicy
from convpolicy.core.named import policy as named_policy
from convpolicy.core.spec import ConvSpec
from convpolicy.frameworks.keras.depthwise import NAMES
from convpolicy.frameworks.keras.layer import ZEROS, PaddedConv1D, PaddedDepthwiseConv1D
from convpolicy.frameworks.keras.plugin import RUNS_ON
from convpolicy.frameworks.keras.values import parameters
from convpolicy.layers.backend import LEARNED
from convpolicy.layers.capture import Capture, as_given, refuse, with_learned

OWN = (PaddedConv1D, PaddedDepthwiseConv1D)
KINDS = (*OWN, keras.layers.Conv1D, keras.layers.DepthwiseConv1D)  # the first class that matches defines the expected call
OTHERS = {  # layers with a kernel along the length that are not captured
    keras.layers.SeparableConv1D: ("it is more than one convolution", "capture a DepthwiseConv1D and a Conv1D with its weights"),
    keras.layers.Conv1DTranspose: ("it is a transposed convolution", "capture a Conv1D"),
}
DTYPES = ("float32", "float64", "float16", "bfloat16")


def capture(layer: Any) -> Capture | None:
    """Return sizes, policy and weights of a 1-D convolution, alone or after ``ZeroPadding1D``; None for another object."""
    for other, why in OTHERS.items():
        if isinstance(layer, other):
            raise refuse(layer, *why)
    if isinstance(layer, keras.Sequential):
        return _capture_sequence(layer)
    kind = next((kind for kind in KINDS if isinstance(layer, kind)), None)
    if kind is None:
        return None
    _check(layer, kind)
    values = parameters(layer)
    weight, bias = as_given(values["weight"]), None if values["bias"] is None else as_given(values["bias"])
    policy = with_learned(_policy(layer), values[LEARNED]) if LEARNED in values else _policy(layer)
    return Capture(_spec(layer, weight), policy, weight, bias, layer.dtype_policy.compute_dtype)


def _capture_sequence(model: Any) -> Capture | None:
    """Return a ``Sequential`` of ``ZeroPadding1D`` and a convolution as one convolution; None for another ``Sequential``."""
    *pads, last = model.layers or [None]
    if not pads or not {type(pad) for pad in pads} <= {keras.layers.ZeroPadding1D} or not isinstance(last, KINDS):
        return None
    if type(model).call is not keras.Sequential.call or any("call" in vars(part) for part in (model, *pads)):
        raise refuse(model, "one of its layers overrides call", "capture its convolution alone")
    convolution = capture(last)
    assert convolution is not None
    dtypes = {convolution.dtype, *(pad.compute_dtype for pad in pads), *(tensor.dtype for tensor in model.inputs or ())}
    if len(dtypes) > 1:
        raise refuse(model, f"its input and layers are {', '.join(sorted(dtypes))}", "build all of them with one dtype")
    if {pad.data_format for pad in pads} != {last.data_format}:
        raise refuse(model, "its layers have different data_formats", "build all of them with one data_format")
    spec, policy = convolution.spec, convolution.policy
    inner_pads = policy.static_pads(spec.kernel_size, spec.stride, spec.dilation)
    if inner_pads is None or min(inner_pads) < 0 or (inner_pads != (0, 0) and policy.padding_mode != ZEROS):
        reason = f"its {type(last).__name__} pads by {policy.padding} with mode {policy.padding_mode}"
        raise refuse(model, reason, "set its padding to 'valid', or capture it alone")
    left, right = (sum(counts) for counts in zip(inner_pads, *(pad.padding for pad in pads)))
    return attrs.evolve(convolution, policy=policy.evolve(padding=(left, right), padding_mode=ZEROS))


def _check(layer: Any, kind: Any) -> None:
    if type(layer).call is not kind.call or "call" in vars(layer):
        raise refuse(layer, "its class overrides call", f"capture a plain {kind.__name__} with its weights")
    if not layer.built:
        raise refuse(layer, "it is not built and has no weights", "call it once on an input, or call build")
    if getattr(layer, "lora_enabled", False):
        raise refuse(layer, "LoRA adds to its kernel", "save and load the layer without it, which merges it")
    if layer.activation not in (None, keras.activations.linear):
        name = getattr(layer.activation, "__name__", type(layer.activation).__name__)
        raise refuse(layer, f"it applies the activation {name!r}", "set activation to None and apply it after the layer")
    policy = layer.dtype_policy
    if getattr(policy, "quantization_mode", None) is not None:
        raise refuse(layer, f"it is quantized ({policy.name})", "capture it before it is quantized")
    if policy.compute_dtype != policy.variable_dtype or policy.compute_dtype not in DTYPES:
        dtypes = f"its weights are {policy.variable_dtype} and it computes in {policy.compute_dtype}"
        raise refuse(layer, dtypes, f"build it with one dtype of {', '.join(DTYPES)}")


def _spec(layer: Any, weight: Any) -> ConvSpec:
    out, per_group, kernel = weight.shape
    groups = layer.kernel.shape[1] if isinstance(layer, keras.layers.DepthwiseConv1D) else layer.groups
    return ConvSpec.of(per_group * groups, out, kernel, tuple(layer.strides), tuple(layer.dilation_rate), groups)


def _policy(layer: Any) -> LayerPolicy:
    if isinstance(layer, OWN):
        return layer.policy.evolve(bias=layer.use_bias)
    names = {framework: name for name, framework in RUNS_ON.items()}
    name = names[keras.config.backend()]
    is_depthwise = isinstance(layer, keras.layers.DepthwiseConv1D)
    return named_policy(NAMES[name] if is_depthwise else name).evolve(padding=layer.padding, bias=layer.use_bias)
