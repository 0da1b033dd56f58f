"""Layers that are one ``numpy.einsum``."""

import convpolicy as cp
import numpy as np


class EinsumConv1d:
    """A convolution; ``weight`` (out, in/groups, kernel) and ``bias`` (out,) or None may be written in place."""

    def __init__(self, request, weight, bias):
        self.request, self.weight, self.bias = request, weight, bias

    def __call__(self, data):
        """Convolve (batch, channels, length)."""
        spec = self.request.spec
        if data.ndim != 3 or data.shape[1] != spec.in_channels:
            raise cp.InvalidValueError(
                f"input must have shape (batch, {spec.in_channels}, length), got {data.shape}; reshape it."
            )
        plan = self.request.plan(data.shape[2])  # refuses what cannot be padded or holds no window
        windows = np.lib.stride_tricks.sliding_window_view(plan.padded(data), spec.effective_kernel, axis=2)
        windows = windows[:, :, :: spec.stride, :: spec.dilation]
        per_group = spec.in_channels // spec.groups, spec.out_channels // spec.groups
        grouped = windows.reshape(len(data), spec.groups, per_group[0], plan.length_out, spec.kernel_size)
        weight = self.weight.reshape(spec.groups, per_group[1], per_group[0], spec.kernel_size)
        output = np.einsum("bgilk,goik->bgol", grouped, weight).reshape(len(data), spec.out_channels, plan.length_out)
        return output if self.bias is None else output + self.bias[:, None]


def build(request, stream, device):
    """Build the layer; ``stream`` is what the initial values are drawn from, None when no seed was given."""
    if device is not None:
        raise cp.InvalidValueError(f"device must be None for backend 'tide-einsum', got {device!r}; leave it out.")
    drawn = request.draw(cp.random_stream("numpy", int(np.random.randint(2**31))) if stream is None else stream)
    return EinsumConv1d(request, drawn["weight"], drawn["bias"])
