"""Initial values of a ``torch.nn.Conv1d`` by a policy, and its ``reset_parameters``."""

from __future__ import annotations

import copy
import weakref
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch._subclasses import FakeTensor
from torch.nn.utils import parametrizations, parametrize

from convpolicy.errors import InvalidValueError
from convpolicy.frameworks.torch.values import GlobalStream
from convpolicy.layers.backend import LayerRequest
from convpolicy.parts.choice import Choice
from convpolicy.parts.initializer import FAN_IN_UNIFORM
from convpolicy.parts.stream import Stream

NATIVE_MODES = {Choice(mode) for mode in ("zeros", "reflect", "replicate", "circular")}
NATIVE_INITS = {Choice("uniform"), FAN_IN_UNIFORM}  # ±sqrt(1/fan_in), for the weight and for the bias


@lru_cache(maxsize=512)
def has_native_init(request: LayerRequest) -> bool:
    """Return True when torch's own ``reset_parameters`` draws from the policy's distributions."""
    policy = request.policy
    return policy.weight_init in NATIVE_INITS and (not policy.bias or policy.bias_init in NATIVE_INITS)


def drawn(request: LayerRequest, stream: Stream | None) -> dict[str, Tensor | None]:
    """Draw weight and bias as CPU tensors; without a stream torch's own random state decides."""
    values = request.draw(GlobalStream() if stream is None else stream)
    return {name: None if array is None else torch.from_numpy(np.ascontiguousarray(array)) for name, array in values.items()}


def write(layer: nn.Conv1d, values: dict[str, Tensor | None]) -> None:
    """Write weight and bias; a parametrized one takes the value apart, as into norm and direction."""
    with torch.no_grad():
        for name, value in values.items():
            if value is None:
                continue
            if parametrize.is_parametrized(layer, name):
                setattr(layer, name, value.to(getattr(layer, name)))
            else:
                getattr(layer, name).copy_(value)


def normalised(layer: nn.Conv1d, axis: int | None) -> nn.Conv1d:
    """Put weight normalisation on a layer that holds its initial values; None puts on none."""
    return layer if axis is None else parametrizations.weight_norm(layer, "weight", dim=axis)


class UndrawnConv1d(nn.Conv1d):
    """A ``torch.nn.Conv1d`` under construction: torch's own draw is skipped, its random state untouched."""

    def reset_parameters(self) -> None:
        """Leave the values to whoever writes them next."""


def undrawn(**arguments: Any) -> nn.Conv1d:
    """Return a ``torch.nn.Conv1d`` whose values are not written yet."""
    layer = UndrawnConv1d(**arguments)
    layer.__class__ = nn.Conv1d  # type: ignore[assignment]
    return layer


def redraw(layer: nn.Conv1d, request: LayerRequest, stream: Stream | None = None) -> None:
    """Draw weight and bias anew, as the policy says; without a stream torch's global random state decides.

    On the meta device and for fake tensors there are no values to write: call it again after ``to_empty``.
    """
    if not _holds_values(layer.weight):
        return
    if stream is None and has_native_init(request) and not parametrize.is_parametrized(layer):
        nn.Conv1d.reset_parameters(layer)
    else:
        write(layer, drawn(request, stream))


def fill(layer: nn.Conv1d, name: str, values: Any) -> None:
    """Write an array into one parameter, where it holds values."""
    if _holds_values(getattr(layer, name)):
        write(layer, {name: torch.from_numpy(np.asarray(values))})


def _holds_values(tensor: Tensor) -> bool:
    return not (tensor.is_meta or isinstance(tensor, FakeTensor))


def _nothing() -> None:
    return None


class Reset:
    """The ``reset_parameters`` of one ``torch.nn.Conv1d`` whose initial values follow a policy.

    It is an attribute of the layer, so that the layer's class stays torch's own; it refers to its layer weakly, so that a layer is
    freed as soon as nobody uses it.
    """

    def __init__(self, layer: nn.Conv1d | None, request: LayerRequest) -> None:
        self._layer: Callable[[], nn.Conv1d | None] = _nothing if layer is None else weakref.ref(layer)
        self.request = request

    def __call__(self) -> None:
        """Draw weight and bias anew, as the policy says, from torch's global random state."""
        layer = self._layer()
        if layer is None:  # a shallow copy of a layer that is gone
            raise InvalidValueError(
                "reset_parameters must be called on a layer or a deep copy of it, got a shallow copy of one that is gone; deepcopy the layer."
            )
        redraw(layer, self.request)

    def __deepcopy__(self, memo: dict[int, Any]) -> Reset:
        return Reset(copy.deepcopy(self._layer(), memo), self.request)

    def __reduce__(self) -> Any:
        return Reset, (self._layer(), self.request)


def follow(layer: nn.Conv1d, request: LayerRequest) -> None:
    """Let a ``torch.nn.Conv1d`` know its policy: ``layer.policy``, and ``reset_parameters`` by it."""
    layer.__dict__.update(policy=request.policy, reset_parameters=Reset(layer, request))


def followed(layer: nn.Module) -> LayerRequest | None:
    """Return the request that a ``torch.nn.Conv1d`` follows, or None."""
    reset = vars(layer).get("reset_parameters")
    return reset.request if isinstance(reset, Reset) else None
