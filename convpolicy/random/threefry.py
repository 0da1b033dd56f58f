"""Threefry2x32-20, the counter-based generator of JAX (Salmon et al., 2011), in the layout that JAX takes by default since 0.5."""

from __future__ import annotations

import math
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from convpolicy.random.float32 import F32, Singles, fma
from convpolicy.random.stream import Shape, chunks

Words: TypeAlias = "NDArray[np.uint32]"
Key: TypeAlias = "tuple[int, int]"

ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
PARITY = 0x1BD11BDA
WORD = 0xFFFFFFFF
CHUNK = 1 << 14


def encrypt(key: Key, first: Words, second: Words) -> tuple[Words, Words]:
    """Return the two output words of counters ``(first, second)`` under a key of two words."""
    keys = [np.uint32(word) for word in (*key, key[0] ^ key[1] ^ PARITY)]
    x0, x1 = first + keys[0], second + keys[1]
    for group in range(5):
        for rotation in ROTATIONS[group % 2]:
            x0 = x0 + x1
            x1 = (x1 << np.uint32(rotation)) | (x1 >> np.uint32(32 - rotation))
            x1 = x1 ^ x0
        x0 = x0 + keys[(group + 1) % 3]
        x1 = x1 + keys[(group + 2) % 3] + np.uint32(group + 1)
    return x0, x1


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


def uniform(key: Key, shape: Shape, low: float, high: float) -> Singles:
    """Return ``jax.random.uniform(key, shape, float32, low, high)`` as XLA compiles it for the CPU: one fused multiply-add."""
    first, last = F32(low), F32(high)
    span = F32(last - first)
    values = np.empty(math.prod(shape), F32)
    for part in chunks(values.size, CHUNK):
        fractions = (bits(key, part.start, part.stop) >> np.uint32(9) | np.uint32(0x3F800000)).view(F32) - F32(1)
        values[part] = np.maximum(first, fma(fractions, span, first))
    return values.reshape(shape)
