"""Large arrays computed in pieces that fit into the cache, on several threads."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from concurrent.futures import Future

Values: TypeAlias = "NDArray[Any]"
Shape: TypeAlias = "tuple[int, ...]"
LEAST_PARTS = 4  # with fewer pieces, threads cost more than they gain


def in_threads(work: Callable[[slice], None], count: int, size: int, alone: int) -> None:
    """Call ``work`` with every slice of ``size`` of ``count`` elements, on all cores if there are many slices.

    ``work`` writes one slice of the result and shares no state with other calls. NumPy releases the interpreter lock, so the
    threads run in parallel. They wait for the lock between two operations of NumPy, so their slices should be larger than those
    of one thread, ``alone``, which fit into the cache of a core.
    """
    parts = chunks(count, size)
    if len(parts) < LEAST_PARTS or os.cpu_count() == 1:
        for part in chunks(count, alone):
            work(part)
        return
    from concurrent.futures import ThreadPoolExecutor  # imported late: it takes 5 % of the time to import convpolicy

    with ThreadPoolExecutor(os.cpu_count()) as threads:
        list(threads.map(work, parts))


def in_order(draw: Callable[[int], Any], work: Callable[[slice, Any], None], count: int, size: int) -> None:
    """Call ``work(part, draw(number of elements))`` for every slice of ``size`` of ``count`` elements.

    ``draw`` is called in order, in this thread. ``work`` runs in other threads meanwhile if there are many slices; it writes one
    slice of the result and shares no state with other calls.
    """
    parts, cores = chunks(count, size), os.cpu_count() or 1
    if len(parts) < LEAST_PARTS or cores == 1:
        for part in parts:
            work(part, draw(part.stop - part.start))
        return
    from concurrent.futures import ThreadPoolExecutor  # see `in_threads`

    with ThreadPoolExecutor(cores) as threads:
        running: deque[Future[None]] = deque()
        for part in parts:
            if len(running) > 2 * cores:  # so that few pieces wait
                running.popleft().result()
            running.append(threads.submit(work, part, draw(part.stop - part.start)))
        for each_one in running:
            each_one.result()


def chunks(count: int, size: int) -> list[slice]:
    """Return slices that split ``count`` elements into pieces of ``size``."""
    return [slice(start, min(start + size, count)) for start in range(0, count, size)]


def each(function: Callable[[float], float], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Apply a function of Python's `math`, which calls the C library, to every value."""
    return np.frompyfunc(function, 1, 1)(values).astype(np.float64)  # type: ignore[no-any-return]
