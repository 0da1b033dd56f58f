"""float32 arithmetic that rounds once, like a fused multiply-add unit, and rounding to 16-bit dtypes."""

from __future__ import annotations

import math
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Singles: TypeAlias = "NDArray[np.float32]"
Doubles: TypeAlias = "NDArray[np.float64]"
F32 = np.float32
FRACTION_BITS = {"float32": 23, "float16": 10, "bfloat16": 7}  # bits of the mantissa after its leading one
_BELOW_SINGLE = 0x1FFFFFFF  # the last 29 bits of a float64, which a float32 lacks
_HALFWAY = 0x10000000  # the value of these bits at a tie between two float32 numbers
_SMALLEST_NORMAL = 2.0**-126


def fma(a: Any, b: Any, c: Any) -> Singles:
    """Return ``a * b + c`` of float32 values, rounded once."""
    # both are cast: NumPy 1 would compute an array times a scalar in the dtype of the array
    return rounded_sum(np.asarray(a, np.float64) * np.asarray(b, np.float64), c)


def affine(whole: NDArray[np.uint32], scale: float, offset: Any, out: Singles, most: int | None = None) -> None:
    """Write ``whole * scale + offset`` into ``out``, rounded once.

    Args:
        whole: integers below 2**24, or below 2**32 if ``scale`` has few enough bits.
        scale: a float32 times a power of two, so that the product is exact in float64.
        offset: a float32 number.
        out: float32 array of the same shape.
        most: upper bound of the integers; None computes their maximum.
    """
    product = np.multiply(whole, scale)
    if _sum_is_exact(scale, float(offset), float(whole.max(initial=0) if most is None else most)):
        np.add(product, offset, out=product)
        out[...] = product
    else:
        out[...] = rounded_sum(product, offset)


def _sum_is_exact(scale: float, offset: float, most: float) -> bool:
    """Return True if ``n * scale + offset`` is exact in float64 for every n up to ``most``: all are multiples of one unit."""
    mantissa, exponent = math.frexp(scale)
    unit = math.ldexp(1.0, exponent - 24)  # value of the last of the 24 bits of a float32
    widest = abs(scale) * most + abs(offset)
    return mantissa != 0 and math.fmod(offset, unit) == 0 and unit > _SMALLEST_NORMAL and widest < unit * 2**53


def rounded_sum(product: Doubles, c: Any) -> Singles:
    """Return ``product + c`` as float32, rounded once; ``product`` is float64 and ``c`` is float32.

    NumPy rounds the sum to float64. Rounding that again to float32 is wrong only if the first rounding produced a tie. For
    those elements the sum is computed again with rounding to odd (Boldo & Melquiond, 2008).
    """
    total = np.asarray(product + c)
    doubtful = (total.view(np.int64) & _BELOW_SINGLE) == _HALFWAY
    if np.abs(total).min(initial=1.0) < _SMALLEST_NORMAL:
        doubtful |= np.abs(total) < _SMALLEST_NORMAL  # float32 has fewer bits there
    if doubtful.any():
        addend = np.broadcast_to(np.asarray(c, np.float64), total.shape)[doubtful]
        total[doubtful] = _sum_to_odd(product[doubtful], addend)
    return total.astype(F32)


def _sum_to_odd(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    total, error = _two_sum(a, b)
    bits = total.view(np.int64)
    away = np.where((error > 0) == (total > 0), 1, -1)
    odd = np.where((error != 0) & (bits & 1 == 0), bits + away, bits)
    return odd.view(np.float64)


def fma64(a: Any, b: Any, c: float) -> Doubles:
    """Return ``a * b + c`` of float64 values, rounded once (Boldo & Melquiond, 2008, algorithm Fma)."""
    product = np.multiply(a, b)
    rest = _product_error(a, b, product)
    low, low_rest = _two_sum(np.asarray(c, np.float64), rest)
    high, high_rest = _two_sum(product, low)
    nearest: Doubles = high + _sum_to_odd(low_rest, high_rest)
    return nearest


def _product_error(a: Any, b: Any, product: Doubles) -> Doubles:
    """Return the exact rounding error of ``a * b`` (Dekker)."""
    (a_high, a_low), (b_high, b_low) = _halves(a), _halves(b)
    error: Doubles = a_low * b_low - (((product - a_high * b_high) - a_low * b_high) - a_high * b_low)
    return error


def _halves(a: Any) -> tuple[Any, Any]:
    scaled = a * 134217729.0  # 2**27 + 1
    high = scaled - (scaled - a)
    return high, a - high


def _two_sum(a: Doubles, b: Doubles) -> tuple[Doubles, Doubles]:
    """Return the rounded sum and its exact rounding error (Knuth)."""
    total = a + b
    back = total - a
    return total, (a - (total - back)) + (b - back)


def horner(x: Singles, coefficients: Any) -> Singles:
    """Evaluate a polynomial with fused multiply-adds; the highest coefficient comes first."""
    value: Any = F32(coefficients[0])
    for coefficient in coefficients[1:]:
        value = fma(value, x, F32(coefficient))
    return np.asarray(value, dtype=F32)


def rounded(values: Any, dtype: str) -> NDArray[Any]:
    """Round to a dtype, ties to even, as every framework casts; bfloat16 values are returned as float32."""
    if dtype != "bfloat16":
        return np.asarray(values, dtype)
    bits = np.asarray(values, F32).view(np.uint32)
    return ((bits + np.uint32(0x7FFF) + (bits >> np.uint32(16) & np.uint32(1))) & np.uint32(0xFFFF0000)).view(F32)


def to_bfloat16(values: Singles) -> NDArray[np.uint16]:
    """Return the bits of float32 numbers cast to bfloat16, ties to even; every NaN becomes a quiet NaN."""
    bits = values.view(np.uint32)
    return np.where(np.isnan(values), (bits >> 16) | 0x40, rounded(values, "bfloat16").view(np.uint32) >> 16).astype(np.uint16)


def from_bfloat16(bits: NDArray[Any]) -> Singles:
    """Return bfloat16 numbers, passed as their bits, as float32."""
    return (bits.astype(np.uint32) << 16).view(F32)


def computed(dtype: str) -> type[np.floating[Any]]:
    """Return the type in which frameworks compute with a dtype: float32 for the 16-bit dtypes."""
    return np.float64 if dtype == "float64" else F32


def number(value: Any, dtype: str) -> np.floating[Any]:
    """Return one number as an element of a framework's tensor of a dtype; it is rounded to float32 first, except for float64."""
    kind = computed(dtype)
    return kind(rounded(kind(value), dtype))


def room(count: int, dtype: str) -> NDArray[Any]:
    """Return an empty array for ``count`` numbers of a dtype, in the form that `rounded` returns."""
    return np.empty(count, F32 if dtype == "bfloat16" else dtype)


def times(values: Any, factor: Any, dtype: str) -> NDArray[Any]:
    """Return ``values * factor``, rounded to a dtype before and after, as frameworks round tensors.

    Args:
        values: array of any floating-point dtype.
        factor: number of the type that `computed` returns.
        dtype: name of the dtype to round to.
    """
    return rounded(rounded(values, dtype).astype(computed(dtype), copy=False) * factor, dtype)


def times_plus(values: Any, factor: Any, offset: Any, dtype: str) -> NDArray[Any]:
    """Return ``values * factor + offset``, rounded to a dtype after each operation; see `times`."""
    return rounded(times(values, factor, dtype).astype(computed(dtype), copy=False) + offset, dtype)
