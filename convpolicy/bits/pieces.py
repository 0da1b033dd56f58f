"""Large arrays computed piece by piece: types, slices that stay in the cache, threads, and the C library's functions."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Values: TypeAlias = "NDArray[Any]"
Shape: TypeAlias = "tuple[int, ...]"
LEAST_PARTS = 4  # below, threads cost more than they gain


def in_threads(work: Callable[[slice], None], count: int, size: int) -> None:
    """Call ``work`` for slices of ``size`` that cut ``count`` elements, on all cores where there are many.

    ``work`` writes its own slice and shares no state, as a counter-based generator allows; NumPy lets go of the interpreter.
    """
    parts = chunks(count, size)
    if len(parts) < LEAST_PARTS:
        for part in parts:
            work(part)
        return
    from concurrent.futures import ThreadPoolExecutor  # only here: it is a twentieth of importing the package

    with ThreadPoolExecutor(os.cpu_count()) as threads:
        list(threads.map(work, parts))


def chunks(count: int, size: int) -> list[slice]:
    """Return slices that cut ``count`` elements into pieces of ``size``, to stay in the cache."""
    return [slice(start, min(start + size, count)) for start in range(0, count, size)]


def each(function: Callable[[float], float], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a function of Python's `math`, which is the C library's, of every value."""
    return np.frompyfunc(function, 1, 1)(values).astype(np.float64)  # type: ignore[no-any-return]
