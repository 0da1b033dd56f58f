"""What a random stream is: how a seed becomes the numbers that one framework's layers start with."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from typing import Any, ClassVar, TypeAlias

from numpy.typing import NDArray

from convpolicy.arithmetic import Fans, integer
from convpolicy.errors import InvalidValueError

Values: TypeAlias = "NDArray[Any]"
Shape: TypeAlias = "tuple[int, ...]"
LEAST_PARTS = 4  # below, threads cost more than they gain


class Stream:
    """A random stream with state: tensors drawn one after another are those of layers built one after another.

    A subclass draws in the framework's own axis order, element by element in C order, and rounds as the framework rounds.
    Every method returns an array of ``shape`` in the dtype asked for; bfloat16 comes as float32 numbers that bfloat16 holds.

    Args:
        seed: what the framework's own seeding function takes.

    Raises:
        InvalidTypeError, InvalidValueError: a seed that the framework refuses; holds the seed and the range.
    """

    name: ClassVar[str]
    dtypes: ClassVar[tuple[str, ...]] = ("float32",)

    def begin(self, role: str) -> None:
        """Hear that the next tensor of a layer is filled: ``"weight"``, then ``"bias"``, also when no number is drawn for it."""

    def uniform(self, shape: Shape, low: float, high: float, dtype: str = "float32") -> Values:
        """Draw uniformly in ``[low, high)``."""
        raise self._lacks("uniform")

    def normal(self, shape: Shape, mean: float, std: float, dtype: str = "float32") -> Values:
        """Draw from a normal law."""
        raise self._lacks("normal")

    def truncated_normal(
        self, shape: Shape, mean: float, std: float, lower: float, upper: float, dtype: str = "float32"
    ) -> Values:
        """Draw from a normal law cut to ``mean + [lower, upper] * std``, bounds in standard deviations."""
        raise self._lacks("truncated_normal")

    def scaled(self, shape: Shape, fans: Fans, fan: str, gain: float, law: str, dtype: str = "float32") -> Values:
        """Draw with standard deviation ``gain / sqrt(fan)`` from a ``"normal"``, ``"truncated_normal"`` or ``"uniform"`` law.

        A framework rounds this scale in its own order of operations; that order is the reason this is a method.
        """
        std = gain / math.sqrt(fans.of(fan))
        if law == "uniform":
            return self.uniform(shape, -math.sqrt(3) * std, math.sqrt(3) * std, dtype)
        if law == "truncated_normal":
            return self.truncated_normal(shape, 0.0, std / TRUNCATED_STD, -2.0, 2.0, dtype)
        return self.normal(shape, 0.0, std, dtype)

    def _lacks(self, law: str) -> InvalidValueError:
        return InvalidValueError(f"stream {self.name!r} has no law {law!r}; pick another initializer or stream.")

    def check_dtype(self, dtype: str) -> str:
        """Return the dtype, or refuse one in which this stream was not measured."""
        if dtype not in self.dtypes:
            raise InvalidValueError(
                f"stream {self.name!r} draws {', '.join(self.dtypes)}, got dtype {dtype!r}; pick one of these or stream='numpy'."
            )
        return dtype


TRUNCATED_STD = 0.87962566103423978  # standard deviation of a standard normal cut to [-2, 2]


def seed_between(seed: Any, low: int, high: int) -> int:
    """Check a seed against the range that a framework takes.

    Raises:
        InvalidTypeError, InvalidValueError: not an integer, or outside ``[low, high]``; holds the seed and the range.
    """
    return integer("seed", seed, low, high)


def variance_scale(gain: float) -> float:
    """Return ``gain**2``: of the numbers next to it whose root the gain is, the shortest, He's 2 and not 2.0000000000000004."""
    square = float(gain) * gain
    near = [square + steps * math.ulp(square) for steps in (0, 1, -1, 2, -2)]
    return min(
        (scale for scale in near if scale >= 0 and math.sqrt(scale) == gain), key=lambda scale: len(repr(scale)), default=square
    )


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
