"""The float32 logarithm of the GNU C library: evaluated in float64 and rounded once."""

from __future__ import annotations

import numpy as np

from convpolicy.bits.float32 import Singles

# 1/c and log(c) for a centre c of each of 16 intervals (ARM optimized routines, MIT licence; glibc 2.28 and later)
INVERSES = np.array([float.fromhex(text) for text in (
    "0x1.661ec79f8f3bep+0", "0x1.571ed4aaf883dp+0", "0x1.49539f0f010bp+0", "0x1.3c995b0b80385p+0", "0x1.30d190c8864a5p+0",
    "0x1.25e227b0b8eap+0", "0x1.1bb4a4a1a343fp+0", "0x1.12358f08ae5bap+0", "0x1.0953f419900a7p+0", "0x1p+0",
    "0x1.e608cfd9a47acp-1", "0x1.ca4b31f026aap-1", "0x1.b2036576afce6p-1", "0x1.9c2d163a1aa2dp-1", "0x1.886e6037841edp-1",
    "0x1.767dcf5534862p-1",
)])  # fmt: skip
LOGARITHMS = np.array([float.fromhex(text) for text in (
    "-0x1.57bf7808caadep-2", "-0x1.2bef0a7c06ddbp-2", "-0x1.01eae7f513a67p-2", "-0x1.b31d8a68224e9p-3", "-0x1.6574f0ac07758p-3",
    "-0x1.1aa2bc79c81p-3", "-0x1.a4e76ce8c0e5ep-4", "-0x1.1973c5a611cccp-4", "-0x1.252f438e10c1ep-5", "0x0p+0",
    "0x1.aa5aa5df25984p-5", "0x1.c5e53aa362eb4p-4", "0x1.526e57720db08p-3", "0x1.bc2860d22477p-3", "0x1.1058bc8a07ee1p-2",
    "0x1.4043057b6ee09p-2",
)])  # fmt: skip
LN_2 = float.fromhex("0x1.62e42fefa39efp-1")
CUBIC = tuple(float.fromhex(text) for text in ("-0x1.00ea348b88334p-2", "0x1.5575b0be00b6ap-2", "-0x1.ffffef20a4123p-2"))
OFFSET = np.int32(0x3F330000)


def logf(x: Singles) -> Singles:
    """Return the natural logarithm of positive normal float32 numbers, bit-identical to ``logf``."""
    bits = np.ascontiguousarray(x, np.float32).view(np.int32)
    shifted = bits - OFFSET
    interval = (shifted >> np.int32(19)) & np.int32(15)
    exponent = shifted >> np.int32(23)
    scaled = (bits - (shifted & np.int32(-(1 << 23)))).view(np.float32).astype(np.float64)
    r = scaled * INVERSES[interval] - 1.0
    base = LOGARITHMS[interval] + exponent * LN_2
    square = r * r
    tail = CUBIC[0] * square + (CUBIC[1] * r + CUBIC[2])
    result: Singles = (tail * square + (base + r)).astype(np.float32)
    return result
