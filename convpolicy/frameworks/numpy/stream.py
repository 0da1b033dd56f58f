"""The default stream: NumPy's PCG64 bits through its frozen distributions."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np

from convpolicy.arithmetic import integer
from convpolicy.bits.float32 import Doubles, rounded
from convpolicy.bits.pieces import Shape, Values
from convpolicy.parts.stream import Stream


class NumpyStream(Stream):
    """The same numbers on every machine, NumPy version and backend; the stream of policies that claim no framework.

    ``numpy.random.Generator`` may change its numbers between releases (NEP 19); the bit generators and
    `numpy.random.RandomState` may not. Every law is drawn in float64 and rounded once.

    Args:
        seed: integer of 0 or more, of any size.
    """

    name: ClassVar[str] = "numpy"
    dtypes: ClassVar[tuple[str, ...]] = ("float32", "float64", "float16", "bfloat16")

    def __init__(self, seed: Any = 0) -> None:
        self._random = np.random.RandomState(np.random.PCG64(integer("seed", seed, 0)))

    def uniform(self, shape: Shape, low: float, high: float, dtype: str = "float32") -> Values:
        """Uniform in ``[low, high)``."""
        values = self._random.random_sample(shape)
        values *= high - low
        values += low
        return self._rounded(values, dtype)

    def normal(self, shape: Shape, mean: float, std: float, dtype: str = "float32") -> Values:
        """Normal with ``mean`` and ``std``."""
        return self._rounded(self._random.standard_normal(shape) * std + mean, dtype)

    def truncated_normal(
        self, shape: Shape, mean: float, std: float, lower: float, upper: float, dtype: str = "float32"
    ) -> Values:
        """Normal, redrawn until within ``mean + [lower, upper] * std``."""
        count = math.prod(shape)
        values = np.empty(0)
        while values.size < count:
            drawn = self._random.standard_normal(2 * (count - values.size) + 8)
            values = np.concatenate([values, drawn[(drawn >= lower) & (drawn <= upper)]])
        return self._rounded(values[:count].reshape(shape) * std + mean, dtype)

    def _rounded(self, values: Doubles, dtype: str) -> Values:
        return rounded(values, self.check_dtype(dtype))
