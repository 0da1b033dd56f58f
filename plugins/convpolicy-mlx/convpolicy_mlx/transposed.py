"""Transposed convolutions of the backend ``mlx``: ``mlx.nn.ConvTranspose1d``, or a subclass that cuts by a plan."""

from __future__ import annotations

from typing import Any

import mlx.core as mx
from mlx import nn

from convpolicy import ConvSpec, InvalidValueError, LayerRequest, Stream, TransposedPlan
from convpolicy_mlx.arrays import DTYPES
from convpolicy_mlx.layer import ZEROS, filled

CIRCULAR = "circular"


def native_cuts(request: LayerRequest) -> dict[str, int] | None:
    """Return ``padding`` and ``output_padding`` with which ``mlx.nn.ConvTranspose1d`` follows the policy, or None if it cannot.

    The layer has no groups. It cuts at most ``e - 1`` samples on a side exactly. If it appends zeros and the stride is above 1, its
    output is right, but MLX 0.32.4 computes a wrong gradient of the input.
    """
    spec, cuts = request.spec, request.static_pads()
    if cuts is None or spec.groups > 1 or request.policy.padding_mode != ZEROS:
        return None
    if max(cuts) >= spec.effective_kernel or (min(cuts) < 0 and spec.stride > 1):
        return None
    return {"padding": cuts[0], "output_padding": cuts[0] - cuts[1]}


class CroppedConvTranspose1d(nn.ConvTranspose1d):
    """A ``mlx.nn.ConvTranspose1d`` that cuts, appends and wraps samples by a plan, and has groups.

    Attributes:
        weight: (out/groups, kernel, in).
        bias: (out,), unless the layer has none.
    """

    def __init__(self, request: LayerRequest, bias: bool, **arguments: Any) -> None:
        spec = request.spec
        super().__init__(out_channels=spec.out_channels // spec.groups, bias=False, **arguments)
        if bias:
            self.bias = mx.zeros((spec.out_channels,))
        self.groups = spec.groups
        self._request = request

    @property
    def policy(self) -> Any:
        """The policy that the layer follows."""
        return self._request.policy

    def plan(self, length: int) -> TransposedPlan:
        """Return what is cut for an input of ``length`` samples."""
        plan: TransposedPlan = self._request.plan(length)
        return plan

    def __call__(self, x: Any) -> Any:
        """Compute the transposed convolution of an input (batch, length, channels).

        Raises:
            InvalidValueError: wrong axes or channels, or an input for which everything is cut; the message contains the shape or
                length.
        """
        channels = self._request.spec.in_channels
        if x.ndim != 3 or x.shape[2] != channels:
            raise InvalidValueError(
                f"input must have shape (batch, length, {channels}), got {tuple(x.shape)}; put the channels last."
            )
        plan = self.plan(x.shape[1])
        output = self._wrapped(x, plan) if plan.mode == CIRCULAR else self._cropped(x, plan)
        return output + self.bias if "bias" in self else output

    def _cropped(self, x: Any, plan: TransposedPlan) -> Any:
        """The convolution cuts up to ``e - 1`` samples itself. The others are cut after zeros are appended."""
        inner = [min(cut, plan.effective_kernel - 1) for cut in plan.cut]
        output = self._scattered(x, *inner)
        is_static = self._request.static_pads() is not None
        if any(plan.appended) or not is_static:
            output = _extended(output, *plan.appended, guard=not is_static)
        first = plan.cut[0] - inner[0]
        whole = first == 0 and is_static and plan.cut[1] == inner[1]
        return output if whole else output[:, first : first + plan.length_out]

    def _wrapped(self, x: Any, plan: TransposedPlan) -> Any:
        """Zeros make the full result a whole number of turns of ``length_out`` samples, which are added."""
        before = -plan.left % plan.length_out
        after = -(before + plan.full_length) % plan.length_out
        turns = (before + plan.full_length + after) // plan.length_out
        full = _extended(self._scattered(x, 0, 0), before, after, guard=True)[:, : turns * plan.length_out]
        return full.reshape(x.shape[0], turns, plan.length_out, self._request.spec.out_channels).sum(axis=1)

    def _scattered(self, x: Any, left: int, right: int) -> Any:
        return scattered(self._request.spec, x, self.weight, left, right)

    def _extra_repr(self) -> str:
        spec, policy = self._request.spec, self.policy
        return (
            f"{spec.in_channels}, {spec.out_channels}, kernel_size={spec.kernel_size}, stride={spec.stride}, "
            f"dilation={spec.dilation}, groups={spec.groups}, bias={'bias' in self}, padding={policy.padding}, "
            f"padding_mode={policy.padding_mode}, policy={policy.name!r}"
        )


def scattered(spec: ConvSpec, x: Any, weight: Any, left: int, right: int) -> Any:
    """Return the full result of a transposed convolution without ``left`` samples at its start and ``right`` at its end.

    Args:
        spec: sizes of the layer.
        x: (batch, length, in).
        weight: (out/groups, kernel, in).
        left, right: at most ``e - 1`` samples.
    """
    if spec.groups > 1:  # MLX's function has the axes (out, kernel, in/groups)
        weight = weight.reshape(-1, spec.kernel_size, spec.groups, spec.in_channels // spec.groups)
        weight = weight.transpose(2, 0, 1, 3).reshape(spec.out_channels, spec.kernel_size, -1)
    return mx.conv_transpose1d(x, weight, spec.stride, left, spec.dilation, left - right, spec.groups)


def _extended(output: Any, left: int, right: int, *, guard: bool) -> Any:
    """Append zeros. With ``guard``, append one more, which the caller drops.

    The pad makes ``mx.compile(shapeless=True)`` refuse the layer. Otherwise the compiled function would use the cuts of the first
    length for every length.
    """
    return mx.pad(output, [(0, 0), (left, right + guard), (0, 0)])


def build(request: LayerRequest, stream: Stream | None, device: Any) -> nn.ConvTranspose1d:
    """Build a transposed convolution; see `filled`."""
    return filled(_new_layer, request, stream, device)


def _new_layer(request: LayerRequest) -> nn.ConvTranspose1d:
    spec, bias, cuts = request.spec, request.policy.bias, native_cuts(request)
    arguments = {
        "in_channels": spec.in_channels,
        "kernel_size": spec.kernel_size,
        "stride": spec.stride,
        "dilation": spec.dilation,
    }
    if cuts is None:
        layer = CroppedConvTranspose1d(request, bias, **arguments)
    else:
        layer = nn.ConvTranspose1d(out_channels=spec.out_channels, bias=bias, **arguments, **cuts)
    layer.set_dtype(DTYPES[request.dtype])
    return layer
