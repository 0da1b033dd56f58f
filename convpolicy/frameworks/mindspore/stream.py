"""The random stream ``mindspore``: the numbers of MindSpore's initializers.

NumPy's global generator yields one 64-bit seed per tensor. Philox expands it to 32-bit integers, which become numbers in float64.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import ClassVar, TypeAlias

import numpy as np
from numpy.typing import NDArray

from convpolicy.arithmetic import Fans
from convpolicy.bits import philox
from convpolicy.bits.float32 import F32, Doubles, rounded
from convpolicy.bits.pieces import Shape, Values, in_threads
from convpolicy.bits.quantile import normal_quantile
from convpolicy.parts.stream import Stream, seed_between

Distribution: TypeAlias = "Callable[[NDArray[np.uint32]], Doubles]"

CHUNK, ALONE = 1 << 18, 1 << 16  # integers computed at a time by each thread, and by one alone; multiples of a Philox block
PI = float(F32(3.1415926))
ROOT_2 = float(F32(1.4142135))
LEAST = float(F32(1e-7))
SMALLEST = 2.0**-149
BELOW_2 = float(np.nextafter(F32(2), F32(0)))


class MindsporeStream(Stream):
    """The numbers that MindSpore's initializers draw after ``mindspore.set_seed(seed)``.

    Bit-identical to MindSpore 2.0.0 and 2.10.0 on x86-64, for any number of threads.

    Args:
        seed: integer in [0, 2**32).

    Source: mindspore/common/initializer.py; mindspore/ccsrc/common/random (Philox fills).
    """

    name: ClassVar[str] = "mindspore"
    dtypes: ClassVar[tuple[str, ...]] = ("float32", "float64", "float16", "bfloat16")

    def __init__(self, seed: int) -> None:
        self._random = np.random.RandomState(seed_between(seed, 0, 2**32 - 1))

    def uniform(self, shape: Shape, low: float, high: float, dtype: str = "float32") -> Values:
        """Draw as ``Uniform``, ``HeUniform`` and ``XavierUniform`` do: one 32-bit integer per element."""
        first, last = float(F32(low)), float(F32(high))
        scale = (last - first) * 2.0**-32

        def from_bits(bits: NDArray[np.uint32]) -> Doubles:
            values: Doubles = bits * scale
            values += first
            return values

        return self._fill(shape, dtype, from_bits)

    def normal(self, shape: Shape, mean: float, std: float, dtype: str = "float32") -> Values:
        """Draw as ``Normal``, ``HeNormal`` and ``XavierNormal`` do: Box-Muller on pairs of 23-bit uniforms."""
        centre, sigma = float(F32(mean)), float(F32(std))

        def from_bits(bits: NDArray[np.uint32]) -> Doubles:
            pairs = np.maximum((bits & np.uint32(0x7FFFFF)) * 2.0**-23, LEAST).reshape(-1, 2)
            radius = np.sqrt(-2.0 * np.log(pairs[:, 0])) * sigma
            angle = 2.0 * PI * pairs[:, 1]
            both: Doubles = np.stack([centre + radius * np.cos(angle), centre + radius * np.sin(angle)], axis=1)
            return both.reshape(-1)

        return self._fill(shape, dtype, from_bits)

    def truncated_normal(
        self, shape: Shape, mean: float, std: float, lower: float, upper: float, dtype: str = "float32"
    ) -> Values:
        """Draw as ``TruncatedNormal`` does: by the quantile function, within ``mean + [lower, upper] * std``."""
        centre, sigma = float(F32(mean)), float(F32(std))
        below, above = (_cdf((float(F32(mean + bound * std)) - centre) / sigma) for bound in (lower, upper))

        def from_bits(bits: NDArray[np.uint32]) -> Doubles:
            twice = 2.0 * (below + bits * 2.0**-32 * (above - below))
            twice = np.where(twice <= 0.0, SMALLEST, np.where(twice >= 2.0, BELOW_2, twice))
            values: Doubles = normal_quantile(twice / 2.0) * (ROOT_2 / math.sqrt(2.0)) * sigma + centre
            return values

        return self._fill(shape, dtype, from_bits)

    def scaled(self, shape: Shape, fans: Fans, fan: str, gain: float, distribution: str, dtype: str = "float32") -> Values:
        """Draw as `Stream.scaled` does, but round ``Xavier*`` as MindSpore does: it multiplies by the root of a quotient."""
        if fan == "fan_avg" and distribution == "uniform":
            bound = gain * math.sqrt(6.0 / (fans.fan_in + fans.fan_out))
            return self.uniform(shape, -bound, bound, dtype)
        if fan == "fan_avg" and distribution == "normal":
            return self.normal(shape, 0.0, gain * math.sqrt(2.0 / (fans.fan_in + fans.fan_out)), dtype)
        return super().scaled(shape, fans, fan, gain, distribution, dtype)

    def _fill(self, shape: Shape, dtype: str, distribution: Distribution) -> Values:
        self.check_dtype(dtype)
        seed = int(self._random.randint(1, 2**63, dtype=np.int64))
        halves = seed & philox.WORD, seed >> 32
        values = np.empty(math.prod(shape), F32)

        def fill(part: slice) -> None:
            count = part.stop - part.start
            even = count + count % 2  # normal numbers come in pairs
            values[part] = distribution(philox.words(halves, part.start // 4, even, halves))[:count]

        in_threads(fill, values.size, CHUNK, ALONE)
        return rounded(values, dtype).reshape(shape)


def _cdf(x: float) -> float:
    return math.erfc(-x / ROOT_2) / 2.0
