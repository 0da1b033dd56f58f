"""Random streams: how a seed becomes the numbers that one framework's layers start with."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any, ClassVar

import attrs
import numpy as np

from convpolicy.arithmetic import Fans, integer
from convpolicy.bits.pieces import Shape, Values
from convpolicy.errors import ConvPolicyError, InvalidValueError, PluginError, raised, shown
from convpolicy.parts.choice import Choice
from convpolicy.parts.layout import Layout
from convpolicy.parts.part import Param, Part, first_sentence

REDRAWS = "redraws"  # the parameter of a stream whose framework draws when it builds a layer


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
        """Draw from a normal distribution."""
        raise self._lacks("normal")

    def truncated_normal(
        self, shape: Shape, mean: float, std: float, lower: float, upper: float, dtype: str = "float32"
    ) -> Values:
        """Draw from a normal distribution cut to ``mean + [lower, upper] * std``, bounds in standard deviations."""
        raise self._lacks("truncated_normal")

    def scaled(self, shape: Shape, fans: Fans, fan: str, gain: float, distribution: str, dtype: str = "float32") -> Values:
        """Draw with standard deviation ``gain / sqrt(fan)`` from a ``"normal"``, ``"truncated_normal"`` or ``"uniform"`` distribution.

        A framework rounds this scale in its own order of operations; that order is the reason this is a method.
        """
        std = gain / math.sqrt(fans.of(fan))
        if distribution == "uniform":
            return self.uniform(shape, -math.sqrt(3) * std, math.sqrt(3) * std, dtype)
        if distribution == "truncated_normal":
            return self.truncated_normal(shape, 0.0, std / TRUNCATED_STD, -2.0, 2.0, dtype)
        return self.normal(shape, 0.0, std, dtype)

    def _lacks(self, distribution: str) -> InvalidValueError:
        return InvalidValueError(
            f"random stream {self.name!r} has no distribution {distribution!r}; pick another initializer or random stream."
        )

    def check_dtype(self, dtype: str) -> str:
        """Return the dtype, or refuse one in which this stream was not measured."""
        if dtype not in self.dtypes:
            raise InvalidValueError(
                f"random stream {self.name!r} draws {', '.join(self.dtypes)}, got dtype {dtype!r}; pick one of these or random_stream='numpy'."
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


@attrs.frozen(eq=False)
class RandomStream(Part):
    """How one framework turns a seed into numbers.

    Args:
        name: unique name, usually the policy's.
        start: ``(seed, **params) -> Stream``; raises for a seed that the framework refuses.
        constructed: what the framework's own layer draws when it is built, ``"weight"`` and ``"bias"`` -> the initializer. The
            stream then has the parameter ``redraws``: True for code that builds that layer first and then draws anew whatever
            it wants to differ, so that the stream gives both. ``start`` does not get it.
        params: see `Part`.
    """

    kind: ClassVar[str] = "random stream"
    start: Callable[..., Stream] = attrs.field()
    constructed: Mapping[str, Choice] = attrs.field(factory=dict, kw_only=True)

    def __attrs_post_init__(self) -> None:
        if self.constructed and REDRAWS not in self.params:
            object.__setattr__(self, "params", MappingProxyType({**self.params, REDRAWS: Param(default=False, kind="flag")}))
        if not self.description:
            object.__setattr__(self, "description", first_sentence(self.start))

    def seeded(self, seed: Any, arguments: Mapping[str, Any]) -> Stream:
        """Return the stream as it is after seeding.

        Args:
            seed: what the framework's own seeding function takes.
            arguments: parameters of this part.

        Raises:
            InvalidTypeError, InvalidValueError: a seed that the framework refuses; holds the seed and the range.
            PluginError: the function fails.
        """
        passed = {name: value for name, value in arguments.items() if name != REDRAWS or not self.constructed}
        try:
            return self.start(seed, **passed)
        except (ConvPolicyError, KeyboardInterrupt):
            raise
        except BaseException as error:
            raise PluginError(
                f"random stream {self.name!r} ({self.provider}) failed to start with seed {shown(seed)}: {raised(error)}."
            ) from error


class Draws:
    """The numbers one tensor is filled from, in axes OIW whatever order the framework draws in.

    Args:
        stream: where they come from.
        layout: weights are drawn in its axis order.
        groups: groups of the convolution.
        dtype: of the tensor.
    """

    def __init__(self, stream: Stream, layout: Layout, groups: int, dtype: str) -> None:
        self._stream = stream
        self._layout = layout
        self._groups = groups
        self._dtype = dtype

    def uniform(self, shape: Shape, low: float, high: float) -> Values:
        """Draw uniformly in ``[low, high)``."""
        return self._drawn(shape, self._stream.uniform, low, high)

    def normal(self, shape: Shape, mean: float, std: float) -> Values:
        """Draw from a normal distribution."""
        return self._drawn(shape, self._stream.normal, mean, std)

    def truncated_normal(self, shape: Shape, mean: float, std: float, lower: float, upper: float) -> Values:
        """Draw from a normal distribution cut to ``mean + [lower, upper] * std``."""
        return self._drawn(shape, self._stream.truncated_normal, mean, std, lower, upper)

    def scaled(self, shape: Shape, fans: Fans, fan: str, gain: float, distribution: str) -> Values:
        """Draw with standard deviation ``gain / sqrt(fan)`` from the distribution ``normal``, ``truncated_normal`` or ``uniform``."""
        return self._drawn(shape, self._stream.scaled, fans, fan, gain, distribution)

    def _drawn(self, shape: Shape, draw: Callable[..., Values], *distribution: Any) -> Values:
        if len(shape) != len("OIW"):
            return draw(shape, *distribution, self._dtype)
        return self._layout.to_oiw(draw(_stored(self._layout, shape, self._groups), *distribution, self._dtype))


@lru_cache(maxsize=512)
def _stored(layout: Layout, shape: Shape, groups: int) -> Shape:
    """Return the shape that a layout gives a weight (out, in/groups, kernel)."""
    return layout.from_oiw(np.broadcast_to(np.float32(0), shape), groups).shape
