"""Several ways of doing one thing, timed in turn in one run: only ratios taken side by side say anything."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Mapping

TIMED_SECONDS = 0.002  # one timing repeats the call until about this long, so that the clock's own cost vanishes
LONG_SECONDS = 0.05  # calls of this length are timed in a third of the rounds
FEWEST_ROUNDS = 3


def interleaved(ways: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Time every way once per round, in a new random order, after one unmeasured call.

    Args:
        ways: name -> what is timed; the first decides how often a timing repeats it.
        rounds: timings of each.

    Returns:
        Name -> seconds per call, one for every round.
    """
    first = next(iter(ways.values()))
    first()
    seconds = max(_once(first, 1), 1e-7)
    repeats = max(int(TIMED_SECONDS / seconds), 1)
    order, shuffled = list(ways), random.Random(0)  # noqa: S311 - an order, which touches nobody's random state
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(max(rounds // 3, FEWEST_ROUNDS) if seconds > LONG_SECONDS else rounds):
        shuffled.shuffle(order)
        for name in order:
            taken[name].append(_once(ways[name], repeats))
    return taken


def ratio(times: list[float], to: list[float]) -> float:
    """Return the median of the ratios within the rounds."""
    return statistics.median(a / b for a, b in zip(times, to))


def _once(way: Callable[[], object], repeats: int) -> float:
    way()
    start = time.perf_counter()
    for _ in range(repeats):
        way()
    return (time.perf_counter() - start) / repeats
