"""`ConvSpec`: the sizes of one convolution."""

from __future__ import annotations

from typing import Any

import attrs

from convpolicy import arithmetic
from convpolicy.arithmetic import LARGEST, integer, single
from convpolicy.errors import InvalidValueError


@attrs.frozen(cache_hash=True)
class ConvSpec:
    """The sizes of one convolution.

    Args:
        in_channels, out_channels: number of channels, 1 or more, divisible by ``groups``.
        kernel_size, stride, dilation: in samples, 1 or more.
        groups: number of groups of channels. Each group of output channels reads one group of input channels.
        transposed: True for a transposed convolution.
    """

    in_channels: int
    out_channels: int
    kernel_size: int
    stride: int = 1
    dilation: int = 1
    groups: int = 1
    transposed: bool = False

    @classmethod
    def of(
        cls,
        in_channels: Any,
        out_channels: Any,
        kernel_size: Any,
        stride: Any,
        dilation: Any,
        groups: Any,
        *,
        transposed: bool = False,
    ) -> ConvSpec:
        """Check every size and return a `ConvSpec`.

        Raises:
            InvalidTypeError, InvalidValueError: a size is not allowed. The message contains the argument, the value and what is allowed.
        """
        spec = cls(
            integer("in_channels", in_channels, 1, LARGEST),
            integer("out_channels", out_channels, 1, LARGEST),
            integer("kernel_size", single("kernel_size", kernel_size), 1, LARGEST),
            integer("stride", single("stride", stride), 1, LARGEST),
            integer("dilation", single("dilation", dilation), 1, LARGEST),
            integer("groups", groups, 1, LARGEST),
            transposed,
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
        """The shape of the weight: ``(out, in/groups, kernel)``, for a transposed convolution ``(in, out/groups, kernel)``."""
        first, second = self.out_channels, self.in_channels
        if self.transposed:
            first, second = second, first
        return first, second // self.groups, self.kernel_size

    @property
    def fans(self) -> arithmetic.Fans:
        """The fan-in and the fan-out of the weight; see `arithmetic.fans`."""
        return self.fans_of("I")

    def fans_of(self, fan_in: str) -> arithmetic.Fans:
        """Return the fan-in and the fan-out of the weight.

        Args:
            fan_in: the axis that counts as fan-in: ``"I"``, or ``"O"`` for ``out_channels // groups * kernel_size``, which most
                frameworks compute for a transposed convolution from the shape of its weight.
        """
        first, second = self.in_channels, self.out_channels
        if fan_in == "O":
            first, second = second, first
        return arithmetic.fans(first, second, self.kernel_size, self.groups)

    @property
    def effective_kernel(self) -> int:
        """The number of samples that one window spans."""
        return arithmetic.effective_kernel(self.kernel_size, self.dilation)
