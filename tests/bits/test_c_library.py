"""The C library's float32 functions that frameworks call, against the machine's own libm: every bit."""

from __future__ import annotations

import ctypes
import ctypes.util
import platform

import numpy as np
import pytest

from convpolicy.bits.logf import logf
from convpolicy.bits.trigf import sincosf

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the functions are those of the GNU C library")
FRACTIONS = np.arange(0, 2**23, 17, dtype=np.uint32).astype(np.float32) * np.float32(2.0**-23)  # 493 448 of TensorFlow's 2**23
ANGLES = (2.0 * np.pi * FRACTIONS.astype(np.float64)).astype(np.float32)
FAR = np.random.RandomState(0).uniform(0, 120, 100_000).astype(np.float32)


def of_libm(name: str, values: np.ndarray) -> np.ndarray:
    """The function of the C library of every value."""
    function = getattr(ctypes.CDLL(ctypes.util.find_library("m")), name)
    function.restype, function.argtypes = ctypes.c_float, [ctypes.c_float]
    return np.fromiter(map(function, values.tolist()), np.float32, len(values))


@pytest.mark.parametrize(
    ("name", "own", "values"),
    [
        ("logf", logf, np.maximum(FRACTIONS, np.float32(1e-7))),
        ("sinf", lambda angle: sincosf(angle)[0], ANGLES),
        ("cosf", lambda angle: sincosf(angle)[1], ANGLES),
        ("sinf", lambda angle: sincosf(angle)[0], FAR),
        ("cosf", lambda angle: sincosf(angle)[1], FAR),
    ],
)
def test_a_function_is_the_c_librarys(name, own, values):
    """On every seventeenth argument that TensorFlow can come to, and on angles up to the end of the range."""
    assert own(values).tobytes() == of_libm(name, values).tobytes()
