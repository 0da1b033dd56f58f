"""``jax.random`` with NumPy alone: keys, words and uniform numbers, in the layout that JAX takes by default since 0.5."""

from __future__ import annotations

import functools
import math

import numpy as np

from convpolicy.bits.float32 import F32, FRACTION_BITS, fma, number, room, times_plus
from convpolicy.bits.pieces import Shape, Values, chunks
from convpolicy.bits.threefry import Key, Words, encrypt

WORD = 0xFFFFFFFF
TAKEN_BITS = {"float32": 32, "float16": 16, "bfloat16": 8}  # of a word, the lowest; the fraction is at their top
CHUNK = 1 << 14


def key_of(seed: int) -> Key:
    """Return ``jax.random.PRNGKey(seed)`` in 32-bit mode: the low 32 bits of the seed."""
    return 0, seed & WORD


def fold_in(key: Key, data: int) -> Key:
    """Return ``jax.random.fold_in(key, data)``."""
    first, second = encrypt(key, np.zeros(1, np.uint32), np.array([data & WORD], np.uint32))
    return int(first[0]), int(second[0])


def bits(key: Key, start: int, stop: int) -> Words:
    """Return the random words of elements ``start`` to ``stop`` of an array, in C order."""
    number = np.arange(start, stop, dtype=np.uint64)
    first, second = encrypt(key, (number >> np.uint64(32)).astype(np.uint32), number.astype(np.uint32))
    return first ^ second


def uniform(key: Key, shape: Shape, low: float, high: float, dtype: str = "float32") -> Values:
    """Return ``jax.random.uniform(key, shape, dtype, low, high)`` as XLA compiles it for the CPU.

    float32 takes one fused multiply-add; 16 bits are rounded after each operation.
    """
    first, last = number(low, dtype), number(high, dtype)
    span = number(last - first, dtype)
    multiply_add = fma if dtype == "float32" else functools.partial(times_plus, dtype=dtype)
    fraction_bits, taken = FRACTION_BITS[dtype], TAKEN_BITS[dtype]
    values = room(math.prod(shape), dtype)
    for part in chunks(values.size, CHUNK):
        words = (bits(key, part.start, part.stop) & np.uint32(2**taken - 1)) >> np.uint32(taken - fraction_bits)
        fractions = words.astype(F32) * F32(2.0**-fraction_bits)
        values[part] = np.maximum(first, multiply_add(fractions, span, first))
    return values.reshape(shape)
