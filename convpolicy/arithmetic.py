"""Integer arithmetic of one spatial axis.

``kernel``, ``stride``, ``dilation`` and lengths are in samples. ``e`` is the effective kernel, the number of samples that one window
spans.
"""

from __future__ import annotations

import operator
from typing import Any, NamedTuple

from convpolicy.errors import InvalidTypeError, InvalidValueError, shown

SIDES = ("left", "right")
LARGEST = 2**63 - 1  # the largest integer of the frameworks


def integer(argument: str, value: Any, minimum: int | None = None, maximum: int | None = None) -> int:
    """Check one integer argument of a caller.

    Args:
        argument: name of the argument, for the message.
        value: a Python or NumPy integer. A bool or a float is not allowed.
        minimum: the smallest value allowed, or None.
        maximum: the largest value allowed, or None.

    Returns:
        The value as a Python int.

    Raises:
        InvalidTypeError: the value is not an integer. The message contains the argument, the value and its type.
        InvalidValueError: the value is out of range. The message contains the argument, the value and the bound.
    """
    if type(value) is not int:  # skips the checks below in the common case
        if isinstance(value, bool) or "bool" in type(value).__name__:
            raise InvalidTypeError(f"{argument} must be an integer, got {shown(value)} of type bool; pass a whole number.")
        try:
            value = operator.index(value)
        except TypeError:
            raise InvalidTypeError(
                f"{argument} must be an integer, got {shown(value)} of type {type(value).__name__}; pass a whole number."
            ) from None
    if minimum is not None and value < minimum:
        raise InvalidValueError(f"{argument} must be at least {minimum}, got {shown(value)}; pass {minimum} or more.")
    if maximum is not None and value > maximum:
        raise InvalidValueError(f"{argument} must be at most {maximum}, got {shown(value)}; pass less.")
    return int(value)


def single(argument: str, value: Any) -> Any:
    """Return the number 3 for ``3`` and for ``(3,)``. A value that is not a tuple or list is returned unchanged."""
    if isinstance(value, (tuple, list)):
        if len(value) != 1:
            raise InvalidValueError(
                f"{argument} must be one number for one spatial axis, got {shown(value)}; pass a single integer."
            )
        return value[0]
    return value


def effective_kernel(kernel: int, dilation: int) -> int:
    """Return ``e = (kernel - 1) * dilation + 1``, the number of samples that one window spans.

    Source: Dumoulin & Visin, A guide to convolution arithmetic for deep learning, section 5.1.
    """
    return (kernel - 1) * dilation + 1


def output_length(length: int, kernel: int, stride: int, dilation: int, left: int, right: int) -> int:
    """Return the number of windows that fit into the padded input. The result is 0 if no window fits.

    Formula: ``(left + length + right - e) // stride + 1``.
    Source: Dumoulin & Visin, relationship 14.
    """
    room = left + length + right - effective_kernel(kernel, dilation)
    return room // stride + 1 if room >= 0 else 0


def static_total(kernel: int, dilation: int) -> int:
    """Return ``e - 1``, the total padding that keeps the output as long as the input at stride 1."""
    return (kernel - 1) * dilation


def same_total(kernel: int, stride: int, dilation: int, length: int) -> int:
    """Return the smallest total padding that produces ``ceil(length / stride)`` outputs.

    Formula: ``max(e - 1 - (length - 1) % stride, 0)``. It equals TensorFlow's
    ``max((ceil(length/stride) - 1) * stride + e - length, 0)``, and a framework can trace it with a symbolic length.
    Source: tensorflow/core/framework/common_shape_fns.cc, GetWindowedOutputSizeVerbose.
    """
    rest = (kernel - 1) * dilation - (length - 1) % stride
    # in the first case the rest is never negative; a tracer with a symbolic length cannot prove that
    return rest if (kernel - 1) * dilation >= stride - 1 else max(rest, 0)


def split(total: int, odd_side: str) -> tuple[int, int]:
    """Split a total into pads on the left and on the right.

    Args:
        total: number of samples to add, the sum of both sides.
        odd_side: the side that gets the extra sample if the total is odd, ``"left"`` or ``"right"``.

    Returns:
        ``(left, right)``, e.g. ``split(3, "right") == (1, 2)``.
    """
    less = total // 2
    more = total - less
    return (more, less) if odd_side == "left" else (less, more)


class Fans(NamedTuple):
    """The fans of a weight: ``fan_in``, the connections per output, and ``fan_out``, the connections per input."""

    fan_in: int
    fan_out: int
    groups: int = 1

    @property
    def fan_in_all_groups(self) -> int:
        """``in_channels * kernel``, the fan-in without division by groups."""
        return self.fan_in * self.groups

    @property
    def fan_avg(self) -> float:
        """The mean of ``fan_in`` and ``fan_out``, as in Glorot & Bengio (2010)."""
        return (self.fan_in + self.fan_out) / 2

    def of(self, rule: str) -> float:
        """Return one fan by name: ``"fan_in"``, ``"fan_out"``, ``"fan_avg"`` or ``"fan_in_all_groups"``."""
        return float(getattr(self, rule))


def fans(in_channels: int, out_channels: int, kernel: int, groups: int) -> Fans:
    """Return the fans of a weight, as most frameworks count them.

    ``fan_in = in_channels // groups * kernel``. ``fan_out = out_channels * kernel``, without division by groups.
    Source: torch/nn/init.py, _calculate_fan_in_and_fan_out, on a weight of shape (out, in/groups, kernel).
    """
    return Fans(in_channels // groups * kernel, out_channels * kernel, groups)


def tap_position(index: Any, tap: Any, stride: int, dilation: int, left: int) -> Any:
    """Return the input position that a tap of an output reads, or the output that a sample reaches by a tap of a transposed convolution.

    Args:
        index: index of the output, or of the sample of a transposed convolution, as a number or an array.
        tap: index of the kernel tap, as a number or an array.
        stride, dilation: sizes of the convolution, in samples.
        left: samples added on the left, or cut on the left of the full result.
    """
    return index * stride + tap * dilation - left


def receptive_interval(output: int, kernel: int, stride: int, dilation: int, left: int) -> tuple[int, int]:
    """Return the first and the last input position that one output reads.

    Args:
        output: index of the output, from 0.
        kernel, stride, dilation: sizes of the convolution, in samples.
        left: samples added on the left.

    Returns:
        ``(first, last)``, both included. Positions below 0 are padding. Positions from ``length`` on are padding too.
    """
    first, last = (tap_position(output, tap, stride, dilation, left) for tap in (0, kernel - 1))
    return first, last


def full_length(length: int, kernel: int, stride: int, dilation: int) -> int:
    """Return the length of the full result of a transposed convolution. The result is 0 for an empty input.

    Formula: ``(length - 1) * stride + e``.
    Source: Dumoulin & Visin, relationship 13, without padding.
    """
    return (length - 1) * stride + effective_kernel(kernel, dilation) if length else 0


def transposed_interval(first: int, last: int, kernel: int, stride: int, dilation: int, left: int) -> tuple[int, int]:
    """Return the first and the last input position whose taps span some outputs of a transposed convolution.

    Args:
        first, last: indices of the first and the last output.
        kernel, stride, dilation: sizes of the convolution, in samples.
        left: samples cut on the left of the full result.

    Returns:
        ``(first, last)``, both included. Positions below 0 and from ``length`` on do not exist. ``first > last`` if no input
        position reaches the outputs, which happens if the kernel is shorter than the stride.
    """
    return -((static_total(kernel, dilation) - first - left) // stride), (last + left) // stride
