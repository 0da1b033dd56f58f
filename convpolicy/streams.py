"""The random stream that turns a seed into numbers: a part of its own, apart from the distributions drawn from it."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from convpolicy.arithmetic import integer

Doubles: TypeAlias = "NDArray[np.float64]"


class NumpyStream:
    """NumPy's PCG64 bits through its frozen distributions: the same numbers on every machine, NumPy version and backend.

    ``numpy.random.Generator`` may change its numbers between releases (NEP 19); the bit generators and
    `numpy.random.RandomState` may not.

    Args:
        seed: integer of 0 or more, of any size.

    Raises:
        InvalidTypeError, InvalidValueError: not an integer of 0 or more.
    """

    def __init__(self, seed: Any = 0) -> None:
        self._random = np.random.RandomState(np.random.PCG64(integer("seed", seed, 0)))

    def uniform(self, shape: tuple[int, ...], low: float, high: float) -> Doubles:
        """Return float64 values of ``shape``, uniform in ``[low, high)``."""
        values = self._random.random_sample(shape)
        values *= high - low
        values += low
        return values

    def normal(self, shape: tuple[int, ...], mean: float, std: float) -> Doubles:
        """Return float64 values of ``shape``, normal with ``mean`` and ``std``."""
        return self._random.standard_normal(shape) * std + mean

    def truncated_normal(self, shape: tuple[int, ...], mean: float, std: float, lower: float, upper: float) -> Doubles:
        """Return float64 values of ``shape``, normal but redrawn until within ``mean + [lower, upper] * std``."""
        count = int(np.prod(shape))
        values = np.empty(0)
        while values.size < count:
            drawn = self._random.standard_normal(2 * (count - values.size) + 8)
            values = np.concatenate([values, drawn[(drawn >= lower) & (drawn <= upper)]])
        return values[:count].reshape(shape) * std + mean
