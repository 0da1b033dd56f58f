"""TensorFlow's stateless random ops: Philox words by element number, and Box-Muller with the C library's functions."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np

from convpolicy.bits import philox
from convpolicy.bits.float32 import F32, FRACTION_BITS, computed, number, room, times_plus
from convpolicy.bits.logf import logf
from convpolicy.bits.pieces import Shape, Values, chunks, each
from convpolicy.bits.trigf import sincosf
from convpolicy.parts.stream import Stream

CHUNK = 1 << 15  # elements worked on at a time, to stay in the cache; a multiple of a block's words
DERIVATION_KEY = (0x3EC8F720, 0x02461E29)
LEAST = 1e-7  # logarithms are taken from here on
CUT = 2.0
RESERVED = 256  # words set aside for each element of a truncated normal


class TensorflowStream(Stream):
    """``tf.random.stateless_uniform``, ``_normal`` and ``_truncated_normal`` with the seed ``(seed, 0)``: every draw begins anew.

    Exact against TensorFlow 2.21 on x86-64 with glibc 2.36; the normal laws rest on its ``logf`` and ``sincosf``, in float64 on
    those of the C library that Python runs on.
    Source: tensorflow/core/lib/random/random_distributions.h, tensorflow/core/kernels/random_op_cpu.h.
    """

    name: ClassVar[str] = "tensorflow"
    dtypes: ClassVar[tuple[str, ...]] = ("float32", "float64", "float16", "bfloat16")

    def __init__(self, seed: int) -> None:
        first, second, third, fourth = philox.block(DERIVATION_KEY, (seed, 0, 0, 0))
        self._key, self._high = (first, second), (third, fourth)

    def uniform(self, shape: Shape, low: float, high: float, dtype: str = "float32") -> Values:
        """One word per element, two for float64; the bounds come as float32 whatever the dtype."""
        first, last = (number(F32(bound), dtype) for bound in (low, high))
        span = number(last - first, dtype)
        values = room(math.prod(shape), dtype)
        per_element = 2 if dtype == "float64" else 1
        for part in chunks(values.size, CHUNK):
            words = self._words(part, per_element)
            values[part] = times_plus(_fractions(words, dtype), span, first, dtype)
        return values.reshape(shape)

    def normal(self, shape: Shape, mean: float, std: float, dtype: str = "float32") -> Values:
        """Box-Muller on pairs of fractions; 16-bit dtypes round what float32 gives."""
        offset, factor = number(mean, dtype), number(std, dtype)
        values = room(math.prod(shape), dtype)
        per_element = 2 if dtype == "float64" else 1
        for part in chunks(values.size, CHUNK):
            even = slice(part.start, part.stop + part.stop % 2)
            normals = _box_muller(self._words(even, per_element), dtype)[: part.stop - part.start]
            values[part] = times_plus(normals, factor, offset, dtype)
        return values.reshape(shape)

    def truncated_normal(
        self, shape: Shape, mean: float, std: float, lower: float, upper: float, dtype: str = "float32"
    ) -> Values:
        """Normals within two standard deviations, always; four elements (two of float64) take theirs from blocks set aside."""
        offset, factor = number(mean, dtype), number(std, dtype)
        values = room(math.prod(shape), dtype)
        size = 2 if dtype == "float64" else 4
        for part in chunks(values.size, CHUNK):
            kept = self._kept(part.start // size, -(-part.stop // size), size, dtype)[: part.stop - part.start]
            values[part] = times_plus(kept, factor, offset, dtype)
        return values.reshape(shape)

    def _words(self, part: slice, per_element: int) -> philox.Words:
        start, stop = part.start * per_element, part.stop * per_element
        return philox.words(self._key, start // 4, stop - start, self._high)

    def _kept(self, first: int, last: int, size: int, dtype: str) -> Values:
        """Return what the groups of elements from ``first`` to ``last`` keep of the normals of their own blocks."""
        kept = np.empty((last - first, size), computed(dtype))
        filled = np.zeros(last - first, np.intp)
        lacking = np.arange(last - first)
        tries = 0
        while lacking.size:
            numbers = (lacking + first).astype(np.uint64) * np.uint64(RESERVED * size // 4) + np.uint64(tries)
            words = np.empty((lacking.size, 4), np.uint32)
            philox.write_blocks(self._key, numbers, self._high, words)
            normals = _box_muller(words.reshape(-1), dtype).reshape(-1, size)
            inside = np.abs(normals) < CUT
            place = filled[lacking, None] + np.cumsum(inside, axis=1) - 1
            group, candidate = np.nonzero(inside & (place < size))
            kept[lacking[group], place[group, candidate]] = normals[group, candidate]
            filled[lacking] += inside.sum(axis=1)
            lacking = lacking[filled[lacking] < size]
            tries += 1
        return kept.reshape(-1)


def _fractions(words: philox.Words, dtype: str) -> Values:
    """Return uniforms in [0, 1) of as many bits as the dtype's mantissa: the lowest of one word, or of two."""
    if dtype == "float64":
        pairs = words.reshape(-1, 2).astype(np.uint64)
        high = (pairs[:, 0] & np.uint64(0xFFFFF)) << np.uint64(32)
        wide: Values = (high | pairs[:, 1]) * 2.0**-52
        return wide
    bits = FRACTION_BITS[dtype]
    return (words & np.uint32(2**bits - 1)).astype(F32) * F32(2.0**-bits)


def _box_muller(words: philox.Words, dtype: str) -> Values:
    """Turn words into normals, the sine of each pair before the cosine: two words for two, four in float64."""
    sine: Values
    cosine: Values
    if dtype == "float64":
        pairs = _fractions(words, dtype).reshape(-1, 2)
        angle = 2.0 * math.pi * pairs[:, 1]
        radius = np.sqrt(-2.0 * each(math.log, np.maximum(pairs[:, 0], LEAST)))
        sine, cosine = each(math.sin, angle), each(math.cos, angle)
    else:
        pairs = _fractions(words, "float32").reshape(-1, 2)
        angle = 2.0 * math.pi * pairs[:, 1].astype(np.float64)
        radius = np.sqrt(F32(-2) * logf(np.maximum(pairs[:, 0], F32(LEAST))))
        sine, cosine = sincosf(angle.astype(F32))
    normals: Values = np.stack([sine * radius, cosine * radius], axis=1).reshape(-1)
    return normals
