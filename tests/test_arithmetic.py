"""The integer arithmetic against brute force: windows are placed one by one and counted, totals are searched for."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convpolicy import arithmetic
from convpolicy.core.spec import ConvSpec

QUICK = settings(max_examples=120, deadline=None, derandomize=True)
KERNELS, STRIDES, DILATIONS = st.integers(1, 9), st.integers(1, 9), st.integers(1, 5)
LENGTHS, PADS = st.integers(0, 40), st.integers(0, 12)


def windows(padded_length, kernel, stride, dilation):
    """Slide one window over the padded axis, sample by sample, and list the positions that each placed window reads."""
    placed, start = [], 0
    while start + sum(dilation for _ in range(kernel - 1)) < padded_length:
        placed.append([start + tap * dilation for tap in range(kernel)])
        start += stride
    return placed


@QUICK
@given(KERNELS, DILATIONS)
def test_the_effective_kernel_is_what_one_window_spans(kernel, dilation):
    """From the first to the last sample of one window, both counted; without its own sample it is the static total."""
    (taps,) = windows(1000, kernel, 1000, dilation)
    assert arithmetic.effective_kernel(kernel, dilation) == len(range(taps[0], taps[-1] + 1))
    assert arithmetic.static_total(kernel, dilation) == taps[-1] - taps[0]


@QUICK
@given(LENGTHS, KERNELS, STRIDES, DILATIONS, PADS, PADS)
def test_the_output_length_is_the_number_of_windows(length, kernel, stride, dilation, left, right):
    """As many outputs as windows fit, and 0, never less, where not one fits."""
    expected = len(windows(left + length + right, kernel, stride, dilation))
    assert arithmetic.output_length(length, kernel, stride, dilation, left, right) == expected


@QUICK
@given(st.integers(1, 40), KERNELS, DILATIONS)
def test_the_static_total_keeps_the_length(length, kernel, dilation):
    """With stride 1 it gives as many windows as samples, and no other total does."""
    keeping = [total for total in range(60) if len(windows(length + total, kernel, 1, dilation)) == length]
    assert [arithmetic.static_total(kernel, dilation)] == keeping


@QUICK
@given(st.integers(1, 40), KERNELS, STRIDES, DILATIONS)
def test_the_same_total_is_the_least_that_gives_enough_windows(length, kernel, stride, dilation):
    """Searched from 0 up: the first total with one window for each started block of stride, length divisible or not."""
    blocks = len(range(0, length, stride))
    least = next(total for total in itertools.count() if len(windows(length + total, kernel, stride, dilation)) == blocks)
    assert arithmetic.same_total(kernel, stride, dilation, length) == least


@QUICK
@given(LENGTHS, KERNELS, STRIDES, DILATIONS)
def test_the_same_total_is_tensorflows(length, kernel, stride, dilation):
    """The published form, max((ceil(length / stride) - 1) * stride + e - length, 0), gives the same for every length, 0 too."""
    effective = kernel + (kernel - 1) * (dilation - 1)
    published = max((-(-length // stride) - 1) * stride + effective - length, 0)
    assert arithmetic.same_total(kernel, stride, dilation, length) == published


@pytest.mark.parametrize("odd_side", arithmetic.SIDES)
@pytest.mark.parametrize("total", range(12))
def test_a_split_is_even_but_for_the_odd_element(total, odd_side):
    """Of all ways to share a total, the one with the smallest difference, and not more on the other side."""
    shares = [(left, total - left) for left in range(total + 1)]
    even = [(left, right) for left, right in shares if 0 <= (left - right if odd_side == "left" else right - left) <= 1]
    assert [arithmetic.split(total, odd_side)] == even


CHANNELS = [(a, b, g) for a, b, g in itertools.product(range(1, 7), range(1, 7), range(1, 7)) if a % g == b % g == 0]


@pytest.mark.parametrize("kernel", [1, 2, 5])
def test_fans_are_connections(kernel):
    """Fan-in is what one output is connected to, channel by channel; fan-out takes every output."""
    for in_channels, out_channels, groups in CHANNELS:
        block_in, block_out = in_channels // groups, out_channels // groups
        connected = [i for i in range(in_channels) if i // block_in == (out_channels - 1) // block_out]
        fans = arithmetic.fans(in_channels, out_channels, kernel, groups)
        assert fans == (len(connected) * kernel, out_channels * kernel, groups)
        assert fans == ConvSpec(in_channels, out_channels, kernel, groups=groups).fans
        every = [(i, tap) for i in range(in_channels) for tap in range(kernel)]
        expected = [fans.fan_in, fans.fan_out, (fans.fan_in + fans.fan_out) / 2, len(every)]
        assert [fans.of(rule) for rule in ("fan_in", "fan_out", "fan_avg", "fan_in_all_groups")] == expected


@QUICK
@given(KERNELS, STRIDES, DILATIONS, PADS, st.integers(0, 6))
def test_the_receptive_interval_is_what_a_window_reads(kernel, stride, dilation, left, output):
    """First and last position of that window, counted from the first sample of the input."""
    taps = [position - left for position in windows(200, kernel, stride, dilation)[output]]
    assert arithmetic.receptive_interval(output, kernel, stride, dilation, left) == (min(taps), max(taps))


@pytest.mark.parametrize("value", [3, np.int8(3), np.uint64(3), np.array(3)])
def test_integers_of_numpy_become_pythons(value):
    """What counts as an integer leaves the edge as a plain int, so that plans hash and print alike."""
    checked = arithmetic.integer("kernel_size", value, 1)
    assert (type(checked), checked) == (int, 3)
