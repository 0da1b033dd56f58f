"""Taking ``keras.layers.Conv1D`` and ``DepthwiseConv1D`` apart, and the subclasses that pad by a plan."""

from __future__ import annotations

from typing import Any

import keras

from convpolicy.core.named import policy as named_policy
from convpolicy.core.plan import ConvSpec
from convpolicy.core.policy import Policy
from convpolicy.frameworks.keras.depthwise import NAMES
from convpolicy.frameworks.keras.layer import PaddedConv1D, PaddedDepthwiseConv1D
from convpolicy.frameworks.keras.plugin import RUNS_ON
from convpolicy.frameworks.keras.values import parameters
from convpolicy.layers.capture import Capture, as_given, refuse

OWN = (PaddedConv1D, PaddedDepthwiseConv1D)
KINDS = (*OWN, keras.layers.Conv1D, keras.layers.DepthwiseConv1D)  # the first that fits says which call is Keras's own
OTHERS = {  # what has a kernel over the length and is another function
    keras.layers.SeparableConv1D: ("it is more than one convolution", "capture a DepthwiseConv1D and a Conv1D with its weights"),
    keras.layers.Conv1DTranspose: ("it is no convolution but the transpose of one", "capture a Conv1D"),
}
DTYPES = ("float32", "float64", "float16", "bfloat16")


def capture(layer: Any) -> Capture | None:
    """Return sizes, policy and weights; None for what is no 1-D convolution of Keras."""
    for other, why in OTHERS.items():
        if isinstance(layer, other):
            raise refuse(layer, *why)
    kind = next((kind for kind in KINDS if isinstance(layer, kind)), None)
    if kind is None:
        return None
    _check(layer, kind)
    weight, bias = parameters(layer).values()
    copies = as_given(weight), None if bias is None else as_given(bias)
    return Capture(_spec(layer, weight), _policy(layer), *copies, layer.dtype_policy.compute_dtype)


def _check(layer: Any, kind: Any) -> None:
    if type(layer).call is not kind.call or "call" in vars(layer):
        raise refuse(layer, "its call is a function of its own", f"capture a plain {kind.__name__} with its weights")
    if not layer.built:
        raise refuse(layer, "it is not built and holds no weights", "call it once on an input, or call build")
    if getattr(layer, "lora_enabled", False):
        raise refuse(layer, "LoRA adds to its kernel", "save and load the layer without it, which merges it")
    if layer.activation not in (None, keras.activations.linear):
        name = getattr(layer.activation, "__name__", type(layer.activation).__name__)
        raise refuse(layer, f"it applies the activation {name!r}", "set activation to None and apply it after the layer")
    policy = layer.dtype_policy
    if getattr(policy, "quantization_mode", None) is not None:
        raise refuse(layer, f"it is quantized, {policy.name}", "capture it before it is quantized")
    if policy.compute_dtype != policy.variable_dtype or policy.compute_dtype not in DTYPES:
        dtypes = f"it holds {policy.variable_dtype} and computes in {policy.compute_dtype}"
        raise refuse(layer, dtypes, f"build it with one dtype of {', '.join(DTYPES)}")


def _spec(layer: Any, weight: Any) -> ConvSpec:
    out, per_group, kernel = weight.shape
    groups = layer.kernel.shape[1] if isinstance(layer, keras.layers.DepthwiseConv1D) else layer.groups
    return ConvSpec.of(per_group * groups, out, kernel, tuple(layer.strides), tuple(layer.dilation_rate), groups)


def _policy(layer: Any) -> Policy:
    if isinstance(layer, OWN):
        return layer.policy.evolve(bias=layer.use_bias)
    names = {framework: name for name, framework in RUNS_ON.items()}
    name = names[keras.config.backend()]
    depthwise = isinstance(layer, keras.layers.DepthwiseConv1D)
    return named_policy(NAMES[name] if depthwise else name).evolve(padding=layer.padding, bias=layer.use_bias)
