"""The random stream ``numpy``: PCG64 bits and the frozen distributions of ``numpy.random.RandomState``."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np

from convpolicy.arithmetic import integer
from convpolicy.bits.float32 import Doubles, rounded
from convpolicy.bits.pieces import Shape, Values
from convpolicy.parts.stream import Stream


class NumpyStream(Stream):
    """A random stream with the same numbers on every machine, NumPy version and backend.

    Policies that belong to no framework use it. NEP 19 guarantees the numbers of the bit generators and of
    ``numpy.random.RandomState``; those of ``numpy.random.Generator`` may change between releases. Every distribution is drawn in
    float64 and rounded once.

    Args:
        seed: a non-negative integer of any size.
    """

    name: ClassVar[str] = "numpy"
    dtypes: ClassVar[tuple[str, ...]] = ("float32", "float64", "float16", "bfloat16")

    def __init__(self, seed: Any = 0) -> None:
        self._random = np.random.RandomState(np.random.PCG64(integer("seed", seed, 0)))

    def uniform(self, shape: Shape, low: float, high: float, dtype: str = "float32") -> Values:
        """Draw uniformly in ``[low, high)``."""
        values = self._random.random_sample(shape)
        values *= high - low
        values += low
        return self._rounded(values, dtype)

    def normal(self, shape: Shape, mean: float, std: float, dtype: str = "float32") -> Values:
        """Draw from a normal distribution with ``mean`` and ``std``."""
        return self._rounded(self._random.standard_normal(shape) * std + mean, dtype)

    def truncated_normal(
        self, shape: Shape, mean: float, std: float, lower: float, upper: float, dtype: str = "float32"
    ) -> Values:
        """Draw from a normal distribution; redraw numbers outside ``mean + [lower, upper] * std``."""
        count = math.prod(shape)
        values = np.empty(0)
        while values.size < count:
            draws = self._random.standard_normal(2 * (count - values.size) + 8)
            values = np.concatenate([values, draws[(draws >= lower) & (draws <= upper)]])
        return self._rounded(values[:count].reshape(shape) * std + mean, dtype)

    def _rounded(self, values: Doubles, dtype: str) -> Values:
        return rounded(values, self.check_dtype(dtype))
