"""Padding modes: what each added element repeats, found by stepping along the input, for every mode × overflow rule."""

from __future__ import annotations

import itertools
import re

import attrs
import numpy as np
import pytest
from helpers.padding_modes import (
    FOLDING,
    MIRRORS,
    MODES,
    VALUE,
    Choice,
    check_mode,
    check_pads,
    choice_of,
    numbered,
    padded,
    plan_of,
)
from hypothesis import example, given, settings
from hypothesis import strategies as st

import convpolicy as cp
from convpolicy import reference

OVERFLOWS = ("periodic", "zero-extend")
QUICK = settings(max_examples=150, deadline=None, derandomize=True)


@pytest.mark.parametrize("mode", MODES)
def test_within_reach_every_mode_is_the_reference(mode):
    """Every length to 5 and every pair of pads: the same samples as a walk from the edge, one step at a time."""
    check_mode(choice_of(mode), mode)


@pytest.mark.parametrize("overflow", OVERFLOWS)
@pytest.mark.parametrize("mode", FOLDING)
def test_beyond_its_reach_every_mode_is_the_reference(mode, overflow):
    """Pads wider than the input, several periods of it: walked on, or with constants appended first and cut off again."""
    check_mode(choice_of(mode, overflow), mode)


@QUICK
@given(st.sampled_from(MODES), st.sampled_from(OVERFLOWS), st.integers(1, 40), st.integers(0, 200), st.integers(0, 200))
@example("reflect", "periodic", 1, 5, 5)
@example("reflect", "zero-extend", 1, 5, 5)
@example("circular", "zero-extend", 3, 0, 4)
def test_wide_pads_are_the_reference(mode, overflow, length, left, right):
    """Any length and any pads under every mode × overflow rule."""
    check_pads(choice_of(mode, overflow), mode, length, left, right)


def periods(mode, length):
    """Return one whole period of the padded axis from position 0 on, written out."""
    forth = [*range(length)]
    return {
        "reflect": forth + forth[-2:0:-1],
        "symmetric": forth + forth[::-1],
        "circular": forth,
    }[mode]


@pytest.mark.parametrize("mode", MIRRORS)
def test_periodic_repeats_the_period(mode):
    """A second oracle for the walk and for the map: the period, written out, laid end to end in both directions."""
    for length in range(1, 9):
        period = periods(mode, length)
        expected = [period[position % len(period)] for position in range(-40, length + 40)]
        assert padded(choice_of(mode, "periodic"), range(length), 40, 40) == expected
        walked = [reference.walk(position, length, mode) for position in range(-40, 0)]
        walked += [reference.walk(position, length, mode) for position in range(length, length + 40)]
        assert walked == expected[:40] + expected[40 + length :]


def pad1d(samples, left, right, value=0.0):
    """EnCodec's pad1d (encodec/modules/conv.py) on a list: extend a short input on the right, reflect once, cut that off."""
    widest, extra = max(left, right), 0
    if len(samples) <= widest:
        extra = widest - len(samples) + 1
        samples = samples + [value] * extra
    before = [samples[left - n] for n in range(left)]
    after = [samples[len(samples) - 2 - n] for n in range(right)]
    whole = before + samples + after
    return whole[: len(whole) - extra]


@QUICK
@given(st.integers(0, 20), st.integers(0, 40), st.integers(0, 40))
@example(0, 3, 2)
@example(1, 1, 0)
def test_zero_extend_is_encodecs_pad1d(length, left, right):
    """Reflect with ``zero-extend`` gives EnCodec's samples, for an empty input too."""
    assert padded(choice_of("reflect", "zero-extend"), numbered(length), left, right) == pad1d(numbered(length), left, right)


LIMITS = {"reflect": (0, 1, 2, 3), "symmetric": (1, 2, 3, 4), "circular": (1, 2, 3, 4)}  # for lengths 1, 2, 3, 4


@pytest.mark.parametrize("side", [0, 1])
@pytest.mark.parametrize("mode", LIMITS)
def test_limits(mode, side):
    """The widest pad is taken on either side, one more is refused; the sentence holds both numbers, the default is ``error``."""
    assert cp.padding_modes()[mode].params["overflow"].default == "error"
    for length, limit in enumerate(LIMITS[mode], 1):
        assert cp.padding_modes()[mode].limit(length) == limit
        pads = [0, 0]
        pads[side] = limit
        check_pads(choice_of(mode), mode, length, *pads)
        pads[side] = limit + 1
        with pytest.raises(cp.ConvPolicyError, match=f"at most {limit} for length {length}, the plan needs {limit + 1};"):
            padded(choice_of(mode), numbered(length), *pads)


def test_an_empty_input():
    """Zeros and a constant need no sample; the others have none to repeat and say so, unless they extend it by zeros."""
    assert padded(Choice("zeros"), [], 2, 1) == [0.0, 0.0, 0.0]
    assert padded(choice_of("constant"), [], 2, 1) == [VALUE] * 3
    for mode in ("replicate", *MIRRORS):
        assert padded(choice_of(mode, "zero-extend"), [], 2, 1) == [0.0, 0.0, 0.0]
        for overflow in ("error", "periodic"):
            with pytest.raises(ValueError, match="reaches at most 0 for length 0, the plan needs 2"):
                padded(choice_of(mode, overflow), [], 2, 1)


def test_zero_extend_serves_any_map():
    """What was appended is constant even under a plugin's map that would put a sample there; the map is read beyond it."""
    mode = cp.PaddingMode("last", lambda at, length: np.where(at < 0, length - 1, length - 3), limit=lambda length: length - 1)
    words = {"overflow": "zero-extend"}
    # 12 is extended to 12000 for pads of 4: left repeats the last 0, right is 000 and then the third from the end, another 0
    assert [mode.side(side, 4, 2, words).sources for side in ("left", "right")] == [(-1,) * 4] * 2
    # 123 is extended to 1230 for pads of 0 and 3: the third from the end is the 2
    assert mode.side("left", 0, 3, words, 3).sources == ()
    assert mode.side("right", 3, 3, words, 3).sources == (-1, 1, 1)


# -- the drawing in each mode's sentence ----------------------------------------------------------------------------------

DRAWING = re.compile(r"(\d+), left (\d+), right (\d+) -> ([\dv]*)\|(\d+)\|([\dv]*)\.")


def check_drawing(mode):
    """Assert that a layer that copies its input pads it as the drawing in the mode's description says."""
    digits, left, right, before, inner, after = DRAWING.search(mode.description).groups()
    assert (digits, int(left), int(right)) == (inner, len(before), len(after))
    words = {"value": VALUE} if mode.name == "constant" else {"left": "reflect", "right": "zeros"} if mode.is_per_side else {}
    chosen = Choice(mode.name, **words)
    copy = cp.Conv1d(1, 1, 1, padding=(int(left), int(right)), padding_mode=chosen, weight_init=1.0, bias=False)
    drawn = [VALUE if sign == "v" else float(sign) for sign in before + inner + after]
    assert copy(np.array([[float(digit) for digit in digits]], dtype="float32")).tolist() == [drawn]


@pytest.mark.parametrize("mode", [*MODES, "per_side"])
def test_the_drawing_is_what_the_mode_does(mode):
    """Every built-in mode draws itself in its description, and a layer with that mode pads so."""
    check_drawing(cp.padding_modes()[mode])


@pytest.mark.parametrize(
    ("mode", "drawing"),
    [
        ("reflect", "1234, left 2, right 2 -> 21|1234|43."),
        ("circular", "1234, left 2, right 2 -> 43|1234|21."),
        ("replicate", "1234, left 2, right 2 -> 44|1234|11."),
        ("zeros", "1234, left 2, right 2 -> vv|1234|vv."),
        ("constant", "1234, left 2, right 2 -> 00|1234|00."),
        ("reflect", "1234, left 2, right 1 -> 32|1234|32."),
        ("reflect", "1234, left 2, right 2 -> 32|1235|32."),
        ("odd", "4556, left 2, right 2 -> 34|4556|67."),
        ("extrapolate", "4556, left 2, right 2 -> 33|4556|77."),
    ],
)
def test_a_wrong_drawing_is_noticed(mode, drawing):
    """The check above can fail: another mode's drawing, swapped sides or another count is refused."""
    part = cp.padding_modes()[mode]
    with pytest.raises(AssertionError):
        check_drawing(attrs.evolve(part, description=drawing))


@pytest.mark.parametrize("outside", [-2, 4, 5])
def test_a_map_that_leaves_the_input_is_refused(outside):
    """A plugin's index map that points below -1 or beyond the input names its plugin, its range and what it gave."""
    mode = cp.PaddingMode("astray", lambda positions, length: np.full_like(positions, outside), provider="somebody")
    with pytest.raises(cp.ConvPolicyError, match=rf"'astray' \(somebody\) must return integers in \[0, 4\) or -1.*\[{outside}, "):
        mode.side("left", 2, 4, {})


def test_a_limit_that_never_reaches_is_the_plugins_fault():
    """overflow='zero-extend' ends, in a sentence that names the mode, where the limit does not grow."""
    mode = cp.PaddingMode("stuck", lambda positions, length: positions % length, limit=lambda length: 2)
    with pytest.raises(
        cp.ConvPolicyError, match=r"padding mode 'stuck' .* must have a limit that grows with the length, got 2 for"
    ):
        mode.side("left", 3, 5, {"overflow": "zero-extend"})


# -- modes that compute, against NumPy's and SciPy's own ------------------------------------------------------------------

NUMPYS = {  # mode -> the words of numpy.pad
    "odd": {"mode": "reflect", "reflect_type": "odd"},
    "odd_symmetric": {"mode": "symmetric", "reflect_type": "odd"},
    "linear_ramp": {"mode": "linear_ramp", "end_values": VALUE},
}
FOLDS_RIGHT = int(np.__version__.split(".")[0]) >= 2  # NumPy 1 folds an odd reflection otherwise


@pytest.mark.parametrize("mode", NUMPYS)
def test_numpy_pads_alike(mode):
    """Random signals of every length to 6 and pads to 12, beyond one fold where NumPy has it right: within rounding of the sums."""
    draw = np.random.default_rng(0)
    for length, left, right in itertools.product(range(1, 7), range(0, 13, 2), (0, 1, 5, 12)):
        reach = {"odd": length - 1, "odd_symmetric": length}.get(mode, 99)
        if max(left, right) > reach and not FOLDS_RIGHT:
            continue
        signal = draw.standard_normal(length)
        chosen = choice_of(mode, "periodic")
        elements = reference.elements(signal.tolist(), left, right, mode, **dict(chosen.params))
        bound = 2 * reference.tolerance("float64", reference.SUM_ROUNDINGS + 2 * (left + right), np.array(elements)[:, 1])
        expected = np.pad(signal, (left, right), **NUMPYS[mode])
        assert (np.abs(plan_of(chosen, length, left, right).padded(signal[None])[0] - expected) <= bound).all(), (
            length,
            left,
            right,
        )


@pytest.mark.needs("scipy")
def test_scipy_extends_alike():
    """`odd` is scipy.signal's odd extension to the bit, at every width that it allows; `extrapolate` is interp1d's line."""
    from scipy.interpolate import interp1d
    from scipy.signal._arraytools import odd_ext

    draw = np.random.default_rng(1)
    for length in range(2, 9):
        signal = draw.standard_normal(length)
        for pad in range(length):
            assert (plan_of("odd", length, pad, pad).padded(signal[None])[0] == odd_ext(signal, pad)).all()
        line = interp1d(np.arange(length), signal, fill_value="extrapolate")(np.arange(-5, length + 5))
        elements = np.array(reference.elements(signal.tolist(), 5, 5, "extrapolate"))
        bound = 2 * reference.tolerance("float64", reference.SUM_ROUNDINGS, elements[:, 1])
        assert (np.abs(plan_of("extrapolate", length, 5, 5).padded(signal[None])[0] - line) <= bound).all()
