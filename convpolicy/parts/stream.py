"""Random streams reproduce the random numbers that a framework draws for initial weights after a seed."""

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

REDRAWS = "redraws"  # parameter of a stream whose framework draws weights while it builds a layer


class Stream:
    """A seeded random stream. It draws one tensor after another, in the order in which the framework builds its layers.

    A subclass reproduces one framework. It draws the elements in C order, in the framework's axis order, and rounds like the framework.
    The drawing methods return an array of ``shape`` and ``dtype``. For bfloat16, the array has dtype float32.

    Args:
        seed: a seed that the framework's own seeding function accepts.

    Raises:
        InvalidTypeError, InvalidValueError: the framework refuses the seed. The message contains the seed and the range.
    """

    name: ClassVar[str]
    dtypes: ClassVar[tuple[str, ...]] = ("float32",)

    def begin(self, role: str) -> None:
        """Prepare for the next tensor of a layer. Called before each tensor, even if the tensor needs no random numbers.

        Args:
            role: ``"weight"``, then ``"bias"``.
        """

    def uniform(self, shape: Shape, low: float, high: float, dtype: str = "float32") -> Values:
        """Draw from a uniform distribution on ``[low, high)``."""
        raise self._lacks("uniform")

    def normal(self, shape: Shape, mean: float, std: float, dtype: str = "float32") -> Values:
        """Draw from a normal distribution."""
        raise self._lacks("normal")

    def truncated_normal(
        self, shape: Shape, mean: float, std: float, lower: float, upper: float, dtype: str = "float32"
    ) -> Values:
        """Draw from a normal distribution truncated to ``mean + [lower, upper] * std``."""
        raise self._lacks("truncated_normal")

    def scaled(self, shape: Shape, fans: Fans, fan: str, gain: float, distribution: str, dtype: str = "float32") -> Values:
        """Draw from a distribution with the standard deviation ``gain / sqrt(fan)``.

        A subclass overrides this method if its framework computes the scale in another order of operations.

        Args:
            shape: shape of the tensor, in the framework's axis order.
            fans: fan-in and fan-out of the weight.
            fan: name of the fan to scale by, e.g. ``"fan_in"``.
            gain: factor of the standard deviation.
            distribution: ``"normal"``, ``"truncated_normal"`` or ``"uniform"``.
            dtype: name of the dtype.
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
        """Return the dtype if the stream supports it.

        Raises:
            InvalidValueError: the stream does not support the dtype. The message lists the supported dtypes.
        """
        if dtype not in self.dtypes:
            raise InvalidValueError(
                f"random stream {self.name!r} draws {', '.join(self.dtypes)}, got dtype {dtype!r}; pick one of these or random_stream='numpy'."
            )
        return dtype


TRUNCATED_STD = 0.87962566103423978  # standard deviation of a standard normal distribution truncated to [-2, 2]


def seed_between(seed: Any, low: int, high: int) -> int:
    """Check a seed against the range that a framework accepts.

    Raises:
        InvalidTypeError, InvalidValueError: not an integer, or outside ``[low, high]``. The message contains seed and range.
    """
    return integer("seed", seed, low, high)


def variance_scale(gain: float) -> float:
    """Return ``gain**2`` without its rounding error: the shortest decimal nearby whose square root is ``gain``.

    For He initialization the result is 2, where ``gain * gain`` is 2.0000000000000004.
    """
    square = float(gain) * gain
    nearby = [square + steps * math.ulp(square) for steps in (0, 1, -1, 2, -2)]
    return min(
        (scale for scale in nearby if scale >= 0 and math.sqrt(scale) == gain), key=lambda scale: len(repr(scale)), default=square
    )


@attrs.frozen(eq=False)
class RandomStream(Part):
    """The random number generator with which one framework draws initial weights.

    Args:
        name: unique name, usually the same as the policy's.
        start: function ``(seed, **params) -> Stream``. It raises an error for a seed that the framework refuses.
        constructed: mapping from ``"weight"`` and ``"bias"`` to the initializers that the constructor of the framework's layer
            uses. With this mapping, the stream has the parameter ``redraws``. ``redraws=True`` reproduces code that builds the
            layer and then draws its weights again: both draws use numbers of the stream. ``start`` does not receive ``redraws``.
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
        """Return a stream that starts from a seed.

        Args:
            seed: a seed that the framework's own seeding function accepts.
            arguments: the part's parameters, from `Part.arguments`.

        Raises:
            InvalidTypeError, InvalidValueError: the framework refuses the seed. The message contains the seed and the range.
            PluginError: the function fails.
        """
        params = {name: value for name, value in arguments.items() if name != REDRAWS or not self.constructed}
        try:
            return self.start(seed, **params)
        except (ConvPolicyError, KeyboardInterrupt):
            raise
        except BaseException as error:
            raise PluginError(
                f"random stream {self.name!r} ({self.provider}) failed to start with seed {shown(seed)}: {raised(error)}."
            ) from error


class Draws:
    """Draws tensors from a stream in the framework's axis order and returns them in the axis order of the NumPy layer.

    Args:
        stream: the random stream.
        layout: the framework's weight layout. Numbers are drawn in the axis order of this layout.
        groups: groups of the convolution.
        dtype: name of the dtype of the tensors.
    """

    def __init__(self, stream: Stream, layout: Layout, groups: int, dtype: str) -> None:
        self._stream = stream
        self._layout = layout
        self._groups = groups
        self._dtype = dtype

    def uniform(self, shape: Shape, low: float, high: float) -> Values:
        """Draw from a uniform distribution on ``[low, high)``."""
        return self._draw(shape, self._stream.uniform, low, high)

    def normal(self, shape: Shape, mean: float, std: float) -> Values:
        """Draw from a normal distribution."""
        return self._draw(shape, self._stream.normal, mean, std)

    def truncated_normal(self, shape: Shape, mean: float, std: float, lower: float, upper: float) -> Values:
        """Draw from a normal distribution truncated to ``mean + [lower, upper] * std``."""
        return self._draw(shape, self._stream.truncated_normal, mean, std, lower, upper)

    def scaled(self, shape: Shape, fans: Fans, fan: str, gain: float, distribution: str) -> Values:
        """Draw from a distribution with the standard deviation ``gain / sqrt(fan)``; see `Stream.scaled`."""
        return self._draw(shape, self._stream.scaled, fans, fan, gain, distribution)

    def _draw(self, shape: Shape, draw: Callable[..., Values], *distribution: Any) -> Values:
        if len(shape) != len("OIW"):
            return draw(shape, *distribution, self._dtype)
        return self._layout.restored(draw(_stored(self._layout, shape, self._groups), *distribution, self._dtype))


@lru_cache(maxsize=512)
def _stored(layout: Layout, shape: Shape, groups: int) -> Shape:
    """Return the shape in a layout of a weight with the axes of the NumPy layer."""
    return layout.stored(np.broadcast_to(np.float32(0), shape), groups).shape
