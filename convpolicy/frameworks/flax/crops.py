"""Flax's own ``padding`` argument of ``ConvTranspose`` for a policy, and transposed convolution of (…, length, channels) by a plan."""

from __future__ import annotations

import math
from typing import Any

import jax.numpy as jnp
from jax import lax

from convpolicy.arithmetic import split
from convpolicy.core.alike import pads_alike
from convpolicy.core.spec import ConvSpec
from convpolicy.core.transposed_plan import CIRCULAR, TransposedPlan
from convpolicy.frameworks.flax.padding import AXES, FlaxPadding, planned
from convpolicy.frameworks.flax.values import transposes_kernel
from convpolicy.layers.backend import LayerRequest

# Flax's name -> its crop rule; the names that start with lax_ refuse strides
NAMES = {
    "SAME": "same_upper",
    "VALID": "at_least_stride",
    "same": "lax_same",
    "SAME_LOWER": "lax_same_lower",
    "valid": "lax_valid",
}
CIRCULAR_SIDES = {False: "right", True: "left"}  # transpose_kernel -> side on which CIRCULAR cuts the extra sample


def native_crop(request: LayerRequest) -> FlaxPadding | None:
    """Return the ``padding`` argument with which Flax's own ConvTranspose cuts by the policy, or None when it cannot."""
    policy, spec, cuts = request.policy, request.spec, request.static_pads()
    if spec.groups > 1 or cuts is None:
        return None  # Flax's ConvTranspose has no groups
    if policy.padding_mode.name == CIRCULAR and max(cuts) > 0:
        excess = spec.effective_kernel - spec.stride
        return "CIRCULAR" if cuts == split(excess, CIRCULAR_SIDES[transposes_kernel(request)]) else None
    name = next((name for name, rule in NAMES.items() if pads_alike(policy, rule, spec)), None)
    return name or (_pads(spec, cuts),)


def arguments_of(request: LayerRequest, padding: FlaxPadding | None) -> dict[str, Any]:
    """Return the arguments that only ``ConvTranspose`` has. A stride and a dilation of 1 have Flax's default, None."""
    spec = request.spec
    return {
        "strides": spec.stride if spec.stride > 1 else None,
        "padding": "VALID" if padding is None else padding,
        "kernel_dilation": spec.dilation if spec.dilation > 1 else None,
        "transpose_kernel": transposes_kernel(request),
    }


def _pads(spec: ConvSpec, cuts: tuple[int, int]) -> tuple[int, int]:
    """Return the pads of the dilated input that cut these samples."""
    reach = spec.effective_kernel - 1
    return reach - cuts[0], reach - cuts[1]


def transposed(request: LayerRequest, inputs: Any, kernel: Any, bias: Any, **computation: Any) -> Any:
    """Return the transposed convolution of an input by the plan of a request.

    Args:
        request: the layer's request.
        inputs: (…, length, in).
        kernel: as Flax stores it, (kernel, in, out/groups), or with ``transpose_kernel`` (kernel, out/groups, in).
        bias: (out,), or None.
        **computation: ``precision`` and ``preferred_element_type`` of ``jax.lax.conv_general_dilated``.
    """
    spec = request.spec
    plan: TransposedPlan = planned(request, inputs.shape)
    *batch, length, channels = inputs.shape
    cuts = (0, 0) if plan.mode == CIRCULAR else (plan.left, plan.right)
    kernel = forward(spec, kernel, transpose_kernel=transposes_kernel(request))
    output = dilated(spec, inputs.reshape(math.prod(batch), length, channels), kernel, cuts, **computation)
    output = _wrapped(plan, output) if plan.mode == CIRCULAR else output
    output = output if bias is None else output + bias
    return output.reshape(*batch, plan.length_out, spec.out_channels)


def dilated(spec: ConvSpec, inputs: Any, kernel: Any, cuts: tuple[int, int], **computation: Any) -> Any:
    """Return the full result of a transposed convolution without ``cuts``, computed as a convolution of the dilated input.

    Args:
        spec: sizes of the layer.
        inputs: (batch, length, in).
        kernel: result of `forward`.
        cuts: samples that are cut on each side. A negative number adds zeros.
        **computation: see `transposed`.
    """
    return lax.conv_general_dilated(
        inputs,
        kernel,
        window_strides=(1,),
        padding=(_pads(spec, cuts),),
        lhs_dilation=(spec.stride,),
        rhs_dilation=(spec.dilation,),
        dimension_numbers=AXES,
        feature_group_count=spec.groups,
        **computation,
    )


def forward(spec: ConvSpec, kernel: Any, *, transpose_kernel: bool) -> Any:
    """Return a stored kernel as that of a convolution of the dilated input, (kernel, in/groups, out).

    Args:
        spec: sizes of the layer.
        kernel: as Flax stores it; see `transposed`.
        transpose_kernel: Flax's argument of this name.
    """
    if transpose_kernel:
        kernel = jnp.flip(kernel, 0).swapaxes(1, 2)
    grouped = kernel.reshape(spec.kernel_size, spec.groups, spec.in_channels // spec.groups, -1)
    return grouped.swapaxes(1, 2).reshape(spec.kernel_size, spec.in_channels // spec.groups, spec.out_channels)


def _wrapped(plan: TransposedPlan, full: Any) -> Any:
    """Add what is cut from a full result (batch, full_length, out) to the other end."""
    period = plan.length_out
    before = -plan.left % period
    turns = -(-(before + plan.full_length) // period)
    after = turns * period - before - plan.full_length
    padded = jnp.pad(full, ((0, 0), (before, after), (0, 0)))
    return padded.reshape(full.shape[0], turns, period, full.shape[-1]).sum(axis=1)
