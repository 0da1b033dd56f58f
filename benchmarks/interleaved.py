"""Several ways of doing one thing, timed in turn in one run: medians, ratios to the first, and what the first differs from itself.

Every round calls each way once unmeasured and then times it, in a new random order; a ratio is the median of the ratios within the
rounds. The first way is timed twice, as ``"again"``: its ratio is the noise of the same run.
"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Mapping
from math import exp, log
from typing import Any

import attrs

Way = Callable[[], object]
TIMED_SECONDS = 0.002  # one timing repeats the call until about this long
LONG_SECONDS = 0.05  # calls of this length are timed in fewer rounds
LIMIT = 1.03  # a ratio above this, and above the noise, is measured again


@attrs.frozen
class Result:
    """One case.

    Attributes:
        section, name: what was timed.
        microseconds: way -> median.
        ratios: way -> median ratio to the first way; ``"again"`` is the first way itself.
        facts: anything else worth a column.
    """

    section: str
    name: str
    microseconds: dict[str, float]
    ratios: dict[str, float]
    facts: dict[str, Any] = attrs.field(factory=dict)

    @property
    def noise(self) -> float:
        """How far the first way is from itself."""
        return abs(self.ratios["again"] - 1)

    def exceeds(self, way: str) -> bool:
        """Return True when a way is slower than the limit, beyond the noise."""
        return self.ratios[way] > LIMIT + self.noise


def _once(way: Way, repeats: int) -> float:
    way()
    start = time.perf_counter()
    for _ in range(repeats):
        way()
    return (time.perf_counter() - start) / repeats


def _rounds(ways: Mapping[str, Way], rounds: int) -> dict[str, list[float]]:
    first = next(iter(ways.values()))
    first()
    seconds = max(_once(first, 1), 1e-7)
    repeats = max(int(TIMED_SECONDS / seconds), 1)
    order = list(ways)
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(max(rounds // 3, 3) if seconds > LONG_SECONDS else rounds):
        random.shuffle(order)
        for name in order:
            taken[name].append(_once(ways[name], repeats))
    return taken


def compare(section: str, name: str, ways: Mapping[str, Way], rounds: int, facts: dict[str, Any] | None = None) -> Result:
    """Time the ways in turn; one that exceeds the limit is timed again with three times the rounds, and that is what counts."""
    baseline, way = next(iter(ways.items()))
    everything = {**ways, "again": way}

    def result(rounds: int) -> Result:
        taken = _rounds(everything, rounds)
        ratios = {
            other: statistics.median(b / a for a, b in zip(taken[baseline], times))
            for other, times in taken.items()
            if other != baseline
        }
        medians = {other: statistics.median(times) * 1e6 for other, times in taken.items()}
        return Result(section, name, medians, ratios, facts or {})

    found = result(rounds)
    return result(3 * rounds) if any(found.exceeds(other) for other in ways if other != baseline) else found


def geometric_mean(ratios: list[float]) -> float:
    """Return the geometric mean."""
    return exp(sum(map(log, ratios)) / len(ratios))
