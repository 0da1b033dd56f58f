"""What the Keras layers of a policy have in common: the policy in their configuration, and how they are filled with weights."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Mapping
from typing import Any

import keras

from convpolicy.core.layer_policy import LayerPolicy
from convpolicy.core.policy import Policy
from convpolicy.core.spec import ConvSpec
from convpolicy.core.transposed_policy import TransposedPolicy
from convpolicy.frameworks.keras.initial import GlobalStream, PolicyInitializer, native_initializers
from convpolicy.frameworks.keras.values import assign
from convpolicy.layers.backend import LayerRequest
from convpolicy.layers.following import Following
from convpolicy.parts.stream import Stream

REPLACED = ("padding", "output_padding", "data_format")  # the policy replaces padding, and data_format is always channels_last


class FollowsPolicy(Following):
    """A mixin for Keras layers that follow a policy."""

    def _follow(
        self: Any, policy: LayerPolicy | Mapping[str, Any], strides: Any, dilation_rate: Any, *, transposed: bool = False
    ) -> None:
        kind = TransposedPolicy if transposed else Policy
        self._policy = policy if isinstance(policy, LayerPolicy) else kind.from_dict(policy)
        # a plan does not depend on channels
        spec = ConvSpec.of(1, 1, self.kernel_size, strides, dilation_rate, 1, transposed=transposed)
        self.strides, self.dilation_rate = (spec.stride,), (spec.dilation,)
        self._request = LayerRequest(spec, self._policy)

    def get_config(self: Any) -> dict[str, Any]:
        """Return Keras's configuration, with the policy as plain data."""
        config: dict[str, Any] = super().get_config()  # type: ignore[misc]
        return {key: value for key, value in config.items() if key not in REPLACED} | {"policy": self._policy.to_dict()}


def filled(request: LayerRequest, stream: Stream | None, device: Any, make: Callable[[Any, Any], Any]) -> Any:
    """Return a new layer with its weights.

    Without a stream, initial weights come from Keras's global random state, which ``keras.utils.set_random_seed`` sets.

    Args:
        request, stream, device: see `Backend.layer`.
        make: ``(kernel initializer, bias initializer) -> layer``.
    """
    own_initializers = native_initializers(request)
    with contextlib.nullcontext() if device is None else keras.device(device):
        draws_itself = stream is None and own_initializers is not None
        values = {} if draws_itself else request.draw(GlobalStream() if stream is None else stream)
        initializers = own_initializers or [PolicyInitializer.of(request, role, values[role]) for role in ("weight", "bias")]
        state = random.getstate()  # Keras's random initializers draw a number from it in their constructors
        layer = make(*initializers)
        layer.build((None, None, request.spec.in_channels))
        if values and own_initializers is not None:
            random.setstate(state)
            assign(layer, values)
    return layer
