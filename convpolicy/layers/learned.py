"""Policies whose padding has a learned constant."""

from __future__ import annotations

from typing import Any

import numpy as np

from convpolicy.core.layer_policy import LayerPolicy
from convpolicy.parts.choice import Choice


def with_learned(policy: LayerPolicy, value: Any) -> LayerPolicy:
    """Return a policy with another initial value of its learned constant.

    Args:
        policy: a policy whose padding mode has a learned constant, on one side or on both.
        value: a number, or an array (in_channels,).
    """
    array = np.asarray(value, dtype=np.float64)
    return _with_learned(policy, {"value": float(array) if array.ndim == 0 else array})


def without_learning(policy: LayerPolicy) -> LayerPolicy:
    """Return a policy whose learned constant is a fixed number, its initial value."""
    return _with_learned(policy, {"learned": False})


def _with_learned(policy: LayerPolicy, changes: dict[str, Any]) -> LayerPolicy:
    """Return a policy with other parameters of the modes whose constant is learned."""

    def changed(mode: Choice) -> Choice:
        params = dict(mode.params)
        if params.get("learned"):
            return Choice(mode.name, **params | changes)
        nested = {side: changed(param) for side, param in params.items() if isinstance(param, Choice)}
        return Choice(mode.name, **params | nested)

    return policy.evolve(padding_mode=changed(policy.padding_mode))
