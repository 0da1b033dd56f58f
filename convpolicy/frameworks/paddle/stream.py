"""The random stream ``paddle``: mt19937_64 seeded by ``std::seed_seq``, and the distributions of the GNU C++ library."""

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

Integers: TypeAlias = "NDArray[np.uint64]"

STATE, MIDDLE = 312, 156  # size of the state in 64-bit integers, and the offset of its recurrence
UPPER, LOWER = np.uint64(0xFFFFFFFF80000000), np.uint64(0x7FFFFFFF)
MATRIX = np.uint64(0xB5026F5AA96619E9)
TEMPERING = ((29, 0x5555555555555555, False), (17, 0x71D67FFFEDA60000, True), (37, 0xFFF7EEE000000000, True))
LAST_SHIFT = 43
MASK_32 = 0xFFFFFFFF
BELOW_1 = np.nextafter(F32(1), F32(0))
CHUNK = 1 << 14


def seed_sequence(seed: int, count: int) -> list[int]:
    """Return the ``count`` 32-bit integers of ``std::seed_seq{seed}.generate`` (C++ standard, [rand.util.seedseq])."""
    integers = [0x8B8B8B8B] * count
    t = 11 if count >= 623 else 7 if count >= 68 else 5 if count >= 39 else 3 if count >= 7 else (count - 1) // 2
    p = (count - t) // 2
    q = p + t
    for k in range(count):
        mixed = integers[k] ^ integers[(k + p) % count] ^ integers[k - 1]
        first = 1664525 * (mixed ^ mixed >> 27) & MASK_32
        second = first + (1 if k == 0 else k + seed if k == 1 else k) & MASK_32
        integers[(k + p) % count] = integers[(k + p) % count] + first & MASK_32
        integers[(k + q) % count] = integers[(k + q) % count] + second & MASK_32
        integers[k] = second
    for k in range(count):
        mixed = integers[k] + integers[(k + p) % count] + integers[k - 1] & MASK_32
        third = 1566083941 * (mixed ^ mixed >> 27) & MASK_32
        fourth = third - k & MASK_32
        integers[(k + p) % count] ^= third
        integers[(k + q) % count] ^= fourth
        integers[k] = fourth
    return integers


class Mt19937x64:
    """The 64-bit Mersenne twister (Nishimura, 2000), which NumPy does not have; it computes a whole state at a time."""

    def __init__(self, seed: int) -> None:
        integers = np.array(seed_sequence(seed & MASK_32, 2 * STATE), np.uint64)
        self._state: Integers = integers[0::2] | integers[1::2] << np.uint64(32)
        self._unused: Integers = np.empty(0, np.uint64)

    def integers(self, count: int) -> Integers:
        """Return the next ``count`` integers."""
        states = []
        missing = count - len(self._unused)
        while missing > 0:
            self._twist()
            states.append(self._state)
            missing -= STATE
        available = np.concatenate([self._unused, self._tempered(np.concatenate(states))]) if states else self._unused
        self._unused = available[count:]
        return available[:count]

    def give_back(self, integers: Integers) -> None:
        """Return integers that were not used; they come first in the next call of `integers`."""
        self._unused = np.concatenate([integers, self._unused])

    def _twist(self) -> None:
        old, new = self._state, np.empty_like(self._state)
        for start, stop, ahead in ((0, MIDDLE, old[MIDDLE:]), (MIDDLE, STATE - 1, new), (STATE - 1, STATE, new[MIDDLE - 1 :])):
            following = old[start + 1 : stop + 1] if stop < STATE else new[:1]
            mixed = old[start:stop] & UPPER | following & LOWER
            new[start:stop] = ahead[: stop - start] ^ mixed >> np.uint64(1) ^ (mixed & np.uint64(1)) * MATRIX
        self._state = new

    @staticmethod
    def _tempered(integers: Integers) -> Integers:
        for shift, mask, left in TEMPERING:
            moved = integers << np.uint64(shift) if left else integers >> np.uint64(shift)
            integers = integers ^ moved & np.uint64(mask)
        return integers ^ integers >> np.uint64(LAST_SHIFT)


class PaddleStream(Stream):
    """The numbers that Paddle draws on the CPU after ``paddle.seed(seed)``; only ``seed mod 2**32`` matters.

    Bit-identical to paddlepaddle 3.3.1 on x86-64 with glibc.

    Args:
        seed: integer in [0, 2**64).

    Source: paddle/phi/kernels/cpu/uniform_kernel.cc, gaussian_kernel.cc;
    libstdc++'s uniform_real_distribution and normal_distribution.
    """

    name: ClassVar[str] = "paddle"

    def __init__(self, seed: int) -> None:
        self._generator = Mt19937x64(seed_between(seed, 0, 2**64 - 1))

    def uniform(self, shape: Shape, low: float, high: float, dtype: str = "float32") -> Values:
        """Draw as ``Uniform`` does: one 64-bit integer per element, rounded twice."""
        self.check_dtype(dtype)
        first, span = F32(low), F32(F32(high) - F32(low))
        values = np.empty(math.prod(shape), F32)
        for part in chunks(values.size, CHUNK):
            values[part] = _canonical(self._generator.integers(part.stop - part.start)) * span + first
        return values.reshape(shape)

    def normal(self, shape: Shape, mean: float, std: float, dtype: str = "float32") -> Values:
        """Draw as ``Normal`` does: Marsaglia's polar method in float32, the second number of a pair first; an extra number is dropped."""
        self.check_dtype(dtype)
        values = np.empty(math.prod(shape), F32)
        for part in chunks(values.size, CHUNK):
            values[part] = self._polar(part.stop - part.start)
        return (values * F32(std) + F32(mean)).reshape(shape)

    def _polar(self, count: int) -> Singles:
        numbers: list[Singles] = []
        missing = (count + 1) // 2
        while missing:
            integers = self._generator.integers(2 * (missing + missing // 3 + 4))
            pairs = F32(2) * _canonical(integers).reshape(-1, 2) - F32(1)
            square = pairs[:, 0] * pairs[:, 0] + pairs[:, 1] * pairs[:, 1]
            kept = np.flatnonzero((square <= 1) & (square != 0))[:missing]
            if len(kept) == missing:
                self._generator.give_back(integers[2 * (int(kept[-1]) + 1) :])
            squares = square[kept]
            numbers.append(pairs[kept][:, ::-1] * np.sqrt(F32(-2) * logf(squares) / squares)[:, None])
            missing -= len(kept)
        return np.concatenate(numbers).reshape(-1)[:count]

    def scaled(self, shape: Shape, fans: Fans, fan: str, gain: float, distribution: str, dtype: str = "float32") -> Values:
        """Draw as `Stream.scaled` does, but for Xavier and Conv1D's default compute the root of a quotient, as Paddle does."""
        if fan == "fan_avg" and distribution == "uniform":
            limit = math.sqrt(6.0 / (fans.fan_in + fans.fan_out)) * gain
            return self.uniform(shape, -limit, limit, dtype)
        if distribution == "normal" and fan in ("fan_avg", "fan_in_all_groups"):
            return self.normal(shape, 0.0, math.sqrt(variance_scale(gain) / fans.of(fan)), dtype)
        return super().scaled(shape, fans, fan, gain, distribution, dtype)


def _canonical(integers: Integers) -> Singles:
    """Return ``std::generate_canonical<float>`` for 64-bit integers: rounded to float32 once, and below 1."""
    return np.minimum(integers.astype(F32) * F32(2.0**-64), BELOW_1)
