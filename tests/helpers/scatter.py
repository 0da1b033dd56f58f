"""A transposed convolution by hand: which sample reaches which output by which kernel tap. It knows nothing of the package."""

from __future__ import annotations

import numpy as np


def reached(length, sizes, left, right, mode="zeros"):
    """Return for each output the list of (sample, tap) that are added to it; None where nothing of the result is left."""
    kernel, stride, dilation = sizes
    length_out = (length - 1) * stride + (kernel - 1) * dilation + 1 - left - right
    if length < 1 or length_out < 1:
        return None
    outputs = [[] for _ in range(length_out)]
    for sample in range(length):
        for tap in range(kernel):
            at = sample * stride + tap * dilation - left
            if mode == "circular":
                at %= length_out
            if 0 <= at < length_out:
                outputs[at].append((sample, tap))
    return outputs


def windows(length, sizes, left, right):
    """Return for each output of a convolution that is padded with zeros the list of (sample, tap) that it reads."""
    kernel, stride, dilation = sizes
    starts = range(-left, length + right - (kernel - 1) * dilation, stride)
    return [[(at, tap) for tap in range(kernel) if 0 <= (at := start + tap * dilation) < length] for start in starts] or None


def applied(outputs, signal, taps):
    """Return the outputs (length_out,) of one channel: each product where it belongs."""
    return np.array([sum(signal[sample] * taps[tap] for sample, tap in read) for read in outputs], float)
