"""The backend ``flax``: ``flax.nnx.Conv`` itself where it can express the padding, else a subclass that pads by the plan."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flax import nnx
from flax.nnx.nn import linear

from convpolicy.core.plan import Plan
from convpolicy.core.policy import Policy
from convpolicy.frameworks.flax import values
from convpolicy.frameworks.flax.padding import native_padding, padded
from convpolicy.layers.backend import LEARNED, LayerRequest
from convpolicy.parts.stream import Stream


class PaddedConv(nnx.Conv):
    """A ``flax.nnx.Conv`` that pads by a policy's plan, which is resolved for each length while tracing.

    Its state is Flax's own, and ``padding_value``, () or (in_features,), where the constant is learned.
    """

    def __init__(self, request: LayerRequest, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._request = request
        if (start := values.learned(request)) is not None:
            self.padding_value = nnx.Param(start)

    @property
    def policy(self) -> Policy:
        """The policy this layer follows."""
        return self._request.policy

    def plan(self, length: int) -> Plan:
        """Return the plan for one input length in samples."""
        return self._request.plan(length)

    def __call__(self, inputs: Any) -> Any:
        """Convolve (..., length, channels)."""
        return super().__call__(padded(self._request, inputs, _value(self)))


def build(request: LayerRequest, stream: Stream | None, device: Any) -> nnx.Conv:
    """Build the layer; without a stream its ``nnx.Rngs`` are seeded from NumPy's global random state, as JAX has none."""
    values.require_dtype("dtype", request.dtype)
    spec, padding = request.spec, native_padding(request)
    own_draw = stream is None and values.has_native_init(request)
    arguments = {
        "in_features": spec.in_channels,
        "out_features": spec.out_channels,
        "kernel_size": (spec.kernel_size,),
        "strides": spec.stride,
        "padding": "VALID" if padding is None else padding,
        "kernel_dilation": spec.dilation,
        "feature_group_count": spec.groups,
        "use_bias": request.policy.bias,
        "param_dtype": values.DTYPES[request.dtype],
        "kernel_init": linear.default_kernel_init if own_draw else nnx.initializers.zeros,  # zeros draw nothing
        "rngs": nnx.Rngs(values.fresh_seed() if own_draw else 0),
    }
    layer = nnx.Conv(**arguments) if padding is not None else PaddedConv(request, **arguments)
    layer.kernel_init = linear.default_kernel_init  # so that its GraphDef is that of a layer made without convpolicy
    drawn = {} if own_draw else values.drawn(request, stream)
    _give(layer, values.placed({**_weights(layer), **drawn}, device))
    return layer


def _value(layer: nnx.Conv) -> Any:
    parameter = getattr(layer, LEARNED, None)
    return None if parameter is None else parameter.value


def _weights(layer: nnx.Conv) -> dict[str, Any]:
    found = {"kernel": layer.kernel, "bias": layer.bias, LEARNED: getattr(layer, LEARNED, None)}
    return {name: variable.value for name, variable in found.items() if variable is not None}


def _give(layer: nnx.Conv, weights: Mapping[str, Any]) -> None:
    for name, value in weights.items():
        getattr(layer, name).value = value


def run(layer: nnx.Conv, data: Any) -> Any:
    """Return the output for (batch, channels, length), all NumPy."""
    kernel = getattr(layer, "kernel", None)  # a module around layers has none
    return values.as_output(layer(values.as_input(data, None if kernel is None else kernel.value.dtype)))


def parameters(layer: nnx.Conv) -> dict[str, Any]:
    """Return weight (out, in/groups, kernel), bias and a learned constant as NumPy arrays; bfloat16 as float32."""
    return values.unpacked(_weights(layer))


def assign(layer: nnx.Conv, new: Mapping[str, Any]) -> None:
    """Write weight (out, in/groups, kernel), bias and a learned constant, given as NumPy arrays."""
    _give(layer, values.rewritten(_weights(layer), new))


def gradients(layer: nnx.Conv, data: Any, upstream: Any) -> dict[str, Any]:
    """Return the gradients of ``sum(output * upstream)``, all NumPy."""
    graph, state, others = nnx.split(layer, nnx.Param, ...)

    def call(weights: Any, inputs: Any) -> Any:
        return nnx.merge(graph, weights, others)(inputs)

    found, to_input = values.gradients_of(call, state, data, upstream, layer.kernel.value.dtype)
    return {"input": to_input, **values.unpacked({name: found[name].value for name in _weights(layer)})}
