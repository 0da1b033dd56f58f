"""One case of a benchmark: several functions timed in turn, as ratios to the first.

The first function is timed a second time under the name ``"again"``. Its ratio to itself is the noise of the run.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from math import exp, log
from typing import Any

import attrs

from convpolicy.tuning.timing import interleaved, ratio

AGAIN = "again"
LIMIT_WAY = "limit"  # a function that shows what is possible, and is not judged
LIMIT = 1.03  # a ratio above this limit plus the noise is measured again with three times the rounds


@attrs.frozen
class Result:
    """Result of one case.

    Attributes:
        section, name: section and name of the case in the report.
        microseconds: function name -> median time of one call.
        ratios: function name -> median ratio to the first function.
        facts: additional columns of the report.
    """

    section: str
    name: str
    microseconds: dict[str, float]
    ratios: dict[str, float]
    facts: dict[str, Any] = attrs.field(factory=dict)

    @property
    def noise(self) -> float:
        """Difference of the ratio ``"again"`` from 1."""
        return abs(self.ratios[AGAIN] - 1)

    def exceeds(self, way: str) -> bool:
        """Return True if the ratio of a function is above the limit plus the noise."""
        return self.ratios[way] > LIMIT + self.noise


def compare(section: str, name: str, ways: Mapping[str, Callable[[], object]], rounds: int, **facts: Any) -> Result:
    """Time functions in turn; if one exceeds the limit, repeat with three times the rounds and return the second result."""
    first = next(iter(ways))
    everything = {**ways, AGAIN: ways[first]}

    def measure(rounds: int) -> Result:
        seconds = interleaved(everything, rounds)
        ratios = {way: ratio(times, seconds[first]) for way, times in seconds.items() if way != first}
        return Result(section, name, {way: statistics.median(times) * 1e6 for way, times in seconds.items()}, ratios, facts)

    result = measure(rounds)
    return measure(3 * rounds) if any(result.exceeds(way) for way in ways if way not in (first, LIMIT_WAY)) else result


def geometric_mean(ratios: list[float]) -> float:
    """Return the geometric mean of ratios."""
    return exp(sum(map(log, ratios)) / len(ratios))
