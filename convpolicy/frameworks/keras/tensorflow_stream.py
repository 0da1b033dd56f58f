"""TensorFlow's stateless random ops: Philox integers by element index, and Box-Muller with the C library's functions."""

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

CHUNK = 1 << 15  # elements computed at a time, so that they stay in the cache; a multiple of a Philox block
DERIVATION_KEY = (0x3EC8F720, 0x02461E29)
LEAST = 1e-7  # smaller numbers are replaced by this one before the logarithm
CUT = 2.0
RESERVED = 256  # integers reserved for each truncated normal number


class TensorflowStream(Stream):
    """The numbers of ``tf.random.stateless_uniform``, ``_normal`` and ``_truncated_normal`` with the seed ``(seed, 0)``.

    Every draw starts from the seed. Bit-identical to TensorFlow 2.21 on x86-64 with glibc 2.36. Normal numbers need the ``logf`` and
    ``sincosf`` of glibc, and in float64 the functions of the C library that Python runs on.

    Source: tensorflow/core/lib/random/random_distributions.h, tensorflow/core/kernels/random_op_cpu.h.
    """

    name: ClassVar[str] = "tensorflow"
    dtypes: ClassVar[tuple[str, ...]] = ("float32", "float64", "float16", "bfloat16")

    def __init__(self, seed: int) -> None:
        first, second, third, fourth = philox.block(DERIVATION_KEY, (seed, 0, 0, 0))
        self._key, self._high = (first, second), (third, fourth)

    def uniform(self, shape: Shape, low: float, high: float, dtype: str = "float32") -> Values:
        """Draw one 32-bit integer per element, two for float64; the bounds are rounded to float32 for every dtype."""
        first, last = (number(F32(bound), dtype) for bound in (low, high))
        span = number(last - first, dtype)
        values = room(math.prod(shape), dtype)
        per_element = 2 if dtype == "float64" else 1
        for part in chunks(values.size, CHUNK):
            integers = self._integers(part, per_element)
            values[part] = times_plus(_fractions(integers, dtype), span, first, dtype)
        return values.reshape(shape)

    def normal(self, shape: Shape, mean: float, std: float, dtype: str = "float32") -> Values:
        """Apply Box-Muller to pairs of uniforms; 16-bit dtypes round the float32 result."""
        offset, factor = number(mean, dtype), number(std, dtype)
        values = room(math.prod(shape), dtype)
        per_element = 2 if dtype == "float64" else 1
        for part in chunks(values.size, CHUNK):
            even = slice(part.start, part.stop + part.stop % 2)
            normals = _box_muller(self._integers(even, per_element), dtype)[: part.stop - part.start]
            values[part] = times_plus(normals, factor, offset, dtype)
        return values.reshape(shape)

    def truncated_normal(
        self, shape: Shape, mean: float, std: float, lower: float, upper: float, dtype: str = "float32"
    ) -> Values:
        """Draw normal numbers within two standard deviations; each group of four elements, two in float64, has reserved blocks."""
        offset, factor = number(mean, dtype), number(std, dtype)
        values = room(math.prod(shape), dtype)
        size = 2 if dtype == "float64" else 4
        for part in chunks(values.size, CHUNK):
            kept = self._kept(part.start // size, -(-part.stop // size), size, dtype)[: part.stop - part.start]
            values[part] = times_plus(kept, factor, offset, dtype)
        return values.reshape(shape)

    def _integers(self, part: slice, per_element: int) -> philox.Words:
        start, stop = part.start * per_element, part.stop * per_element
        return philox.words(self._key, start // 4, stop - start, self._high)

    def _kept(self, first: int, last: int, size: int, dtype: str) -> Values:
        """Return the numbers that the groups from ``first`` to ``last`` keep from their reserved blocks."""
        kept = np.empty((last - first, size), computed(dtype))
        filled = np.zeros(last - first, np.intp)
        unfilled = np.arange(last - first)
        tries = 0
        while unfilled.size:
            numbers = (unfilled + first).astype(np.uint64) * np.uint64(RESERVED * size // 4) + np.uint64(tries)
            integers = np.empty((unfilled.size, 4), np.uint32)
            philox.write_blocks(self._key, numbers, self._high, integers)
            normals = _box_muller(integers.reshape(-1), dtype).reshape(-1, size)
            inside = np.abs(normals) < CUT
            position = filled[unfilled, None] + np.cumsum(inside, axis=1) - 1
            group, candidate = np.nonzero(inside & (position < size))
            kept[unfilled[group], position[group, candidate]] = normals[group, candidate]
            filled[unfilled] += inside.sum(axis=1)
            unfilled = unfilled[filled[unfilled] < size]
            tries += 1
        return kept.reshape(-1)


def _fractions(integers: philox.Words, dtype: str) -> Values:
    """Return uniforms in [0, 1) with as many bits as the dtype's mantissa: the lowest bits of one integer, or of two."""
    if dtype == "float64":
        pairs = integers.reshape(-1, 2).astype(np.uint64)
        high = (pairs[:, 0] & np.uint64(0xFFFFF)) << np.uint64(32)
        wide: Values = (high | pairs[:, 1]) * 2.0**-52
        return wide
    bits = FRACTION_BITS[dtype]
    return (integers & np.uint32(2**bits - 1)).astype(F32) * F32(2.0**-bits)


def _box_muller(integers: philox.Words, dtype: str) -> Values:
    """Turn integers into normal numbers, the sine of each pair before the cosine; float64 needs two integers per number."""
    sine: Values
    cosine: Values
    if dtype == "float64":
        pairs = _fractions(integers, dtype).reshape(-1, 2)
        angle = 2.0 * math.pi * pairs[:, 1]
        radius = np.sqrt(-2.0 * each(math.log, np.maximum(pairs[:, 0], LEAST)))
        sine, cosine = each(math.sin, angle), each(math.cos, angle)
    else:
        pairs = _fractions(integers, "float32").reshape(-1, 2)
        angle = 2.0 * math.pi * pairs[:, 1].astype(np.float64)
        radius = np.sqrt(F32(-2) * logf(np.maximum(pairs[:, 0], F32(LEAST))))
        sine, cosine = sincosf(angle.astype(F32))
    normals: Values = np.stack([sine * radius, cosine * radius], axis=1).reshape(-1)
    return normals
