"""The torch backend: a layer of torch's own class where it can express the policy, otherwise a subclass of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from convpolicy import registry
from convpolicy.errors import InvalidTypeError, InvalidValueError, shown
from convpolicy.frameworks.torch.cropped import CroppedConvTranspose1d
from convpolicy.frameworks.torch.execution import processor
from convpolicy.frameworks.torch.execution.conditions import native_padding
from convpolicy.frameworks.torch.execution.ruled import RuledConv1d
from convpolicy.frameworks.torch.execution.ruled_transposed import RuledConvTranspose1d
from convpolicy.frameworks.torch.execution.selection import applies
from convpolicy.frameworks.torch.execution.transposed_conditions import native_crop
from convpolicy.frameworks.torch.padded import PaddedConv1d
from convpolicy.frameworks.torch.policy_layer import (
    NATIVE_MODES,
    ConvLayer,
    Layer,
    follow,
    has_native_init,
    normalised,
    redraw,
    undrawn,
    write,
)
from convpolicy.frameworks.torch.values import as_numpy, as_tensor
from convpolicy.layers.backend import LEARNED, LayerRequest
from convpolicy.parts.stream import Stream


@registry.cached(maxsize=512)
def _recipe(request: LayerRequest, _processor: processor.Processor) -> tuple[type[Any] | None, dict[str, Any]]:
    """Return the layer class for this processor, None for ``torch.nn.Conv1d``, and the arguments of its constructor."""
    padding = native_padding(request)
    arguments = _sizes(request) | {
        "padding": padding or 0,  # a PaddedConv1d pads before the convolution
        "padding_mode": request.policy.padding_mode.name if request.policy.padding_mode in NATIVE_MODES else "zeros",
    }
    return PaddedConv1d if padding is None else RuledConv1d if applies(request) else None, arguments


@registry.cached(maxsize=512)
def _recipe_transposed(request: LayerRequest, _processor: processor.Processor) -> tuple[type[Any] | None, dict[str, Any]]:
    """Return the same for a transposed convolution, with None for ``torch.nn.ConvTranspose1d``."""
    crop = native_crop(request)
    padding, output_padding = (0, 0) if crop is None else crop  # a CroppedConvTranspose1d cuts the full result
    arguments = _sizes(request) | {"padding": padding, "output_padding": output_padding}
    return CroppedConvTranspose1d if crop is None else RuledConvTranspose1d if applies(request) else None, arguments


def _sizes(request: LayerRequest) -> dict[str, Any]:
    spec = request.spec
    return {
        "in_channels": spec.in_channels,
        "out_channels": spec.out_channels,
        "kernel_size": spec.kernel_size,
        "stride": spec.stride,
        "dilation": spec.dilation,
        "groups": spec.groups,
        "bias": request.policy.bias,
        "dtype": getattr(torch, request.dtype),
    }


def _usable(device: Any) -> torch.device:
    """Return a device on which this torch can create a tensor; refuse any other in one sentence."""
    try:
        return torch.empty(0, device=device).device
    except Exception as error:  # TypeError, RuntimeError, AssertionError, and errors that only some devices raise
        kind = InvalidTypeError if isinstance(error, TypeError) else InvalidValueError
        first = str(error).strip().partition("\n")[0].rstrip(".")
        raise kind(f"device must be available in this torch, got {shown(device)}: {first}; pass for example 'cpu'.") from error


def build(request: LayerRequest, stream: Stream | None, device: Any) -> nn.Conv1d:
    """Build a convolution.

    Without a stream, initial weights come from torch's global random state, which ``torch.manual_seed`` sets.
    """
    return _built(nn.Conv1d, request, stream, device, _recipe)


def build_transposed(request: LayerRequest, stream: Stream | None, device: Any) -> nn.ConvTranspose1d:
    """Build a transposed convolution; see `build`."""
    return _built(nn.ConvTranspose1d, request, stream, device, _recipe_transposed)


def _built(native: type[Layer], request: LayerRequest, stream: Stream | None, device: Any, recipe: Callable[..., Any]) -> Layer:
    if device is not None and _usable(device).type == "meta" and stream is not None:
        raise InvalidValueError("seed must be None on device 'meta', which has no values, got one; set the seed after to_empty.")
    kind, arguments = recipe(request, processor.current())
    if kind is not None:
        own: Layer = kind(request, arguments, stream, device)
        return normalised(own, request.policy.weight_norm)
    is_native = has_native_init(request) and request.policy.weight_norm is None
    if stream is None and is_native:
        return native(**arguments, device=device)
    layer = undrawn(native, **arguments, device=device)
    if not is_native:
        follow(layer, request)
    redraw(layer, request, stream)
    return normalised(layer, request.policy.weight_norm)


def run(layer: ConvLayer, data: Any) -> Any:
    """Run the layer on a NumPy array (batch, channels, length) and return its output as one; bfloat16 numbers are float32."""
    with torch.no_grad():
        return as_numpy(layer(_as_input(layer, data)))


def _as_input(layer: ConvLayer, data: Any) -> Tensor:
    """Return an array as a tensor in the layer's dtype: bfloat16 for the float32 array that represents it in NumPy."""
    tensor, parameter = as_tensor(data), next(layer.parameters(), None)
    return tensor.bfloat16() if parameter is not None and parameter.dtype == torch.bfloat16 else tensor


def parameters(layer: ConvLayer) -> dict[str, Any]:
    """Return weight, bias and the learned constant, if any, as NumPy arrays; bfloat16 as float32."""
    return {name: None if value is None else as_numpy(value.detach().cpu()) for name, value in _parameters(layer).items()}


def _parameters(layer: ConvLayer) -> dict[str, Tensor | None]:
    tensors: dict[str, Tensor | None] = {"weight": layer.weight, "bias": layer.bias}
    if isinstance(layer, PaddedConv1d) and layer.learns:
        tensors[LEARNED] = layer.padding_value
    return tensors


def assign(layer: ConvLayer, values: dict[str, Any]) -> None:
    """Write NumPy arrays to weight, bias and the learned constant."""
    write(layer, {name: None if value is None else as_tensor(np.array(value)) for name, value in values.items()})


def gradients(layer: ConvLayer, data: Any, upstream: Any) -> dict[str, Any]:
    """Return the gradients of ``sum(output * upstream)`` as NumPy arrays.

    Under weight normalisation the gradient is that of the effective weight.
    """
    with parametrize.cached():  # the call uses the same weight tensor that is read here
        tensor = _as_input(layer, data).requires_grad_()
        tensors = {"input": tensor, **_parameters(layer)}
        present = {name: value for name, value in tensors.items() if value is not None}
        grads = torch.autograd.grad(  # a learned constant gets 0 where nothing is padded
            layer(tensor), list(present.values()), _as_input(layer, upstream), materialize_grads=True
        )
    return dict.fromkeys(tensors) | {name: as_numpy(value) for name, value in zip(present, grads)}
