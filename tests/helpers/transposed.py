"""The sizes of transposed layers and the judge of their outputs, for the tests of every framework.

Nothing here uses the plans of the package, only its float64 reference.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

import convpolicy as cp
from convpolicy import reference

IN, OUT = 4, 8
KERNELS = range(1, 10)
STRIDES = range(1, 6)
DILATIONS = range(1, 4)
GROUPS = (1, 2, IN)
TWO_COMPUTATIONS = 2  # each of two results may be off by the bound, in opposite directions


class Sizes(NamedTuple):
    """Everything about a layer of (4, 8) channels but what it cuts."""

    kernel: int
    stride: int
    dilation: int
    groups: int
    bias: bool = True

    @property
    def effective(self) -> int:
        """Outputs that one input sample spans."""
        return self.kernel + (self.kernel - 1) * (self.dilation - 1)

    def full(self, length: int) -> int:
        """Length of the full result."""
        return (length - 1) * self.stride + self.effective

    def layer(self, padding: Any = None, output_padding: int | None = None, **more: Any) -> Any:
        """A layer of convpolicy."""
        sizes = self.kernel, self.stride, padding, output_padding, self.groups, self.bias, self.dilation
        return cp.ConvTranspose1d(IN, OUT, *sizes, **more)


def grid(kernel: int) -> Iterator[Sizes]:
    """Every stride, dilation and group count for one kernel size, with a bias in half of them."""
    for stride, dilation, groups in itertools.product(STRIDES, DILATIONS, GROUPS):
        yield Sizes(kernel, stride, dilation, groups, (kernel + stride + dilation) % 2 == 0)


def random(seed: int, *shape: int, dtype: str = "float32") -> np.ndarray:
    """Random data; float16 is rounded once."""
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def ideal(data: Any, weight: Any, bias: Any, cut: tuple[int, int], sizes: Sizes, mode: str = "zeros") -> reference.Reference:
    """The float64 reference."""
    return reference.conv_transpose1d(
        data,
        weight,
        bias,
        left=cut[0],
        right=cut[1],
        mode=mode,
        stride=sizes.stride,
        dilation=sizes.dilation,
        groups=sizes.groups,
    )


def is_within(output: Any, found: reference.Reference, dtype: str | None = None) -> bool:
    """Whether an output is the reference within the rounding bound of a dtype, by default its own."""
    bound = TWO_COMPUTATIONS * reference.tolerance(dtype or str(output.dtype), found.terms, found.magnitude)
    return output.shape == found.output.shape and bool((np.abs(output - found.output) <= bound).all())


def judge(output: Any, *case: Any, dtype: str | None = None, says: Any = "") -> None:
    """Assert that an output is the reference of a case, the arguments of `ideal`, within the rounding bound."""
    assert is_within(output, ideal(*case), dtype), (case[3:], says)
