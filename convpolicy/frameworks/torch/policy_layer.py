"""``torch.nn.Conv1d`` whose initial values follow a policy, weight normalisation put on after them."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations, parametrize

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


class PolicyConv1d(nn.Conv1d):
    """``torch.nn.Conv1d`` whose ``reset_parameters`` follows a policy; the forward is torch's own."""

    _request: LayerRequest
    _stream: Stream | None

    def __init__(self, request: LayerRequest, arguments: dict[str, Any], stream: Stream | None, device: Any) -> None:
        # plain values go past nn.Module.__setattr__, which looks for parameters; the first reset_parameters reads the stream once
        self.__dict__.update(_request=request, _stream=stream)
        super().__init__(**arguments, device=device)

    @property
    def policy(self) -> Any:
        """The policy this layer follows."""
        return self._request.policy

    def reset_parameters(self) -> None:
        """Draw weight and bias anew, as the policy says, from torch's global random state."""
        stream, self.__dict__["_stream"] = self._stream, None
        if self.weight.is_meta:
            return  # no values to write; call this again after to_empty
        if stream is None and has_native_init(self._request) and not parametrize.is_parametrized(self):
            super().reset_parameters()
            return
        write(self, drawn(self._request, stream))

    def extra_repr(self) -> str:
        """Return torch's own text and the policy's name."""
        return f"{super().extra_repr()}, policy={self.policy.name!r}"  # type: ignore[no-untyped-call]
