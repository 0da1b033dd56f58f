"""MLX's random numbers in NumPy, as MLX 0.32 computes them on the CPU of x86-64 Linux.

Source: mlx/random.cpp, mlx/backend/cpu/primitives.cpp (RandomBits), mlx/backend/cpu/simd/math.h (erf, erfinv, exp).
"""

from __future__ import annotations

import math
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from convpolicy.bits.float32 import fma, number, room, times, times_plus
from convpolicy.bits.logf import logf
from convpolicy.bits.threefry import encrypt

Key: TypeAlias = "tuple[int, int]"
Shape: TypeAlias = "tuple[int, ...]"
Values: TypeAlias = "NDArray[Any]"

F32 = np.float32
MASK_32 = 0xFFFFFFFF
CHUNK = 1 << 14  # values computed at a time, so that they stay in the cache
LARGEST_BELOW_ONE = {"float32": 1 - 2.0**-24, "float16": 1 - 2.0**-11, "bfloat16": 1 - 2.0**-8}
TAIL_FROM = F32(6.125)  # where |log(1 - x²)| is larger, erfinv uses the polynomial of the tail
TAIL = (
    3.03697567e-10, 2.93243101e-8, 1.22150334e-6, 2.84108955e-5, 3.93552968e-4, 3.02698812e-3, 4.83185798e-3, -2.64646143e-1,
    8.40016484e-1,
)  # fmt: skip
CENTRE = (
    5.43877832e-9, 1.43285448e-7, 1.22774793e-6, 1.12963626e-7, -5.61530760e-5, -1.47697632e-4, 2.31468678e-3, 1.15392581e-2,
    -2.32015476e-1, 8.86226892e-1,
)  # fmt: skip
ERF = (1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592)
EXP = (
    1.535336188319500e-4, 1.339887440266574e-3, 9.618437357674640e-3, 5.550332471162809e-2, 2.402264791363012e-1,
    6.931472028550421e-1, 1.0,
)  # fmt: skip


def key_of(seed: int) -> Key:
    """Return ``mx.random.key(seed)``: the high and the low 32 bits of the seed."""
    return seed >> 32 & MASK_32, seed & MASK_32


def split(key: Key) -> tuple[Key, Key]:
    """Return the two keys of ``mx.random.split(key)``."""
    first, second, third, fourth = (int(part) for part in bits(key, 4))
    return (first, second), (third, fourth)


def bits(key: Key, count: int) -> NDArray[np.uint32]:
    """Return ``mx.random.bits((count,), key=key)``.

    Each counter encrypts to two integers, one for each half of the array. An array of odd length has one more, in the middle.
    """
    half, odd = divmod(count, 2)
    integers = np.empty(count, np.uint32)
    for start in range(0, half, CHUNK):
        first = np.arange(start, min(start + CHUNK, half), dtype=np.uint32)
        second = first + np.uint32(half + odd)
        integers[first[0] : first[-1] + 1], integers[second[0] : second[-1] + 1] = encrypt(key, first, second)
    if odd:
        integers[half] = encrypt(key, np.array([half], np.uint32), np.zeros(1, np.uint32))[0][0]
    return integers


def uniform(key: Key, shape: Shape, low: float, high: float, dtype: str = "float32") -> Values:
    """Return ``mx.random.uniform(low, high, shape, dtype, key)``.

    Args:
        key: two 32-bit integers.
        shape: shape of the array.
        low, high: bounds.
        dtype: ``"float32"``, ``"float16"`` or ``"bfloat16"``; each operation is rounded to it.

    Returns:
        An array of the dtype; bfloat16 numbers come as float32.
    """
    first = number(low, dtype)
    span = number(number(high, dtype) - first, dtype)
    integers = bits(key, math.prod(shape))
    values = room(integers.size, dtype)
    most = F32(LARGEST_BELOW_ONE[dtype])
    for start in range(0, integers.size, CHUNK):
        part = slice(start, start + CHUNK)
        fractions = np.minimum(integers[part].astype(F32) * F32(2.0**-32), most)
        values[part] = times_plus(fractions, span, first, dtype)
    return values.reshape(shape)


def normal(key: Key, shape: Shape, mean: float, std: float, dtype: str = "float32") -> Values:
    """Return ``mx.random.normal(shape, dtype, mean, std, key)``; see `uniform` for the arguments."""
    scale = number(number(math.sqrt(2), dtype) * number(std, dtype), dtype)
    offset = number(mean, dtype)
    fractions = uniform(key, shape, -(1 - 2.0**-24), 1.0).reshape(-1)
    values = room(fractions.size, dtype)
    for start in range(0, fractions.size, CHUNK):
        part = slice(start, start + CHUNK)
        values[part] = times_plus(erfinv(fractions[part]), scale, offset, dtype)
    return values.reshape(shape)


def truncated_normal(key: Key, shape: Shape, lower: float, upper: float, dtype: str = "float32") -> Values:
    """Return ``mx.random.truncated_normal(lower, upper, shape, dtype, key)``; see `uniform` for the other arguments."""
    root = number(math.sqrt(2), dtype)
    least, most = number(lower, dtype), number(upper, dtype)
    bounds = [number(_erf(F32(number(bound / root, dtype))), dtype) for bound in (least, most)]
    values = uniform(key, shape, float(bounds[0]), float(bounds[1]), dtype)
    flat = values.reshape(-1)
    for start in range(0, flat.size, CHUNK):
        part = slice(start, start + CHUNK)
        normals = times(erfinv(flat[part].astype(F32, copy=False)), root, dtype)
        flat[part] = np.maximum(np.minimum(most, normals), least)
    return values


def erfinv(x: Values) -> Values:
    """Return ``mx.erfinv`` of float32 numbers in the open interval (-1, 1)."""
    logarithm = logf(fma(x, -x, F32(1)))
    values = _polynomial(logarithm, CENTRE)
    tail = np.abs(logarithm) > TAIL_FROM
    values[tail] = _polynomial(logarithm[tail], TAIL)
    values *= x
    return values


def _polynomial(x: Values, coefficients: tuple[float, ...]) -> Values:
    value = np.full_like(x, coefficients[0])
    for coefficient in coefficients[1:]:
        value = fma(value, x, F32(coefficient))
    return value


def _erf(x: np.float32) -> np.float32:
    """Return ``mx.erf`` of one float32 number."""
    t = F32(1) / fma(F32(0.3275911), np.abs(x), F32(1))
    r = _polynomial(np.array(t), ERF)
    e = -_exp(-x * x)
    value = F32(fma(F32(e * t), r, F32(1)))
    return value if x > 0 else -value


def _exp(x: np.float32) -> np.float32:
    """Return ``mx.exp`` of one non-positive float32 number."""
    if x < -88:
        return F32(0)
    power = F32(x * F32(1.442695))
    whole = F32(math.floor(float(power) + 0.5))
    value = _polynomial(np.array(F32(power - whole)), EXP)
    return F32(F32(2.0 ** int(whole)) * F32(value))
