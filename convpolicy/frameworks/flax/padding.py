"""Padding in Flax's own words where it has one, else by the plan; data is (…, length, channels)."""

from __future__ import annotations

from typing import Any, TypeAlias

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
# Flax's name -> the padding rule that it means, of zeros
NAMES = {"VALID": "valid", "CAUSAL": "causal", "SAME": "same_upper", "SAME_LOWER": "same_lower"}
# Flax's words that say the mode too, and wrap and mirror as often as it takes; the pads are always (e - 1) // 2 and e // 2
MODE_WORDS = {Choice(mode, overflow="periodic"): mode.upper() for mode in ("circular", "reflect")}


def native_padding(request: LayerRequest) -> FlaxPadding | None:
    """Return the ``padding`` argument with which Flax's own Conv does this by itself, or None when it cannot."""
    policy, pads = request.policy, request.static_pads()
    if request.learned() is not None:
        return None  # it has no parameter for the constant
    if policy.padding_mode == ZEROS:
        name = next((name for name, rule in NAMES.items() if pads_alike(policy, rule, request.spec)), None)
        return name or (None if pads is None else (pads,))
    if pads == (0, 0):
        return "VALID"
    effective = request.spec.effective_kernel
    return MODE_WORDS.get(policy.padding_mode) if pads == ((effective - 1) // 2, effective // 2) else None


def planned(request: LayerRequest, shape: tuple[Any, ...]) -> Plan:
    """Return the plan for an input of a shape, while tracing too.

    Raises:
        InvalidValueError: the wrong axes or channels, or a length that is not known while tracing; holds the shape.
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
    """Pad (…, length, channels) by the request's plan, in the dtype that the layer computes in.

    Args:
        request: says how.
        inputs: what is padded.
        value: the learned constant, () or (channels,), for a request that has one.
    """
    inputs = jnp.asarray(inputs)
    plan = planned(request, inputs.shape)
    inputs = inputs.astype(jnp.result_type(inputs, DTYPES[request.dtype]))  # before a constant is rounded
    before, after = (_added(inputs, plan, side, value) for side in plan.sides)
    extended = jnp.concatenate([before, inputs, after], axis=-2) if any(plan.added) else inputs
    first, last = plan.cut
    return extended[..., first : extended.shape[-2] - last, :] if first or last else extended


def _added(inputs: Any, plan: Plan, side: Side, value: Any) -> Any:
    if not plan.copies:
        return side.added(_arithmetic(inputs), value if side.learned else None)
    index = np.array(side.sources, np.int32)
    constant = index < 0
    if constant.all():
        return jnp.full((*inputs.shape[:-2], side.width, inputs.shape[-1]), plan.value, inputs.dtype)
    repeated = jnp.take(inputs, np.maximum(index, 0), axis=-2)
    return jnp.where(constant[:, None], plan.value, repeated) if constant.any() else repeated


def _arithmetic(inputs: Any) -> Arithmetic:
    *batch, _length, channels = inputs.shape
    return Arithmetic(
        take=lambda index: jnp.take(inputs, index, axis=-2),
        array=lambda numbers: jnp.asarray(numbers, inputs.dtype),
        where=lambda reads, part: jnp.where(reads, part, 0),
        broadcast=lambda numbers: jnp.broadcast_to(numbers, (*batch, numbers.shape[0], channels)),
        channels_last=True,
    )
