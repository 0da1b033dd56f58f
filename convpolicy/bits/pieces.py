"""Large arrays computed in pieces that fit into the cache, on several threads."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Values: TypeAlias = "NDArray[Any]"
Shape: TypeAlias = "tuple[int, ...]"
LEAST_PARTS = 4  # with fewer pieces, threads cost more than they gain


def in_threads(work: Callable[[slice], None], count: int, size: int) -> None:
    """Call ``work`` with every slice of ``size`` of ``count`` elements, on all cores if there are many slices.

    ``work`` writes one slice of the result and shares no state with other calls. NumPy releases the interpreter lock, so the
    threads run in parallel.
    """
    parts = chunks(count, size)
    if len(parts) < LEAST_PARTS:
        for part in parts:
            work(part)
        return
    from concurrent.futures import ThreadPoolExecutor  # imported late: it takes 5 % of the time to import convpolicy

    with ThreadPoolExecutor(os.cpu_count()) as threads:
        list(threads.map(work, parts))


def chunks(count: int, size: int) -> list[slice]:
    """Return slices that split ``count`` elements into pieces of ``size``."""
    return [slice(start, min(start + size, count)) for start in range(0, count, size)]


def each(function: Callable[[float], float], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Apply a function of Python's `math`, which calls the C library, to every value."""
    return np.frompyfunc(function, 1, 1)(values).astype(np.float64)  # type: ignore[no-any-return]
