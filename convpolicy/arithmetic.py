"""Integer arithmetic of one spatial axis: pure integers, no framework, no array.

Words: ``kernel``, ``stride``, ``dilation`` and every length are in samples; ``e`` is the effective kernel.
"""

from __future__ import annotations

import operator
from typing import Any, NamedTuple

from convpolicy.errors import InvalidTypeError, InvalidValueError, shown

SIDES = ("left", "right")
LARGEST = 2**63 - 1  # what a framework's own integers hold


def integer(argument: str, value: Any, minimum: int | None = None, maximum: int | None = None) -> int:
    """Check one integer argument at the edge.

    Args:
        argument: its name, for the message.
        value: what came; a Python or NumPy integer, never a bool, Python's or NumPy's, or a float.
        minimum: the smallest value allowed, or None.
        maximum: the largest, or None.

    Returns:
        The value as a Python int.

    Raises:
        InvalidTypeError: not an integer; holds the argument, the value and its type.
        InvalidValueError: below the minimum or above the maximum; holds the argument, the value and the bound.
    """
    if type(value) is not int:  # the common case pays nothing more
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
    """Accept ``3`` and ``(3,)``."""
    if isinstance(value, (tuple, list)):
        if len(value) != 1:
            raise InvalidValueError(
                f"{argument} must be one number for one spatial axis, got {shown(value)}; pass a single integer."
            )
        return value[0]
    return value


def effective_kernel(kernel: int, dilation: int) -> int:
    """Return ``e = (kernel - 1) * dilation + 1``, the samples one window spans.

    Source: Dumoulin & Visin, A guide to convolution arithmetic for deep learning, section 5.1.
    """
    return (kernel - 1) * dilation + 1


def output_length(length: int, kernel: int, stride: int, dilation: int, left: int, right: int) -> int:
    """Return the number of whole windows in the padded input, 0 when not even one fits.

    Formula: ``(left + length + right - e) // stride + 1``.
    Source: Dumoulin & Visin, relationship 14.
    """
    room = left + length + right - effective_kernel(kernel, dilation)
    return room // stride + 1 if room >= 0 else 0


def static_total(kernel: int, dilation: int) -> int:
    """Return ``e - 1``, the padding that keeps the length at stride 1."""
    return (kernel - 1) * dilation


def same_total(kernel: int, stride: int, dilation: int, length: int) -> int:
    """Return the least padding that gives ``ceil(length / stride)`` outputs.

    Formula: ``max(e - 1 - (length - 1) % stride, 0)``, equal to TensorFlow's
    ``max((ceil(length/stride) - 1) * stride + e - length, 0)`` and safe to trace with a symbolic length.
    Source: tensorflow/core/framework/common_shape_fns.cc, GetWindowedOutputSizeVerbose.
    """
    rest = (kernel - 1) * dilation - (length - 1) % stride
    return (
        rest if (kernel - 1) * dilation >= stride - 1 else max(rest, 0)
    )  # the first is never negative, which a tracer cannot know


def split(total: int, odd_side: str) -> tuple[int, int]:
    """Share a total between the two sides; an odd element goes to ``odd_side``.

    Args:
        total: elements to share.
        odd_side: ``"left"`` or ``"right"``.

    Returns:
        ``(left, right)``, e.g. ``split(3, "right") == (1, 2)``.
    """
    less = total // 2
    more = total - less
    return (more, less) if odd_side == "left" else (less, more)


class Fans(NamedTuple):
    """Connections per output (`fan_in`) and per input (`fan_out`) of a weight (out, in/groups, kernel)."""

    fan_in: int
    fan_out: int
    groups: int = 1

    @property
    def fan_in_all_groups(self) -> int:
        """``in_channels * kernel``: the inputs of all groups together."""
        return self.fan_in * self.groups

    @property
    def fan_avg(self) -> float:
        """The mean of the two, as Glorot & Bengio (2010) use it."""
        return (self.fan_in + self.fan_out) / 2

    def of(self, rule: str) -> float:
        """Return the fan named ``"fan_in"``, ``"fan_out"``, ``"fan_avg"`` or ``"fan_in_all_groups"``."""
        return float(getattr(self, rule))


def fans(in_channels: int, out_channels: int, kernel: int, groups: int) -> Fans:
    """Return the fans as most frameworks count them.

    ``fan_in = in_channels // groups * kernel``, ``fan_out = out_channels * kernel`` (not divided by groups).
    Source: torch/nn/init.py, _calculate_fan_in_and_fan_out, on a weight of shape (out, in/groups, kernel).
    """
    return Fans(in_channels // groups * kernel, out_channels * kernel, groups)


def receptive_interval(output: int, kernel: int, stride: int, dilation: int, left: int) -> tuple[int, int]:
    """Return the first and last input position one output reads.

    Args:
        output: output position, from 0.
        kernel, stride, dilation, left: the plan, in samples.

    Returns:
        ``(first, last)``, both included; below 0 or from the length on, the position is padding.
    """
    first = output * stride - left
    return first, first + (kernel - 1) * dilation
