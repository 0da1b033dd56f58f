"""Timing of several functions in turn within one run, so that their ratios can be compared."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Mapping

TIMED_SECONDS = 0.002  # one timing repeats a call for about this long, so that the cost of the clock is negligible
LONG_SECONDS = 0.02  # calls that take longer are timed in a third of the rounds, and need no untimed call before
FEWEST_ROUNDS = 3
ORDERS = random.Random(0)  # noqa: S311 - another order in each round of each call, and the global random state stays as it is


def interleaved(ways: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Time every function once per round, in random order, after one untimed call.

    Args:
        ways: name -> function. The time of the first decides how often each timing repeats a call.
        rounds: number of timings of each function.

    Returns:
        Name -> seconds per call, one number per round.
    """
    first = next(iter(ways.values()))
    first()
    seconds = max(_once(first, 1), 1e-7)
    repeats = max(int(TIMED_SECONDS / seconds), 1)
    order = list(ways)
    times: dict[str, list[float]] = {name: [] for name in ways}
    is_long = seconds > LONG_SECONDS
    for _ in range(max(rounds // 3, FEWEST_ROUNDS) if is_long else rounds):
        ORDERS.shuffle(order)
        for name in order:
            times[name].append(_once(ways[name], repeats, warm=not is_long))
    return times


def ratio(times: list[float], to: list[float]) -> float:
    """Return the median ratio of two lists of timings, round by round."""
    return statistics.median(a / b for a, b in zip(times, to))


def _once(function: Callable[[], object], repeats: int, *, warm: bool = True) -> float:
    if warm:
        function()
    start = time.perf_counter()
    for _ in range(repeats):
        function()
    return (time.perf_counter() - start) / repeats
