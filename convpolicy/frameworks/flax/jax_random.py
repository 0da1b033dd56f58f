"""``jax.random`` in NumPy: keys, random bits and uniform numbers, with the default of JAX since 0.5, ``jax_threefry_partitionable``."""

from __future__ import annotations

import functools
import math

import numpy as np

from convpolicy.bits.float32 import F32, FRACTION_BITS, fma, number, room, times_plus
from convpolicy.bits.pieces import Shape, Values, chunks
from convpolicy.bits.threefry import Key, Words, encrypt

WORD = 0xFFFFFFFF
USED_BITS = {
    "float32": 32,
    "float16": 16,
    "bfloat16": 8,
}  # lowest bits of a 32-bit integer that are used; the fraction is at their top
CHUNK = 1 << 14


def key_of(seed: int) -> Key:
    """Return ``jax.random.PRNGKey(seed)`` in 32-bit mode: the low 32 bits of the seed."""
    return 0, seed & WORD


def fold_in(key: Key, data: int) -> Key:
    """Return ``jax.random.fold_in(key, data)``."""
    first, second = encrypt(key, np.zeros(1, np.uint32), np.array([data & WORD], np.uint32))
    return int(first[0]), int(second[0])


def bits(key: Key, start: int, stop: int) -> Words:
    """Return the random 32-bit integers of the elements from ``start`` to ``stop`` of an array, in C order."""
    number = np.arange(start, stop, dtype=np.uint64)
    first, second = encrypt(key, (number >> np.uint64(32)).astype(np.uint32), number.astype(np.uint32))
    return first ^ second


def uniform(key: Key, shape: Shape, low: float, high: float, dtype: str = "float32") -> Values:
    """Return ``jax.random.uniform(key, shape, dtype, low, high)`` as XLA compiles it for the CPU.

    float32 uses one fused multiply-add; 16-bit dtypes are rounded after each operation.
    """
    first, last = number(low, dtype), number(high, dtype)
    span = number(last - first, dtype)
    multiply_add = fma if dtype == "float32" else functools.partial(times_plus, dtype=dtype)
    fraction_bits, used_bits = FRACTION_BITS[dtype], USED_BITS[dtype]
    values = room(math.prod(shape), dtype)
    for part in chunks(values.size, CHUNK):
        integers = (bits(key, part.start, part.stop) & np.uint32(2**used_bits - 1)) >> np.uint32(used_bits - fraction_bits)
        fractions = integers.astype(F32) * F32(2.0**-fraction_bits)
        values[part] = np.maximum(first, multiply_add(fractions, span, first))
    return values.reshape(shape)
