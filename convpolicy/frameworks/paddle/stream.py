"""Paddle's CPU generator: mt19937_64 seeded through std::seed_seq, and the distributions of the GNU C++ library."""

from __future__ import annotations

import math
from typing import ClassVar, TypeAlias

import numpy as np
from numpy.typing import NDArray

from convpolicy.arithmetic import Fans
from convpolicy.bits.float32 import F32, Singles
from convpolicy.bits.logf import logf
from convpolicy.bits.pieces import Shape, Values, chunks
from convpolicy.parts.stream import Stream, seed_between, variance_scale

Words: TypeAlias = "NDArray[np.uint64]"

STATE, MIDDLE = 312, 156  # words of the state, and the distance of its recurrence
UPPER, LOWER = np.uint64(0xFFFFFFFF80000000), np.uint64(0x7FFFFFFF)
MATRIX = np.uint64(0xB5026F5AA96619E9)
TEMPERING = ((29, 0x5555555555555555, False), (17, 0x71D67FFFEDA60000, True), (37, 0xFFF7EEE000000000, True))
LAST_SHIFT = 43
WORD = 0xFFFFFFFF
BELOW_1 = np.nextafter(F32(1), F32(0))
CHUNK = 1 << 14


def seed_words(seed: int, count: int) -> list[int]:
    """Return what ``std::seed_seq{seed}.generate`` writes into ``count`` 32-bit words (C++ standard, [rand.util.seedseq])."""
    words = [0x8B8B8B8B] * count
    t = 11 if count >= 623 else 7 if count >= 68 else 5 if count >= 39 else 3 if count >= 7 else (count - 1) // 2
    p = (count - t) // 2
    q = p + t
    for k in range(count):
        mixed = words[k] ^ words[(k + p) % count] ^ words[k - 1]
        first = 1664525 * (mixed ^ mixed >> 27) & WORD
        second = first + (1 if k == 0 else k + seed if k == 1 else k) & WORD
        words[(k + p) % count] = words[(k + p) % count] + first & WORD
        words[(k + q) % count] = words[(k + q) % count] + second & WORD
        words[k] = second
    for k in range(count):
        mixed = words[k] + words[(k + p) % count] + words[k - 1] & WORD
        third = 1566083941 * (mixed ^ mixed >> 27) & WORD
        fourth = third - k & WORD
        words[(k + p) % count] ^= third
        words[(k + q) % count] ^= fourth
        words[k] = fourth
    return words


class Mt19937x64:
    """The 64-bit Mersenne twister (Nishimura, 2000), which NumPy has not, a state at a time."""

    def __init__(self, seed: int) -> None:
        words = np.array(seed_words(seed & WORD, 2 * STATE), np.uint64)
        self._state: Words = words[0::2] | words[1::2] << np.uint64(32)
        self._left: Words = np.empty(0, np.uint64)

    def words(self, count: int) -> Words:
        """Return the next ``count`` words."""
        states = []
        missing = count - len(self._left)
        while missing > 0:
            self._twist()
            states.append(self._state)
            missing -= STATE
        drawn = np.concatenate([self._left, self._tempered(np.concatenate(states))]) if states else self._left
        self._left = drawn[count:]
        return drawn[:count]

    def give_back(self, words: Words) -> None:
        """Put words that were not needed before the ones to come."""
        self._left = np.concatenate([words, self._left])

    def _twist(self) -> None:
        old, new = self._state, np.empty_like(self._state)
        for start, stop, ahead in ((0, MIDDLE, old[MIDDLE:]), (MIDDLE, STATE - 1, new), (STATE - 1, STATE, new[MIDDLE - 1 :])):
            following = old[start + 1 : stop + 1] if stop < STATE else new[:1]
            mixed = old[start:stop] & UPPER | following & LOWER
            new[start:stop] = ahead[: stop - start] ^ mixed >> np.uint64(1) ^ (mixed & np.uint64(1)) * MATRIX
        self._state = new

    @staticmethod
    def _tempered(words: Words) -> Words:
        for shift, mask, left in TEMPERING:
            moved = words << np.uint64(shift) if left else words >> np.uint64(shift)
            words = words ^ moved & np.uint64(mask)
        return words ^ words >> np.uint64(LAST_SHIFT)


class PaddleStream(Stream):
    """The one CPU generator after ``paddle.seed(seed)``; only ``seed mod 2**32`` matters.

    Exact against paddlepaddle 3.3.1 on x86-64 with glibc. Source: paddle/phi/kernels/cpu/uniform_kernel.cc, gaussian_kernel.cc;
    libstdc++'s uniform_real_distribution and normal_distribution.
    """

    name: ClassVar[str] = "paddle"

    def __init__(self, seed: int) -> None:
        self._generator = Mt19937x64(seed_between(seed, 0, 2**64 - 1))

    def uniform(self, shape: Shape, low: float, high: float, dtype: str = "float32") -> Values:
        """``Uniform``: one word per element, two roundings."""
        self.check_dtype(dtype)
        first, span = F32(low), F32(F32(high) - F32(low))
        values = np.empty(math.prod(shape), F32)
        for part in chunks(values.size, CHUNK):
            values[part] = _canonical(self._generator.words(part.stop - part.start)) * span + first
        return values.reshape(shape)

    def normal(self, shape: Shape, mean: float, std: float, dtype: str = "float32") -> Values:
        """``Normal``: Marsaglia's polar method in float32, the second number first; a spare number is dropped."""
        self.check_dtype(dtype)
        values = np.empty(math.prod(shape), F32)
        for part in chunks(values.size, CHUNK):
            values[part] = self._polar(part.stop - part.start)
        return (values * F32(std) + F32(mean)).reshape(shape)

    def _polar(self, count: int) -> Singles:
        found: list[Singles] = []
        missing = (count + 1) // 2
        while missing:
            words = self._generator.words(2 * (missing + missing // 3 + 4))
            pairs = F32(2) * _canonical(words).reshape(-1, 2) - F32(1)
            square = pairs[:, 0] * pairs[:, 0] + pairs[:, 1] * pairs[:, 1]
            taken = np.flatnonzero((square <= 1) & (square != 0))[:missing]
            if len(taken) == missing:
                self._generator.give_back(words[2 * (int(taken[-1]) + 1) :])
            size = square[taken]
            found.append(pairs[taken][:, ::-1] * np.sqrt(F32(-2) * logf(size) / size)[:, None])
            missing -= len(taken)
        return np.concatenate(found).reshape(-1)[:count]

    def scaled(self, shape: Shape, fans: Fans, fan: str, gain: float, distribution: str, dtype: str = "float32") -> Values:
        """As `Stream.scaled`; Xavier and the default of Conv1D take the root of a quotient, Kaiming divides by a root."""
        if fan == "fan_avg" and distribution == "uniform":
            limit = math.sqrt(6.0 / (fans.fan_in + fans.fan_out)) * gain
            return self.uniform(shape, -limit, limit, dtype)
        if distribution == "normal" and fan in ("fan_avg", "fan_in_all_groups"):
            return self.normal(shape, 0.0, math.sqrt(variance_scale(gain) / fans.of(fan)), dtype)
        return super().scaled(shape, fans, fan, gain, distribution, dtype)


def _canonical(words: Words) -> Singles:
    """Return ``std::generate_canonical<float>`` of 64-bit words: rounded to float32 once, and below 1."""
    return np.minimum(words.astype(F32) * F32(2.0**-64), BELOW_1)
