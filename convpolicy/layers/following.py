"""`Following`: what the layers of most frameworks have in common, the policy that they follow and its plans."""

from __future__ import annotations

from typing import Any

from convpolicy.core.layer_policy import LayerPolicy
from convpolicy.layers.backend import LayerRequest


class Following:
    """A mixin for layers that follow the policy of a `LayerRequest`, which a subclass has as ``_request``."""

    @property
    def policy(self: Any) -> LayerPolicy:
        """The policy that the layer follows."""
        request: LayerRequest = self._request
        return request.policy

    def plan(self: Any, length: int) -> Any:
        """Return the plan for an input of ``length`` samples."""
        return self._request.plan(length)
