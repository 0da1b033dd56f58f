"""The float64 reference of transposed convolutions, judged in turn: by hand, by exact fractions, by SciPy, and as an adjoint."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from helpers.scatter import reached
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from convpolicy import reference

QUICK = settings(max_examples=80, deadline=None, derandomize=True)
SIZES = st.tuples(st.integers(1, 6), st.integers(1, 4), st.integers(1, 3))
CHANNELS = st.sampled_from([(2, 4, 1), (4, 2, 2), (3, 3, 3), (1, 2, 1)])

SIGNAL = [[[1, 2, 3]]]
DIGITS = [[[1, 10, 100]]]  # an output shows in its digits which samples reach it, by which taps
TWO = [[[1, 2], [3, 4]]]
BY_HAND = [  # data, weight, bias, keywords -> output, magnitude
    (SIGNAL, DIGITS, None, {}, [[[1, 12, 123, 230, 300]]], [[[1, 12, 123, 230, 300]]]),
    (SIGNAL, DIGITS, [-0.5], {"left": 1, "right": 2}, [[[11.5, 122.5]]], [[[12.5, 123.5]]]),
    (SIGNAL, DIGITS, None, {"stride": 2}, [[[1, 10, 102, 20, 203, 30, 300]]], [[[1, 10, 102, 20, 203, 30, 300]]]),
    (SIGNAL, [[[1, -10]]], [7], {"stride": 3}, [[[8, -3, 7, 9, -13, 7, 10, -23]]], [[[8, 17, 7, 9, 27, 7, 10, 37]]]),
    (SIGNAL, [[[1, 10]]], None, {"dilation": 2}, [[[1, 2, 13, 20, 30]]], [[[1, 2, 13, 20, 30]]]),
    (SIGNAL, [[[1, 10]]], [5], {"left": -2, "right": -1}, [[[5, 5, 6, 17, 28, 35, 5]]], [[[5, 5, 6, 17, 28, 35, 5]]]),
    (SIGNAL, [[[4]]], [1], {"stride": 2, "right": -1}, [[[5, 1, 9, 1, 13, 1]]], [[[5, 1, 9, 1, 13, 1]]]),
    (SIGNAL, DIGITS, None, {"left": 1, "right": 1, "mode": "circular"}, [[[312, 123, 231]]], [[[312, 123, 231]]]),
    (SIGNAL, DIGITS, None, {"left": 0, "right": 2, "mode": "circular"}, [[[231, 312, 123]]], [[[231, 312, 123]]]),
    (SIGNAL, DIGITS, None, {"left": 2, "right": 2, "mode": "circular"}, [[[666]]], [[[666]]]),
    (TWO, [[[1], [10]], [[100], [1000]]], None, {}, [[[301, 402], [3010, 4020]]], [[[301, 402], [3010, 4020]]]),
    (TWO, [[[1]], [[10]]], [5, 6], {"groups": 2, "stride": 2}, [[[6, 5, 7], [36, 6, 46]]], [[[6, 5, 7], [36, 6, 46]]]),
    (
        TWO,
        [[[1], [2]], [[3], [4]]],
        None,
        {"groups": 2},
        [[[1, 2], [2, 4], [9, 12], [12, 16]]],
        [[[1, 2], [2, 4], [9, 12], [12, 16]]],
    ),
]


@pytest.mark.parametrize(("data", "weight", "bias", "keywords", "output", "magnitude"), BY_HAND)
def test_worked_out_by_hand(data, weight, bias, keywords, output, magnitude):
    """Order of taps, bias on cut, appended and untouched outputs, stride, dilation, both modes, channels and groups."""
    judged = reference.conv_transpose1d(data, weight, bias, **keywords)
    assert (judged.output.tolist(), judged.magnitude.tolist()) == (output, magnitude)
    assert judged.output.dtype == judged.magnitude.dtype == np.float64


def test_terms_are_the_most_that_an_output_adds():
    """Products of the busiest output, and one for the bias: the stride thins them, channels of a group multiply them."""
    data = np.ones((2, 4, 9))
    for groups, stride, kernel, terms in ((1, 1, 3, 4 * 3), (2, 1, 3, 2 * 3), (1, 3, 3, 4), (1, 4, 3, 4), (4, 2, 5, 3)):
        judged = reference.conv_transpose1d(data, np.ones((4, 4 // groups, kernel)), stride=stride, groups=groups)
        assert judged.terms == terms + 1
        assert judged.terms == judged.magnitude.max() + 1
    assert reference.conv_transpose1d(np.zeros((0, 1, 4)), DIGITS).output.shape[0] == 0


def exactly(data, weight, bias, sizes, cuts, mode, groups):
    """Sum in rational arithmetic over what a scatter by hand finds, nested (batch, out, length_out)."""
    outputs = reached(data.shape[2], sizes, *cuts, mode)
    per_out, per_in = weight.shape[1], weight.shape[0] // groups
    result = []
    for item in data:
        rows = []
        for out in range(per_out * groups):
            inputs = range(out // per_out * per_in, (out // per_out + 1) * per_in)
            terms = lambda read, out=out, inputs=inputs, item=item: (  # noqa: E731 - read off the pairs of one output
                Fraction(float(item[i, at])) * Fraction(float(weight[i, out % per_out, tap])) for at, tap in read for i in inputs
            )
            rows.append([Fraction(float(bias[out])) + sum(terms(read)) for read in outputs])
        result.append(rows)
    return result


@QUICK
@given(
    SIZES,
    CHANNELS,
    st.integers(1, 5),
    st.tuples(st.integers(-3, 4), st.integers(-3, 4)),
    st.sampled_from(["zeros", "circular"]),
    st.booleans(),
)
def test_exact_rational_arithmetic(sizes, channels, length, cuts, mode, whole):
    """On integers the reference is exact; on any numbers it is within its own bound of the sum in fractions."""
    assume(reached(length, sizes, *cuts))
    in_channels, out_channels, groups = channels
    draw = np.random.default_rng([*sizes, length])
    shapes = (2, in_channels, length), (in_channels, out_channels // groups, sizes[0]), (out_channels,)
    data, weight, bias = ((draw.integers(-999, 999, s) if whole else draw.standard_normal(s)).astype(float) for s in shapes)
    arguments = {"left": cuts[0], "right": cuts[1], "mode": mode, "stride": sizes[1], "dilation": sizes[2], "groups": groups}
    judged = reference.conv_transpose1d(data, weight, bias, **arguments)
    exact = exactly(data, weight, bias, sizes, cuts, mode, groups)
    assert judged.output.shape == np.shape(exact)
    bound = 0 * judged.magnitude if whole else reference.tolerance("float64", judged.terms, judged.magnitude)
    for at in np.ndindex(judged.output.shape):
        assert abs(Fraction(float(judged.output[at])) - exact[at[0]][at[1]][at[2]]) <= Fraction(float(bound[at]))


@QUICK
@given(SIZES, CHANNELS, st.integers(1, 5), st.integers(0, 2**32 - 1))
def test_it_is_the_adjoint_of_the_convolution(sizes, channels, more, seed):
    """⟨conv x, y⟩ = ⟨x, conv_transpose y⟩ with the same weight, whose first axis is the convolution's output: exact on integers.

    Samples that no window of the convolution reads are those by which the transposed result is shorter; output_padding restores them.
    """
    kernel, stride, dilation = sizes
    in_channels, out_channels, groups = channels
    draw = np.random.default_rng(seed)
    left, right = draw.integers(0, 4, 2)
    length = max((kernel - 1) * dilation + 1 + more - left - right, 1)
    assume(length + left + right > (kernel - 1) * dilation)
    x = draw.integers(-9, 10, (2, in_channels, length))
    weight = draw.integers(-9, 10, (out_channels, in_channels // groups, kernel))
    forward = reference.conv1d(x, weight, left=left, right=right, stride=stride, dilation=dilation, groups=groups).output
    y = draw.integers(-9, 10, forward.shape)
    unread = (length + left + right - (kernel - 1) * dilation - 1) % stride
    arguments = {"stride": stride, "dilation": dilation, "groups": groups}
    back = reference.conv_transpose1d(y, weight, left=left, right=right - unread, **arguments).output
    assert back.shape == x.shape
    assert (forward * y).sum() == (x * back).sum()


@pytest.mark.needs("scipy")
@QUICK
@given(SIZES, st.integers(1, 5), st.integers(0, 2**32 - 1))
def test_scipy_convolves_alike(sizes, length, seed):
    """SciPy's full convolution of the signal with zeros between its samples and the kernel with zeros between its taps agrees."""
    from scipy import signal

    kernel, stride, dilation = sizes
    draw = np.random.default_rng(seed)
    data, weight = draw.standard_normal((1, 2, length)), draw.standard_normal((2, 3, kernel))
    spread = np.zeros((2, 3, (kernel - 1) * dilation + 1))
    spread[..., ::dilation] = weight
    between = np.zeros((2, (length - 1) * stride + 1))
    between[:, ::stride] = data[0]
    judged = reference.conv_transpose1d(data, weight, stride=stride, dilation=dilation)
    for out in range(3):
        expected = sum(signal.convolve(between[i], spread[i, out], mode="full", method="direct") for i in range(2))
        bound = 2 * reference.tolerance("float64", 2 * spread.shape[2] + 1, judged.magnitude[0, out])
        assert (np.abs(judged.output[0, out] - expected) <= bound).all()
