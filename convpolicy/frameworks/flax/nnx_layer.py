"""The backend ``flax``, for convolutions: a plain ``flax.nnx.Conv`` where it can express the padding, otherwise a subclass that pads by a plan."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from flax import nnx
from flax.nnx.nn import linear

from convpolicy.frameworks.flax import values
from convpolicy.frameworks.flax.padding import native_padding, padded
from convpolicy.layers.backend import LEARNED, LayerRequest
from convpolicy.layers.following import Following
from convpolicy.parts.stream import Stream

Layer = TypeVar("Layer", nnx.Conv, nnx.ConvTranspose)


class PaddedConv(Following, nnx.Conv):
    """A ``flax.nnx.Conv`` that pads by a policy's plan, which is resolved for each length while tracing.

    Its state is that of ``flax.nnx.Conv``, and ``padding_value``, () or (in_features,), when the padding constant is learned.
    """

    def __init__(self, request: LayerRequest, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._request = request
        if (initial := values.learned(request)) is not None:
            self.padding_value = nnx.Param(initial)

    def __call__(self, inputs: Any) -> Any:
        """Convolve an input (..., length, channels)."""
        return super().__call__(padded(self._request, inputs, _value(self)))


def build(request: LayerRequest, stream: Stream | None, device: Any) -> nnx.Conv:
    """Build the layer; see `filled`."""
    values.require_dtype("dtype", request.dtype)
    padding = native_padding(request)
    arguments = {
        **arguments_of(request, stream),
        "strides": request.spec.stride,
        "padding": "VALID" if padding is None else padding,
        "kernel_dilation": request.spec.dilation,
        "feature_group_count": request.spec.groups,
    }
    layer = nnx.Conv(**arguments) if padding is not None else PaddedConv(request, **arguments)
    return filled(layer, request, stream, device)


def arguments_of(request: LayerRequest, stream: Stream | None) -> dict[str, Any]:
    """Return the arguments that ``nnx.Conv`` and ``nnx.ConvTranspose`` have in common."""
    spec, draws_itself = request.spec, _draws_itself(request, stream)
    return {
        "in_features": spec.in_channels,
        "out_features": spec.out_channels,
        "kernel_size": (spec.kernel_size,),
        "use_bias": request.policy.bias,
        "param_dtype": values.DTYPES[request.dtype],
        "kernel_init": linear.default_kernel_init if draws_itself else values.zeros,  # uses no random numbers
        "rngs": nnx.Rngs(values.fresh_seed() if draws_itself else 0),
    }


def filled(layer: Layer, request: LayerRequest, stream: Stream | None, device: Any) -> Layer:
    """Write the initial weights into a layer that was built with `arguments_of`, and return it.

    Without a stream, NumPy's global random state yields the seed of its ``nnx.Rngs``, since JAX has no global random state.
    """
    layer.kernel_init = linear.default_kernel_init  # makes its GraphDef equal to that of a layer built without convpolicy
    drawn = {} if _draws_itself(request, stream) else values.drawn(request, stream)
    _write(layer, values.placed({**_weights(layer), **drawn}, device))
    return layer


def _draws_itself(request: LayerRequest, stream: Stream | None) -> bool:
    return stream is None and values.has_native_init(request)


def _value(layer: nnx.Conv) -> Any:
    parameter = getattr(layer, LEARNED, None)
    return None if parameter is None else parameter.value


def _weights(layer: Any) -> dict[str, Any]:
    variables = {"kernel": layer.kernel, "bias": layer.bias, LEARNED: getattr(layer, LEARNED, None)}
    return {name: variable.value for name, variable in variables.items() if variable is not None}


def _write(layer: Any, weights: Mapping[str, Any]) -> None:
    for name, value in weights.items():
        getattr(layer, name).value = value


def run(layer: Any, data: Any) -> Any:
    """Run the layer on a NumPy array (batch, channels, length) and return its output as one."""
    kernel = getattr(layer, "kernel", None)  # absent from a module that contains layers
    return values.as_output(layer(values.as_input(data, None if kernel is None else kernel.value.dtype)))


def parameters(layer: Any) -> dict[str, Any]:
    """Return weight, bias and the learned constant, if any, as NumPy arrays; bfloat16 as float32."""
    return values.unpacked(_weights(layer), values.layout_in(layer))


def assign(layer: Any, new: Mapping[str, Any]) -> None:
    """Write NumPy arrays to weight, bias and the learned constant."""
    _write(layer, values.rewritten(_weights(layer), new, values.layout_in(layer)))


def gradients(layer: Any, data: Any, upstream: Any) -> dict[str, Any]:
    """Return the gradients of ``sum(output * upstream)`` as NumPy arrays."""
    parts = nnx.split(layer, nnx.Param, ...)
    to_weights, to_input = values.gradients_of(_call, parts, data, upstream, layer.kernel.value.dtype)
    to_weights = {name: to_weights[name].value for name in _weights(layer)}
    return {"input": to_input, **values.unpacked(to_weights, values.layout_in(layer))}


def _call(graph: Any, weights: Any, others: Any, inputs: Any) -> Any:
    return nnx.merge(graph, weights, others)(inputs)
