"""The float64 reference and its rounding bound, judged in turn: by hand, by exact fractions, by SciPy, and by their imports."""

from __future__ import annotations

import ast
import math
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import convpolicy
from convpolicy import reference

PACKAGE = Path(convpolicy.__file__).parent
QUICK = settings(max_examples=80, deadline=None, derandomize=True)

# -- conv1d ---------------------------------------------------------------------------------------------------------------

SIGNAL = [[[1, 2, 3, 4]]]
DIGITS = [[[1, 10, 100]]]  # an output shows in its digits which samples were read, in which order
TWO = [[[1, 2, 3, 4], [5, 6, 7, 8]]]
BY_HAND = [  # data, weight, bias, keywords -> output, magnitude
    (SIGNAL, DIGITS, None, {}, [[[321, 432]]], [[[321, 432]]]),
    (SIGNAL, DIGITS, [-0.5], {}, [[[320.5, 431.5]]], [[[321.5, 432.5]]]),
    (SIGNAL, [[[1, -10, 100]]], [7], {}, [[[1 - 20 + 300 + 7, 2 - 30 + 400 + 7]]], [[[328, 439]]]),
    (SIGNAL, DIGITS, None, {"stride": 2, "left": 1}, [[[210, 432]]], [[[210, 432]]]),
    (SIGNAL, [[[1, 10]]], None, {"dilation": 3}, [[[41]]], [[[41]]]),
    (SIGNAL, [[[1, 10]]], None, {"dilation": 2, "right": 2, "mode": "circular"}, [[[31, 42, 13, 24]]], [[[31, 42, 13, 24]]]),
    (SIGNAL, [[[1, 10]]], None, {"left": 1, "mode": "constant", "value": -9}, [[[1, 21, 32, 43]]], [[[19, 21, 32, 43]]]),
    (SIGNAL, DIGITS, None, {"left": 1, "right": 1, "mode": "reflect"}, [[[212, 321, 432, 343]]], [[[212, 321, 432, 343]]]),
    (TWO, [[[1], [10]], [[10], [1]]], None, {}, [[[51, 62, 73, 84], [15, 26, 37, 48]]], [[[51, 62, 73, 84], [15, 26, 37, 48]]]),
    (TWO, [[[1]], [[10]]], [3, 4], {"groups": 2, "stride": 3}, [[[4, 7], [54, 84]]], [[[4, 7], [54, 84]]]),
    (TWO, [[[1]], [[2]], [[3]], [[4]]], None, {"groups": 2, "stride": 4}, [[[1], [2], [15], [20]]], [[[1], [2], [15], [20]]]),
]


@pytest.mark.parametrize(("data", "weight", "bias", "keywords", "output", "magnitude"), BY_HAND)
def test_worked_out_by_hand(data, weight, bias, keywords, output, magnitude):
    """Order of taps, bias, stride, dilation, pads, channels and groups, each in an example that can be done in the head."""
    judged = reference.conv1d(data, weight, bias, **keywords)
    assert (judged.output.tolist(), judged.magnitude.tolist()) == (output, magnitude)
    assert judged.terms == len(weight[0]) * len(weight[0][0]) + 1
    assert judged.output.dtype == judged.magnitude.dtype == np.float64


def test_no_window_and_no_batch():
    """Where no window fits the outputs are of length 0; a batch of none stays one."""
    assert reference.conv1d([[[1, 2]]], DIGITS).output.shape == (1, 1, 0)
    assert reference.conv1d(np.zeros((0, 1, 4)), DIGITS).output.shape[0] == 0


SIZES = st.tuples(st.integers(1, 5), st.integers(1, 4), st.integers(1, 3), st.sampled_from([(2, 4, 1), (4, 2, 2), (3, 3, 3)]))


def exactly(data, weight, bias, stride, dilation, groups):
    """Sum in rational arithmetic: nested (batch, out, length_out) of fractions, tap by tap over the whole output."""
    out_channels, in_per_group, kernel = weight.shape
    room = data.shape[2] - (kernel - 1) * dilation
    result = []
    for item in data:
        rows = [[Fraction(float(bias[out]))] * len(range(0, room, stride)) for out in range(out_channels)]
        for out, offset, tap in np.ndindex(weight.shape):
            group = out * groups // out_channels
            samples = item[group * in_per_group + offset, tap * dilation :][:room][::stride]
            factor = Fraction(float(weight[out, offset, tap]))
            rows[out] = [total + factor * Fraction(float(sample)) for total, sample in zip(rows[out], samples)]
        result.append(rows)
    return result


@QUICK
@given(SIZES, st.integers(0, 6), st.integers(0, 2**32 - 1), st.booleans())
def test_exact_rational_arithmetic(sizes, more, seed, whole):
    """On integers the reference is exact; on any numbers it is within its own bound of the sum in fractions."""
    kernel, stride, dilation, (in_channels, out_channels, groups) = sizes
    draw = np.random.default_rng(seed)
    weight_shape = out_channels, in_channels // groups, kernel
    shapes = (2, in_channels, (kernel - 1) * dilation + 1 + more), weight_shape, (out_channels,)
    data, weight, bias = ((draw.integers(-999, 999, s) if whole else draw.standard_normal(s)).astype(float) for s in shapes)
    judged = reference.conv1d(data, weight, bias, stride=stride, dilation=dilation, groups=groups)
    exact = exactly(data, weight, bias, stride, dilation, groups)
    assert judged.output.shape == np.shape(exact)
    bound = 0 * judged.magnitude if whole else reference.tolerance("float64", judged.terms, judged.magnitude)
    for at in np.ndindex(judged.output.shape):
        error = Fraction(float(judged.output[at])) - exact[at[0]][at[1]][at[2]]
        assert abs(error) <= Fraction(float(bound[at]))


@pytest.mark.needs("scipy")
@QUICK
@given(SIZES, st.integers(0, 6), st.integers(0, 2**32 - 1))
def test_scipy_correlates_alike(sizes, more, seed):
    """SciPy's direct correlation, kernels spread by zeros for dilation and outputs thinned for stride, agrees."""
    from scipy import signal

    kernel, stride, dilation, (in_channels, out_channels, groups) = sizes
    draw = np.random.default_rng(seed)
    data = draw.standard_normal((1, in_channels, (kernel - 1) * dilation + 1 + more))
    weight = draw.standard_normal((out_channels, in_channels // groups, kernel))
    spread = np.zeros((*weight.shape[:2], (kernel - 1) * dilation + 1))
    spread[..., ::dilation] = weight
    judged = reference.conv1d(data, weight, stride=stride, dilation=dilation, groups=groups)
    for out, (row, magnitude) in enumerate(zip(judged.output[0], judged.magnitude[0])):
        first = out * groups // out_channels * weight.shape[1]
        channels = data[0, first : first + weight.shape[1]]
        pairs = zip(channels, spread[out])
        expected = sum(signal.correlate(channel, taps, mode="valid", method="direct") for channel, taps in pairs)
        bound = 2 * reference.tolerance("float64", spread[0].size + 1, magnitude)
        assert (np.abs(row - expected[::stride]) <= bound).all()


def test_an_unknown_mode_is_refused():
    """A misspelt mode names itself and the nearest known one, rather than padding with something."""
    with pytest.raises(LookupError, match=r"unknown reference mode 'reflekt'.*Did you mean 'reflect'"):
        reference.walk(-1, 4, "reflekt")


# -- tolerance ------------------------------------------------------------------------------------------------------------

NARROW = ("float16", "float32", "float64")


def summed(products, bias, order):
    """Add products to a bias in the products' dtype, in one of several orders."""
    values = np.append(products, bias)
    if order == "pairwise":
        while values.size > 1:
            values = np.append(values[:-1:2] + values[1::2], values[values.size - values.size % 2 :])
        return values[0]
    total = values.dtype.type(0)
    for value in {"forward": values, "backward": values[::-1], "by size": values[np.argsort(-np.abs(values))]}[order]:
        total = total + value
    return total


@pytest.mark.parametrize("scale", [1.0, "mixed", "tiny"])
@pytest.mark.parametrize("order", ["forward", "backward", "by size", "pairwise"])
@pytest.mark.parametrize("dtype", NARROW)
def test_it_is_wide_enough(dtype, order, scale):
    """Sums in the dtype, in any order, of like, very different or subnormal numbers, stay within it of the exact sum."""
    draw = np.random.default_rng(len(order))
    tiny = math.sqrt(float(np.finfo(dtype).smallest_subnormal))
    for terms in (2, 3, 8, 40):
        for _ in range(20):
            factors = draw.standard_normal((2, terms - 1))
            factors *= {"mixed": 10.0 ** draw.integers(-2, 2, (2, terms - 1)), "tiny": tiny}.get(scale, 1.0)
            weight, data = factors.astype(dtype)
            bias = np.asarray(draw.standard_normal() * (0 if scale == "tiny" else 1)).astype(dtype)
            exact = [Fraction(float(w)) * Fraction(float(x)) for w, x in zip(weight, data)] + [Fraction(float(bias))]
            magnitude = float(sum(abs(term) for term in exact))
            error = abs(Fraction(float(summed(weight * data, bias, order))) - sum(exact))
            assert error <= Fraction(float(reference.tolerance(dtype, terms, magnitude)))


@pytest.mark.parametrize("dtype", NARROW)
def test_it_is_not_wider_than_needed(dtype):
    """An error of one ulp of the magnitude per term and two more is outside; a result rounded to half the bits is too."""
    for terms in (2, 4, 30):
        ulp = float(np.finfo(dtype).eps)
        bound = reference.tolerance(dtype, terms, 1.0)
        assert terms * ulp / 2 < bound < (terms + 2) * ulp
        assert bound < math.sqrt(ulp)


def test_it_grows_with_terms_and_magnitude():
    """One bound for each element, proportional to its magnitude and above it for each further term."""
    magnitude = np.array([[1.0, 8.0, 0.0]])
    bound = reference.tolerance("float32", 9, magnitude)
    assert bound.shape == magnitude.shape
    assert bound[0, 1] == 8 * bound[0, 0]
    assert 0 < bound[0, 2] < 1e-40
    assert [n for n in range(2, 60) if reference.tolerance("float32", n, 1.0) >= reference.tolerance("float32", n + 1, 1.0)] == []


@pytest.mark.parametrize(("dtype", "most"), [("bfloat16", 254), ("float16", 2046)])
def test_no_bound_is_claimed_where_none_holds(dtype, most):
    """So many terms that every bit may be lost are refused, instead of a bound that is negative or infinite."""
    assert 0 < reference.tolerance(dtype, most, 1.0) < math.inf
    with pytest.raises(ValueError, match=f"terms={most + 1} is too many for {dtype}"):
        reference.tolerance(dtype, most + 1, 1.0)


# -- independence ---------------------------------------------------------------------------------------------------------


def imported(source):
    """Return every module that a source text imports, wherever it stands."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {node.module or "." * node.level, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


JUDGES = (
    "reference.py",
    "verification/cases.py",
    "diagnosis/computation.py",
    *(f"diagnosis/models/{name}.py" for name in ("comparing", "formulas", "whole")),
    "frameworks/torch/execution/bound.py",
)


def test_it_shares_no_code():
    """Of the package it imports only the errors, and nothing in the package imports it."""
    text = (PACKAGE / "reference.py").read_text(encoding="utf-8")
    own = {name for name in imported(text) if name.startswith(("convpolicy", "."))}
    assert own == {"convpolicy.errors", "convpolicy.errors.unknown_name"}
    for path in PACKAGE.rglob("*.py"):
        home = path.relative_to(PACKAGE).as_posix()
        if home not in JUDGES and not home.startswith("testing/"):  # these judge by it
            assert "convpolicy.reference" not in imported(path.read_text(encoding="utf-8")), path
    assert "convpolicy.reference" in imported("def late():\n    from convpolicy import reference")
