"""A registered random stream, and what an initializer sees of one: tensors in a policy's own axis order and dtype."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, ClassVar

import attrs
import numpy as np

from convpolicy.arithmetic import Fans
from convpolicy.layouts import Layout
from convpolicy.parts import Part, first_sentence
from convpolicy.random.stream import Shape, Stream, Values


@attrs.frozen(eq=False)
class RandomStream(Part):
    """How one framework turns a seed into numbers.

    Args:
        name: unique name, usually the policy's.
        start: ``(seed, **params) -> Stream``; raises for a seed that the framework refuses.
        params: see `Part`.
    """

    kind: ClassVar[str] = "stream"
    start: Callable[..., Stream] = attrs.field()

    def __attrs_post_init__(self) -> None:
        if not self.description:
            object.__setattr__(self, "description", first_sentence(self.start))


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
        """Draw from a normal law."""
        return self._drawn(shape, self._stream.normal, mean, std)

    def truncated_normal(self, shape: Shape, mean: float, std: float, lower: float, upper: float) -> Values:
        """Draw from a normal law cut to ``mean + [lower, upper] * std``."""
        return self._drawn(shape, self._stream.truncated_normal, mean, std, lower, upper)

    def scaled(self, shape: Shape, fans: Fans, fan: str, gain: float, law: str) -> Values:
        """Draw with standard deviation ``gain / sqrt(fan)`` from the law ``normal``, ``truncated_normal`` or ``uniform``."""
        return self._drawn(shape, self._stream.scaled, fans, fan, gain, law)

    def _drawn(self, shape: Shape, draw: Callable[..., Values], *law: Any) -> Values:
        if len(shape) != len("OIW"):
            return draw(shape, *law, self._dtype)
        return self._layout.to_oiw(draw(_stored(self._layout, shape, self._groups), *law, self._dtype))


@lru_cache(maxsize=512)
def _stored(layout: Layout, shape: Shape, groups: int) -> Shape:
    """Return the shape that a layout gives a weight (out, in/groups, kernel)."""
    return layout.from_oiw(np.broadcast_to(np.float32(0), shape), groups).shape
