"""Sizes of layers: shapes, fans and refusals of convolutions and of transposed ones."""

from __future__ import annotations

import pytest
from helpers.refusals import refused

import convpolicy as cp

ROWS = [  # in, out, kernel, groups -> weight shape and fan-in of a convolution, and of a transposed convolution by its two axes
    ((4, 8, 3, 1), (8, 4, 3), 12, (4, 8, 3), (12, 24)),
    ((4, 8, 3, 2), (8, 2, 3), 6, (4, 4, 3), (6, 12)),
    ((6, 6, 5, 6), (6, 1, 5), 5, (6, 1, 5), (5, 5)),
    ((64, 256, 5, 1), (256, 64, 5), 320, (64, 256, 5), (320, 1280)),
]


@pytest.mark.parametrize(("sizes", "shape", "fan_in", "transposed_shape", "by_axis"), ROWS)
def test_shapes_and_fans(sizes, shape, fan_in, transposed_shape, by_axis):
    """The first two axes change places in a transposed convolution, and either may count as fan-in; the other is the fan-out."""
    in_channels, out_channels, kernel, groups = sizes
    conv, transposed = (cp.ConvSpec(in_channels, out_channels, kernel, groups=groups, transposed=flag) for flag in (False, True))
    assert (conv.weight_shape, conv.fans.fan_in) == (shape, fan_in)
    assert transposed.weight_shape == transposed_shape
    assert tuple(transposed.fans_of(axis).fan_in for axis in "IO") == by_axis
    assert transposed.fans == transposed.fans_of("I")
    assert transposed.fans_of("O").fan_out == in_channels * kernel
    assert transposed.fans_of("I").fan_out == out_channels * kernel


def test_a_transposed_spec_is_another():
    """It does not equal the convolution of the same sizes, and a convolution is the default."""
    assert cp.ConvSpec(4, 8, 3) == cp.ConvSpec(4, 8, 3, transposed=False)
    assert len({cp.ConvSpec(4, 8, 3), cp.ConvSpec(4, 8, 3, transposed=True)}) == 2
    assert cp.ConvSpec(1, 1, 4, 2, 3, transposed=True).effective_kernel == 10


@pytest.mark.parametrize("transposed", [False, True])
def test_refusals(transposed):
    """Both numbers of channels must be divisible by groups, and every size is 1 or more."""
    for sizes, says in (
        ((3, 4, 1, 1, 1, 2), "in_channels must be divisible by groups, got in_channels=3 and groups=2"),
        ((4, 3, 1, 1, 1, 2), "out_channels must be divisible by groups, got out_channels=3 and groups=2"),
        ((4, 4, 0, 1, 1, 1), "kernel_size must be at least 1, got 0"),
        ((4, 4, 1, 0, 1, 1), "stride must be at least 1, got 0"),
        ((4, 4, 1, 1, (1, 1), 1), "dilation must be one number for one spatial axis, got (1, 1)"),
    ):
        refused(lambda sizes=sizes: cp.ConvSpec.of(*sizes, transposed=transposed), ValueError, says)
