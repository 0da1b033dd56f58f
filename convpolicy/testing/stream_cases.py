"""Draws from a random stream, with their bounds, mean and standard deviation."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from numpy.typing import NDArray

from convpolicy.arithmetic import Fans
from convpolicy.parts.stream import TRUNCATED_STD, Stream
from convpolicy.testing.common import refuses

FANS = Fans(12, 20, 3)


class Draw(NamedTuple):
    """A method of a stream and its arguments; ``str()`` is the call."""

    method: str
    arguments: tuple[Any, ...]

    def __str__(self) -> str:
        return f"{self.method}(shape, {', '.join(map(repr, self.arguments))})"

    def of(self, stream: Stream, shape: tuple[int, ...], dtype: str = "float32") -> NDArray[Any] | None:
        """Return the numbers, or None if the stream refuses to draw them."""
        drawn: NDArray[Any] | None = refuses(lambda: getattr(stream, self.method)(shape, *self.arguments, dtype))
        return drawn

    @property
    def bounds(self) -> tuple[float, float]:
        """The least and the greatest number that can be drawn."""
        return {"uniform": self.arguments[:2], "truncated_normal": CUT_BOUNDS}.get(self.method, (-math.inf, math.inf))

    @property
    def moments(self) -> tuple[float, float]:
        """Mean and standard deviation."""
        if self.method == "scaled":
            _fans, fan, gain, _distribution = self.arguments
            return 0.0, gain / math.sqrt(FANS.of(fan))
        first, second = self.arguments[:2]
        return {
            "uniform": ((first + second) / 2, (second - first) / math.sqrt(12)),
            "truncated_normal": (first, second * TRUNCATED_STD),
        }.get(self.method, (first, second))


CUT_BOUNDS = (0.0, 1.0)
UNIFORM = Draw("uniform", (-0.5, 1.5))
DRAWS = (
    UNIFORM,
    Draw("normal", (1.0, 2.0)),
    Draw("truncated_normal", (0.5, 0.25, -2.0, 2.0)),  # the bounds are exact in every dtype
    *(
        Draw("scaled", (FANS, fan, gain, shape))
        for fan, gain in (("fan_in", 1.0), ("fan_out", 2.0), ("fan_avg", 1.0))
        for shape in ("uniform", "normal", "truncated_normal")
    ),
)
