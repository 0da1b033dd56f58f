"""One case of a benchmark: several ways of doing one thing, timed in turn, as ratios to the first way.

The first way is timed twice, as ``"again"``: its ratio to itself is the noise of the same run.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from math import exp, log
from typing import Any

import attrs

from convpolicy.tuning.timing import interleaved, ratio

AGAIN = "again"
LIMIT = 1.03  # a ratio above this, and above the noise, is measured again with three times the rounds


@attrs.frozen
class Result:
    """One case.

    Attributes:
        section, name: what was timed.
        microseconds: way -> median.
        ratios: way -> median ratio to the first way.
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
        return abs(self.ratios[AGAIN] - 1)

    def exceeds(self, way: str) -> bool:
        """Return True when a way is slower than the limit, beyond the noise."""
        return self.ratios[way] > LIMIT + self.noise


def compare(section: str, name: str, ways: Mapping[str, Callable[[], object]], rounds: int, **facts: Any) -> Result:
    """Time the ways in turn; where one exceeds the limit, a second and longer measurement is what counts."""
    first = next(iter(ways))
    everything = {**ways, AGAIN: ways[first]}

    def result(rounds: int) -> Result:
        taken = interleaved(everything, rounds)
        ratios = {way: ratio(times, taken[first]) for way, times in taken.items() if way != first}
        return Result(section, name, {way: statistics.median(times) * 1e6 for way, times in taken.items()}, ratios, facts)

    found = result(rounds)
    return result(3 * rounds) if any(found.exceeds(way) for way in ways if way != first) else found


def geometric_mean(ratios: list[float]) -> float:
    """Return the geometric mean."""
    return exp(sum(map(log, ratios)) / len(ratios))
