"""Sizes, crop rules and the judge that the tests of torch's transposed layers share."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

import convpolicy as cp
from convpolicy import reference

INNER, OUTER = 4, 8
KERNELS = range(1, 10)
STRIDES = range(1, 6)
DILATIONS = range(1, 4)
GROUPS = (1, 2, 4)
TWO_COMPUTATIONS = 2  # each of two results may be off by the bound, in opposite directions
CUTS = (  # what is cut: rules, and pairs that cut, append zeros, or both
    *("at_least_stride", "same_upper", "same_lower", "causal"),
    *((1, 2), (3, 0), (0, 3), (-2, 1), (1, -4), (-3, -5), (4, 4)),
)


class Sizes(NamedTuple):
    """The sizes of a layer with (4, 8) channels."""

    kernel: int
    stride: int
    dilation: int
    groups: int
    bias: bool

    @property
    def effective(self) -> int:
        """Samples of the output that one input sample spans."""
        return (self.kernel - 1) * self.dilation + 1

    def layer(self, padding=None, **more):
        """A layer of convpolicy."""
        return cp.ConvTranspose1d(
            INNER, OUTER, self.kernel, self.stride, padding, None, self.groups, self.bias, self.dilation,
            **{"backend": "torch", **more},
        )  # fmt: skip


def grid(kernel: int) -> Iterator[Sizes]:
    """Every stride, dilation, number of groups and bias."""
    for stride, dilation, groups in itertools.product(STRIDES, DILATIONS, GROUPS):
        yield Sizes(kernel, stride, dilation, groups, (kernel + stride + dilation) % 2 == 0)


def defined_cuts(cut: object, sizes: Sizes) -> tuple[int, int]:
    """What a rule cuts, written out again from its definition."""
    excess = sizes.effective - sizes.stride
    if isinstance(cut, tuple):
        return cut
    return {
        "at_least_stride": (0, min(excess, 0)),
        "same_upper": (excess // 2, excess - excess // 2) if excess > 0 else (0, excess),
        "same_lower": (excess - excess // 2, excess // 2) if excess > 0 else (0, excess),
        "causal": (0, excess),
    }[str(cut)]


def cases(seed: int, each: int) -> Iterator[tuple[Sizes, object, str, int]]:
    """Random sizes for every way of cutting, with both modes: sizes, what is cut, mode, input length with at least one output."""
    generator = random.Random(seed)
    for cut, mode in itertools.product(CUTS, ("zeros", "circular")):
        done = 0
        while done < each:
            sizes = Sizes(
                generator.choice(KERNELS), generator.choice(STRIDES), generator.choice(DILATIONS), generator.choice(GROUPS),
                generator.random() < 0.5,
            )  # fmt: skip
            length = generator.randrange(1, 12)
            if (length - 1) * sizes.stride + sizes.effective > sum(defined_cuts(cut, sizes)):
                yield sizes, cut, mode, length
                done += 1


def judge(output, data, weight, bias, sizes: Sizes, cut: object, mode: str, dtype: str) -> None:
    """Require an output within the bound of the dtype from the float64 reference."""
    left, right = defined_cuts(cut, sizes)
    ideal = reference.conv_transpose1d(
        data, weight, bias, left=left, right=right, mode=mode, stride=sizes.stride, dilation=sizes.dilation, groups=sizes.groups
    )
    assert output.shape == ideal.output.shape, (sizes, cut, mode)
    bound = TWO_COMPUTATIONS * reference.tolerance(dtype, ideal.terms, ideal.magnitude)
    assert (abs(output - ideal.output) <= bound).all(), (sizes, cut, mode)


def random_arrays(seed: int, *shapes: tuple[int, ...]) -> list[np.ndarray]:
    """Standard normal float32 arrays."""
    generator = np.random.default_rng(seed)
    return [generator.standard_normal(shape).astype(np.float32) for shape in shapes]
