"""Initial weights of torch's convolutions by a policy, and their ``reset_parameters``."""

from __future__ import annotations

import copy
import weakref
from collections.abc import Callable
from functools import lru_cache
from typing import Any, TypeAlias, TypeVar

import torch
from torch import Tensor, nn
from torch._subclasses import FakeTensor
from torch.nn.modules.conv import _ConvNd
from torch.nn.utils import parametrizations, parametrize

from convpolicy.errors import InvalidValueError
from convpolicy.frameworks.torch.draws import draw_into, steps
from convpolicy.frameworks.torch.values import GlobalStream, as_tensor
from convpolicy.layers.backend import LayerRequest
from convpolicy.parts.choice import Choice
from convpolicy.parts.initializer import FAN_IN_UNIFORM
from convpolicy.parts.stream import Stream

NATIVE_MODES = {Choice(mode) for mode in ("zeros", "reflect", "replicate", "circular")}
ConvLayer: TypeAlias = "nn.Conv1d | nn.ConvTranspose1d"
Layer = TypeVar("Layer", nn.Conv1d, nn.ConvTranspose1d)
NATIVE_INITS = {Choice("uniform"), FAN_IN_UNIFORM}  # ±sqrt(1/fan_in), for the weight and for the bias


@lru_cache(maxsize=512)
def has_native_init(request: LayerRequest) -> bool:
    """Return True when torch's own ``reset_parameters`` draws from the policy's distributions."""
    policy = request.policy
    return policy.weight_init in NATIVE_INITS and (not policy.bias or policy.bias_init in NATIVE_INITS)


def drawn(request: LayerRequest, stream: Stream | None) -> dict[str, Tensor | None]:
    """Draw weight and bias as CPU tensors from a stream, or from torch's global random state without one."""
    values = request.draw(GlobalStream() if stream is None else stream)
    return {name: None if array is None else as_tensor(array) for name, array in values.items()}


def write(layer: ConvLayer, values: dict[str, Tensor | None]) -> None:
    """Write values to parameters; a parametrization such as weight normalisation splits the value into its own parameters."""
    with torch.no_grad():
        for name, value in values.items():
            if value is None:
                continue
            if parametrize.is_parametrized(layer, name):
                setattr(layer, name, value.to(getattr(layer, name)))
            else:
                getattr(layer, name).copy_(value)


def normalised(layer: Layer, axis: int | None) -> Layer:
    """Add weight normalisation along ``axis`` to a layer that has its initial weights; None adds none."""
    return layer if axis is None else parametrizations.weight_norm(layer, "weight", dim=axis)


class Undrawn(nn.Module):
    """A layer that draws no weights when it is built, so that torch's random state does not change."""

    def reset_parameters(self) -> None:
        """Do nothing; the caller writes the weights."""


class UndrawnConv1d(Undrawn, nn.Conv1d):
    """A ``torch.nn.Conv1d`` that draws no weights."""


class UndrawnConvTranspose1d(Undrawn, nn.ConvTranspose1d):
    """A ``torch.nn.ConvTranspose1d`` that draws no weights."""


UNDRAWN: dict[type[nn.Module], type[Any]] = {nn.Conv1d: UndrawnConv1d, nn.ConvTranspose1d: UndrawnConvTranspose1d}


def undrawn(native: type[Layer], **arguments: Any) -> Layer:
    """Return a layer of a class of torch, ``nn.Conv1d`` or ``nn.ConvTranspose1d``, with uninitialized weights."""
    layer: Layer = UNDRAWN[native](**arguments)
    layer.__class__ = native
    return layer


def redraw(layer: ConvLayer, request: LayerRequest, stream: Stream | None = None) -> None:
    """Draw weight and bias by the policy, from a stream or from torch's global random state.

    Tensors on the meta device and fake tensors have no values, so nothing is drawn for them. Call it again after ``to_empty``.
    """
    parameters = layer._parameters  # avoids nn.Module.__getattr__; parametrized ones are not among them
    own = parameters.get("weight")
    weight = layer.weight if own is None else own
    if not _has_values(weight):
        return
    if stream is None and own is not None and "bias" in parameters:
        if has_native_init(request):
            _ConvNd.reset_parameters(layer)
            return
        is_usual = weight.is_cpu and weight.dtype == torch.float32 and weight.is_contiguous()
        found = steps(request) if is_usual else None
        if found is not None:
            draw_into(parameters, found)
            return
    write(layer, drawn(request, stream))


def fill(layer: ConvLayer, name: str, values: Any) -> None:
    """Write an array to one parameter, unless it is on the meta device or fake."""
    if _has_values(getattr(layer, name)):
        write(layer, {name: as_tensor(values)})


def _has_values(tensor: Tensor) -> bool:
    return not (tensor.is_meta or isinstance(tensor, FakeTensor))


def _nothing() -> None:
    return None


class Reset:
    """The ``reset_parameters`` of one ``torch.nn.Conv1d`` or ``torch.nn.ConvTranspose1d`` whose initial weights follow a policy.

    It is an attribute of the layer, so the layer's class can stay torch's own. It refers to the layer weakly, so the layer
    is freed as soon as nobody else uses it.
    """

    def __init__(self, layer: ConvLayer | None, request: LayerRequest) -> None:
        self._layer: Callable[[], ConvLayer | None] = _nothing if layer is None else weakref.ref(layer)
        self.request = request

    def __call__(self) -> None:
        """Draw weight and bias from the policy's initializers and torch's global random state."""
        layer = self._layer()
        if layer is None:  # a shallow copy of a layer that was freed
            raise InvalidValueError(
                "reset_parameters must be called on a layer or a deep copy of it, got a shallow copy of a layer that was freed; use copy.deepcopy."
            )
        redraw(layer, self.request)

    def __deepcopy__(self, memo: dict[int, Any]) -> Reset:
        return Reset(copy.deepcopy(self._layer(), memo), self.request)

    def __reduce__(self) -> Any:
        return Reset, (self._layer(), self.request)


def follow(layer: ConvLayer, request: LayerRequest) -> None:
    """Set ``policy`` and ``reset_parameters`` of a layer so that it follows the request's policy."""
    layer.__dict__.update(policy=request.policy, reset_parameters=Reset(layer, request))


def followed(layer: nn.Module) -> LayerRequest | None:
    """Return the request that a layer of torch's own class follows, or None."""
    reset = vars(layer).get("reset_parameters")
    return reset.request if isinstance(reset, Reset) else None
