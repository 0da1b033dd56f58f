"""The NumPy layers' common part, and the convolution: one matrix product per block of windows."""

from __future__ import annotations

import itertools
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from convpolicy.core.plan import Plan, require_a_window
from convpolicy.errors import InvalidTypeError, InvalidValueError, shown
from convpolicy.frameworks.numpy.stream import NumpyStream
from convpolicy.layers.backend import LayerRequest
from convpolicy.layers.capture import Capture, as_given, refuse
from convpolicy.layers.following import Following
from convpolicy.parts.choice import require_unmasked
from convpolicy.parts.side import Arithmetic
from convpolicy.parts.stream import Stream

Array: TypeAlias = "NDArray[Any]"
BLOCK_BYTES = 1 << 22  # bytes of windows copied at a time: the fastest of 2^20 … 2^25, about the cache of one core
LONG_KERNEL = 9  # from this many taps a depthwise layer is faster as one einsum (measured for 2 to 31 taps)
LONG_ROW = 32  # from this many outputs a depthwise layer of stride 1 is faster by rows of outputs (measured for 1 to 31 taps)
PRODUCT = "gmk,bgkn->bgmn"


class NumpyLayer(Following):
    """A convolution or a transposed convolution of NumPy arrays.

    Call the layer with an input array. You can change ``weight`` and ``bias`` in place.

    Attributes:
        weight: (out, in/groups, kernel) array in the layer's dtype; of a transposed convolution (in, out/groups, kernel).
        bias: (out,) array in the layer's dtype, or None.
        policy: the policy that the layer follows.
    """

    def __init__(self, request: LayerRequest, weight: Array, bias: Array | None) -> None:
        self._request = request
        self.weight = weight
        self.bias = bias

    def plan(self, length: int) -> Any:
        """Return the plan for an input of ``length`` samples, which may be shorter than one window."""
        spec = self._request.spec
        return self._request.policy.plan(spec.kernel_size, spec.stride, spec.dilation, length=length)

    def _compute(self, data: Array, plan: Any, out: Array) -> None:
        """Write the result without bias of (batch, channels, length) to ``out``."""
        raise NotImplementedError

    def __call__(self, data: Any) -> Array:
        """Convolve an array.

        Args:
            data: (batch, channels, length) or (channels, length), in the layer's dtype.

        Returns:
            (batch, out, length_out) or (out, length_out), in the same dtype.

        Raises:
            InvalidTypeError: the array has another dtype; the message contains both.
            InvalidValueError: wrong axes or channels, or an input that is shorter than one window.
        """
        spec = self._request.spec
        data = self._checked(data)
        batched = data if data.ndim == 3 else data[None]
        plan = require_a_window(self.plan(batched.shape[2]))
        out = np.empty((batched.shape[0], spec.out_channels, plan.length_out), dtype=data.dtype)
        if out.size:
            self._compute(batched, plan, out)
            if self.bias is not None:
                out += self.bias[:, None]
        return out if data.ndim == 3 else out[0]

    def _checked(self, values: Any) -> Array:
        spec, dtype = self._request.spec, self._request.dtype
        require_unmasked("input", values)
        try:
            data: Array = np.asarray(values)
        except ValueError:
            raise InvalidTypeError(
                "input must be an array of numbers, got rows of different lengths; make them equally long."
            ) from None
        if data.dtype != dtype:
            raise InvalidTypeError(f"input must be {dtype} like the layer, got {data.dtype}; convert it with astype({dtype!r}).")
        if data.ndim not in (2, 3) or data.shape[-2] != spec.in_channels:
            raise InvalidValueError(
                f"input must have shape (batch, {spec.in_channels}, length) or ({spec.in_channels}, length), got {data.shape}; "
                f"put the channels before the length."
            )
        if self.weight.shape != spec.weight_shape:
            raise InvalidValueError(
                f"weight must have shape {spec.weight_shape}, got {self.weight.shape}; write to weight[...] instead of "
                f"replacing it."
            )
        if self.bias is not None and self.bias.shape != (spec.out_channels,):
            raise InvalidValueError(
                f"bias must have shape ({spec.out_channels},), got {self.bias.shape}; write to bias[...] instead of replacing it."
            )
        return data

    def __repr__(self) -> str:
        spec, policy = self._request.spec, self._request.policy
        return (
            f"{type(self).__name__}({spec.in_channels}, {spec.out_channels}, kernel_size={spec.kernel_size}, stride={spec.stride}, "
            f"dilation={spec.dilation}, groups={spec.groups}, bias={self.bias is not None}, dtype={self._request.dtype}, "
            f"policy={policy.name!r}, padding={policy.padding}, padding_mode={policy.padding_mode})"
        )


class NumpyConv1d(NumpyLayer):
    """A 1-D convolution of NumPy arrays."""

    def _compute(self, data: Array, plan: Plan, out: Array) -> None:
        correlate(pad(data, plan), self.weight, out, plan.stride, plan.dilation, self._request.spec.groups)


def capture(layer: Any) -> Capture | None:
    """Return a copy of sizes, policy and weights of a `NumpyLayer`, or None for any other object."""
    if not isinstance(layer, NumpyLayer):
        return None
    if not type(layer).__module__.startswith(f"{__package__}."):
        raise refuse(layer, "its class may compute something else", "capture a plain layer with its weights")
    request = layer._request
    bias = None if layer.bias is None else as_given(layer.bias)
    return Capture(request.spec, request.policy, as_given(layer.weight), bias, request.dtype)


def pad(data: Array, plan: Plan) -> Array:
    """Return the padded input (batch, channels, padded_length); a view when nothing is added."""
    (left, right), (first, last) = plan.added, plan.cut
    if not left and not right:
        return data[..., first : plan.length - last]
    inner = left + plan.length
    padded = np.empty((*data.shape[:-1], inner + right), dtype=data.dtype)
    padded[..., left:inner] = data
    for part, side in zip((padded[..., :left], padded[..., inner:]), plan.sides):
        if plan.is_constant:
            part[...] = plan.value
        elif plan.copies:
            index = np.array(side.sources, dtype=np.int64)
            np.copyto(part, np.where(index < 0, np.asarray(plan.value, dtype=data.dtype), data[..., index]))
        else:
            part[...] = side.added(Arithmetic.of_numpy(data))
    return padded[..., first : inner + right - last]


def correlate(padded: Array, weight: Array, out: Array, stride: int, dilation: int, groups: int) -> None:
    """Write the cross-correlation of ``padded`` and ``weight`` to ``out``.

    Args:
        padded: (batch, channels, padded_length).
        weight: (out, in/groups, kernel).
        out: (batch, out, length_out); its contents are replaced.
        stride, dilation: in samples.
        groups: number of channel groups.
    """
    kernel = weight.shape[2]
    batch, channels, _ = padded.shape
    length_out = out.shape[2]
    step = padded.strides
    windows = np.lib.stride_tricks.as_strided(  # a view: (batch, groups, in/groups, kernel, length_out)
        padded,
        (batch, groups, channels // groups, kernel, length_out),
        (step[0], step[1] * (channels // groups), step[1], step[2] * dilation, step[2] * stride),
        writeable=False,
    )
    grouped_out = out.reshape(batch, groups, -1, length_out)
    grouped_weight = weight.reshape(groups, -1, channels // groups * kernel)
    if channels == groups:
        _depthwise(windows[:, :, 0], weight.reshape(groups, -1, kernel), grouped_out, stride, dilation)
        return
    per_column = max(channels // groups * kernel * padded.itemsize, 1)  # bytes, of one group
    columns = min(max(BLOCK_BYTES // per_column, 64), length_out)
    at_once = max(BLOCK_BYTES // (per_column * columns), 1)  # groups
    items = max(at_once // groups, 1)
    for first, group, start in itertools.product(
        range(0, batch, items), range(0, groups, at_once), range(0, length_out, columns)
    ):
        place = slice(first, first + items), slice(group, group + at_once), ..., slice(start, start + columns)
        block = windows[place]
        flat = block.reshape(*block.shape[:2], -1, block.shape[-1])  # copies, except for kernel 1 and stride 1
        np.matmul(grouped_weight[place[1]], flat, out=grouped_out[place])


def _depthwise(windows: Array, taps: Array, out: Array, stride: int, dilation: int) -> None:
    """Multiply each channel alone, without a copy of its windows.

    Args:
        windows: view (batch, channels, kernel, length_out).
        taps: (channels, out/channels, kernel).
        out: (batch, channels, out/channels, length_out); its contents are replaced.
        stride, dilation: in samples.
    """
    kernel, length_out = windows.shape[2:]
    if stride == taps.shape[1] == 1 and length_out >= LONG_ROW and out.itemsize >= 4:
        # einsum multiplies whole rows of outputs if outputs are closer in memory than taps, so every second tap is left out at first
        step = 2 if dilation == 1 else 1
        np.einsum(PRODUCT, taps[..., ::step], windows[:, :, ::step], out=out)
        if step == 2 and kernel > 1:
            out += np.einsum(PRODUCT, taps[..., 1::2], windows[:, :, 1::2])
    elif kernel >= LONG_KERNEL:
        np.einsum(PRODUCT, taps, windows, out=out)
    else:
        np.matmul(taps, windows, out=out)


def build(request: LayerRequest, stream: Stream | None, device: Any) -> NumpyConv1d:
    """Build a convolution; see `drawn`."""
    return NumpyConv1d(request, *drawn(request, stream, device))


def drawn(request: LayerRequest, stream: Stream | None, device: Any) -> tuple[Array, Array | None]:
    """Check the device and return the initial weight and bias.

    Without a stream, initial weights come from NumPy's global random state, which ``np.random.seed`` sets.
    """
    if device is not None and not (isinstance(device, str) and device == "cpu"):
        raise InvalidValueError(f"device must be None or 'cpu' for backend 'numpy', got {shown(device)}; pick another backend.")
    if stream is None:
        stream = NumpyStream(int(np.random.randint(0, 2**63, dtype=np.int64)))
    values = request.draw(stream)
    weight = values["weight"]
    assert weight is not None
    return weight, values["bias"]
