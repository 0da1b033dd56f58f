"""Flax's own ``padding`` argument for a policy, and padding of (…, length, channels) by a plan."""

from __future__ import annotations

from functools import partial
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from convpolicy.core.alike import pads_alike
from convpolicy.core.plan import Plan
from convpolicy.errors import InvalidValueError
from convpolicy.frameworks.flax.values import DTYPES
from convpolicy.layers.backend import LayerRequest
from convpolicy.parts.choice import Choice
from convpolicy.parts.side import Arithmetic, Side

FlaxPadding: TypeAlias = "str | tuple[tuple[int, int]]"

ZEROS = Choice("zeros")
AXES = ("NHC", "HIO", "NHC")  # of input, kernel and output, for jax.lax
# Flax's name of a zero padding -> its padding rule
NAMES = {"VALID": "valid", "CAUSAL": "causal", "SAME": "same_upper", "SAME_LOWER": "same_lower"}
# padding mode -> Flax's name; its pads are always (e - 1) // 2 and e // 2, and may be wider than the input
MODE_NAMES = {Choice(mode, overflow="periodic"): mode.upper() for mode in ("circular", "reflect")}


def native_padding(request: LayerRequest) -> FlaxPadding | None:
    """Return the ``padding`` argument with which Flax's own Conv pads by the policy, or None when it cannot."""
    policy, pads = request.policy, request.static_pads()
    if request.learned() is not None:
        return None  # Flax's Conv has no parameter for the constant
    if policy.padding_mode == ZEROS:
        name = next((name for name, rule in NAMES.items() if pads_alike(policy, rule, request.spec)), None)
        return name or (None if pads is None else (pads,))
    if pads == (0, 0):
        return "VALID"
    effective = request.spec.effective_kernel
    return MODE_NAMES.get(policy.padding_mode) if pads == ((effective - 1) // 2, effective // 2) else None


def planned(request: LayerRequest, shape: tuple[Any, ...]) -> Any:
    """Return the plan of a request, a `Plan` or a `TransposedPlan`, for an input shape (…, length, channels), also while tracing.

    Raises:
        InvalidValueError: wrong axes or channels, or a symbolic length; the message contains the shape.
    """
    channels = request.spec.in_channels
    if len(shape) < 2 or shape[-1] != channels:
        raise InvalidValueError(f"input must have shape (..., length, {channels}), got {shape}; put the channels last.")
    if not isinstance(shape[-2], int):
        policy = request.policy
        raise InvalidValueError(
            f"length must be a number for padding {policy.padding} with mode {policy.padding_mode}, got the symbolic shape "
            f"{shape}; export it for one length."
        )
    return request.plan(shape[-2])


def padded(request: LayerRequest, inputs: Any, value: Any = None) -> Any:
    """Pad an input by the plan of a request, in the dtype of the layer's computation.

    Args:
        request: the layer's request.
        inputs: (…, length, channels).
        value: the learned constant, () or (channels,), or None.
    """
    inputs = jnp.asarray(inputs)
    plan: Plan = planned(request, inputs.shape)
    inputs = inputs.astype(jnp.result_type(inputs, DTYPES[request.dtype]))  # before the constant is rounded to this dtype
    return _copied(plan, inputs) if plan.copies else _extended(plan, inputs, value)


def _extended(plan: Plan, inputs: Any, value: Any) -> Any:
    before, after = (_added(inputs, plan, side, value) for side in plan.sides)
    extended = jnp.concatenate([before, inputs, after], axis=-2) if any(plan.added) else inputs
    first, last = plan.cut
    return extended[..., first : extended.shape[-2] - last, :] if first or last else extended


# one program for all copies; sums are left apart, since XLA would fuse them, and round them differently
@partial(jax.jit, static_argnums=0)
def _copied(plan: Plan, inputs: Any) -> Any:
    return _extended(plan, inputs, None)


def _added(inputs: Any, plan: Plan, side: Side, value: Any) -> Any:
    if not plan.copies:
        return side.added(arithmetic_of(inputs), value if side.learned else None)
    index = np.array(side.sources, np.int32)
    is_constant = index < 0
    if is_constant.all():
        return jnp.full((*inputs.shape[:-2], side.width, inputs.shape[-1]), plan.value, inputs.dtype)
    copied = jnp.take(inputs, np.maximum(index, 0), axis=-2)
    return jnp.where(is_constant[:, None], plan.value, copied) if is_constant.any() else copied


def arithmetic_of(inputs: Any) -> Arithmetic:
    """Return the functions that compute the samples added to an array (…, length, channels)."""
    *batch, _length, channels = inputs.shape
    return Arithmetic(
        take=lambda index: jnp.take(inputs, index, axis=-2),
        array=lambda numbers: jnp.asarray(numbers, inputs.dtype),
        where=lambda reads, part: jnp.where(reads, part, 0),
        broadcast=lambda numbers: jnp.broadcast_to(numbers, (*batch, numbers.shape[0], channels)),
        channels_last=True,
    )
