"""`ConvSpec`, the sizes asked for, and `Plan`, exactly what will be done to one spatial axis."""

from __future__ import annotations

from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from convpolicy import arithmetic
from convpolicy.arithmetic import LARGEST, integer, single
from convpolicy.errors import InvalidTypeError, InvalidValueError


@attrs.frozen(cache_hash=True)
class ConvSpec:
    """Sizes of one convolution.

    Args:
        in_channels, out_channels: channels, 1 or more, each divisible by ``groups``.
        kernel_size, stride, dilation: samples, 1 or more.
        groups: blocked connections from input to output channels.

    Raises:
        InvalidTypeError, InvalidValueError: holds the argument, what came and what is allowed.
    """

    in_channels: int
    out_channels: int
    kernel_size: int
    stride: int = 1
    dilation: int = 1
    groups: int = 1

    @classmethod
    def of(cls, in_channels: Any, out_channels: Any, kernel_size: Any, stride: Any, dilation: Any, groups: Any) -> ConvSpec:
        """Check every size at the edge and build the spec."""
        spec = cls(
            integer("in_channels", in_channels, 1, LARGEST),
            integer("out_channels", out_channels, 1, LARGEST),
            integer("kernel_size", single("kernel_size", kernel_size), 1, LARGEST),
            integer("stride", single("stride", stride), 1, LARGEST),
            integer("dilation", single("dilation", dilation), 1, LARGEST),
            integer("groups", groups, 1, LARGEST),
        )
        for argument in ("in_channels", "out_channels"):
            channels = getattr(spec, argument)
            if channels % spec.groups:
                raise InvalidValueError(
                    f"{argument} must be divisible by groups, got {argument}={channels} and groups={spec.groups}; "
                    f"pass a multiple of {spec.groups}."
                )
        return spec

    @property
    def weight_shape(self) -> tuple[int, int, int]:
        """``(out_channels, in_channels // groups, kernel_size)``, axes OIW."""
        return self.out_channels, self.in_channels // self.groups, self.kernel_size

    @property
    def fans(self) -> arithmetic.Fans:
        """`arithmetic.fans` of this weight."""
        return arithmetic.fans(self.in_channels, self.out_channels, self.kernel_size, self.groups)

    @property
    def effective_kernel(self) -> int:
        """Samples one window spans."""
        return arithmetic.effective_kernel(self.kernel_size, self.dilation)


@attrs.frozen(cache_hash=True)
class Plan:
    """Exactly what will be done to one axis: frozen, hashable, printable, and free of any framework.

    All lengths in samples. A negative ``left`` or ``right`` is cut away instead of added. ``left_sources`` and ``right_sources``
    say what each added element is: the input position it repeats, or -1 for ``value``; a backend needs nothing else.
    """

    length: int
    kernel_size: int
    stride: int
    dilation: int
    left: int
    right: int
    mode: str
    value: float
    length_out: int
    left_sources: tuple[int, ...] = attrs.field(repr=False)
    right_sources: tuple[int, ...] = attrs.field(repr=False)

    @property
    def effective_kernel(self) -> int:
        """Samples one window spans."""
        return arithmetic.effective_kernel(self.kernel_size, self.dilation)

    @property
    def padded_length(self) -> int:
        """``left + length + right``."""
        return self.left + self.length + self.right

    @property
    def added(self) -> tuple[int, int]:
        """Elements added on the left and on the right, 0 where some are cut away."""
        return max(self.left, 0), max(self.right, 0)

    @property
    def cut(self) -> tuple[int, int]:
        """Elements cut away on the left and on the right, 0 where some are added."""
        return max(-self.left, 0), max(-self.right, 0)

    @property
    def positions(self) -> tuple[int, ...]:
        """The input position of every element that is convolved, or -1 for ``value``; ``padded_length`` of them."""
        everything = (*self.left_sources, *range(self.length), *self.right_sources)
        first, last = self.cut
        return everything[first : len(everything) - last]

    @property
    def is_constant(self) -> bool:
        """True when every added element is ``value``."""
        return max((*self.left_sources, *self.right_sources), default=-1) < 0

    def receptive_interval(self, output: int) -> tuple[int, int]:
        """Return the first and last input position that one output reads; see `arithmetic.receptive_interval`.

        Raises:
            InvalidValueError: no such output.
        """
        if integer("output", output, 0) >= self.length_out:
            raise InvalidValueError(f"output must be below length_out={self.length_out}, got {output}; pass 0 or more.")
        return arithmetic.receptive_interval(output, self.kernel_size, self.stride, self.dilation, self.left)

    def position(self, output: Any, tap: Any) -> Any:
        """Return the input position that one tap of one output reads, or arrays of both; from ``length`` on or below 0 it is padding."""
        return output * self.stride - self.left + tap * self.dilation

    def window_sources(self, outputs: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return (outputs, kernel): the input position that each tap of these outputs reads, or -1 for ``value``."""
        read: NDArray[np.int64] = self.position(outputs[:, None], np.arange(self.kernel_size))
        for sources, outside, start in (
            (self.left_sources, read < 0, -self.left),
            (self.right_sources, read >= self.length, self.length),
        ):
            read[outside] = np.array(sources, dtype=np.int64)[read[outside] - start]
        return read

    def to_dict(self) -> dict[str, Any]:
        """Return every field as plain data, ready for JSON."""
        return attrs.asdict(self, value_serializer=lambda _i, _f, v: list(v) if isinstance(v, tuple) else v)

    def __str__(self) -> str:
        value = f" {self.value:g}" if self.value or self.mode == "constant" else ""
        return (
            f"length {self.length}, kernel_size {self.kernel_size}, stride {self.stride}, dilation {self.dilation}: "
            f"left {self.left}, right {self.right}, {self.mode}{value} -> length {self.length_out}"
        )


def check_length(length: Any) -> int:
    """Check an input length at the edge: an integer of 0 or more."""
    if length is None:
        raise InvalidTypeError("length must be an integer, got None; pass the input length in samples.")
    return integer("length", length, 0, LARGEST)


def require_a_window(plan: Plan) -> Plan:
    """Return the plan when at least one window fits, as every framework's layer requires.

    Raises:
        InvalidValueError: the padded input is shorter than the effective kernel; holds both numbers.
    """
    if plan.length_out == 0:
        raise InvalidValueError(
            f"input of length {plan.length} is too short: padded to {plan.padded_length} samples it does not hold one window "
            f"of {plan.effective_kernel}; pass at least {plan.effective_kernel - plan.left - plan.right} samples."
        )
    return plan
