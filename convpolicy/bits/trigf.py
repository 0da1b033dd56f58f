"""The float32 sine and cosine of the GNU C library: evaluated in float64 and rounded once."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from convpolicy.bits.float32 import F32, Doubles, Singles

# polynomials on [-π/4, π/4] and π/2 (ARM optimized routines, MIT licence; glibc 2.28 and later)
SINE = tuple(float.fromhex(text) for text in ("-0x1.555545995a603p-3", "0x1.1107605230bc4p-7", "-0x1.994eb3774cf24p-13"))
COSINE = tuple(float.fromhex(text) for text in (
    "-0x1.ffffffd0c621cp-2", "0x1.55553e1068f19p-5", "-0x1.6c087e89a359dp-10", "0x1.99343027bf8c3p-16",
))  # fmt: skip
QUARTER_TURN = float.fromhex("0x1.921fb54442d18p+0")
PER_QUARTER_TURN = float.fromhex("0x1.45f306dc9c883p+23")  # 2**24 / QUARTER_TURN
EIGHTH_TURN = F32(math.pi / 4)


def sincosf(angle: Singles) -> tuple[Singles, Singles]:
    """Return sine and cosine of float32 angles in [0, 120), bit-identical to ``sinf``, ``cosf`` and ``sincosf``.

    The C library returns an angle below 2**-12 as its sine. Here the rounded polynomial has the same value.
    """
    wide = angle.astype(np.float64)
    turns = ((wide * PER_QUARTER_TURN).astype(np.int32) + 0x800000) >> 24
    turns[angle < EIGHTH_TURN] = 0
    sine, cosine = _polynomials(wide - turns * QUARTER_TURN)
    is_odd = (turns & 1).astype(bool)
    return _rotated(is_odd, cosine, sine, turns & 2), _rotated(is_odd, sine, cosine, (turns + 1) & 2)


def _polynomials(r: Doubles) -> tuple[Doubles, Doubles]:
    """Return sine and cosine of angles in radians, of at most an eighth of a turn either way."""
    square = r * r
    cube, fourth = r * square, square * square
    sine = (r + cube * SINE[0]) + (cube * square) * (SINE[1] + square * SINE[2])
    cosine = ((1.0 + square * COSINE[0]) + fourth * COSINE[1]) + (fourth * square) * (COSINE[2] + square * COSINE[3])
    return sine, cosine


def _rotated(is_odd: NDArray[np.bool_], at_odd: Doubles, at_even: Doubles, minus: NDArray[np.int32]) -> Singles:
    """Return the values after an odd or even number of quarter turns, with their sign."""
    values = np.where(is_odd, at_odd, at_even)
    return np.where(minus, -values, values).astype(F32)
