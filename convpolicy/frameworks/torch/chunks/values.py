"""What is known of a value in the graph of a model before it runs: its axes, and how many samples of it come in each chunk."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any, TypeAlias

import attrs
import torch
from torch import Tensor, fx

from convpolicy.errors import InvalidValueError

BATCH, TIME = "batch", "time"
PROBES = ((2, 5), (3, 7))  # two sizes of the batch and of the time, with which functions are run on random data
HOOK = "convpolicy_streaming_forms"


class Misfit(Exception):  # noqa: N818 - it never reaches a caller
    """A function that does not accept the shapes of its input, as with a wrong number of channels."""


@attrs.frozen(eq=False)
class Stream:
    """A tensor with a time axis.

    Args:
        axes: ``"batch"``, ``"time"`` or the size, for each axis.
        dtype: dtype of the tensor.
        clock: values with the same clock have the same number of samples in every chunk.
        hop: number of input samples per sample.
        period: smallest number of input samples after which the numbers of samples repeat.
        root: values with the same root have whole lengths that differ by a constant.
        extra: length of the whole value minus that of its root.
    """

    axes: tuple[str | int, ...]
    dtype: torch.dtype
    clock: int
    hop: Fraction = Fraction(1)
    period: int = 1
    root: int = 0
    extra: int = 0

    @property
    def time(self) -> int:
        """The axis of the time."""
        return self.axes.index(TIME)

    def sizes(self, batch: int, time: int) -> list[int]:
        """Return the shape for a batch and a number of samples."""
        return [batch if axis == BATCH else time if axis == TIME else int(axis) for axis in self.axes]

    def probe(self, batch: int, time: int, device: Any) -> Tensor:
        """Return random data; zeros for integers, which may be indices."""
        sizes = self.sizes(batch, time)
        generator = torch.Generator().manual_seed(sum(sizes))
        if self.dtype.is_floating_point:
            return torch.randn(sizes, generator=generator, dtype=torch.float64).to(device, self.dtype)
        if self.dtype == torch.bool:
            return torch.randint(2, sizes, generator=generator).to(device, self.dtype)
        return torch.zeros(sizes, dtype=self.dtype, device=device)


@attrs.frozen
class Plain:
    """A value that no chunk changes: a Python object, or a parameter."""

    value: Any


@attrs.frozen
class Shape:
    """The shape of a stream."""

    stream: Stream


@attrs.frozen
class Size:
    """The size of the batch or of the time of a stream, plus an offset."""

    stream: Stream
    axis: str
    offset: int = 0


Value: TypeAlias = "Stream | Plain | Shape | Size | tuple[Any, ...] | None"


def substituted(tree: Any, of: Callable[[fx.Node], Any]) -> Any:
    """Return nested arguments of a node with each node replaced."""
    if isinstance(tree, fx.Node):
        return of(tree)
    if isinstance(tree, (tuple, list)):
        return (list if isinstance(tree, list) else tuple)(substituted(each, of) for each in tree)
    if isinstance(tree, dict):
        return {name: substituted(each, of) for name, each in tree.items()}
    if isinstance(tree, slice):
        return slice(*(substituted(each, of) for each in (tree.start, tree.stop, tree.step)))
    return tree


def labels(first: Tensor, second: Tensor) -> tuple[str | int, ...]:
    """Return the axes of a function's result from its shapes at both probes.

    Raises:
        ValueError: the axes of the batch and the time are not both there, once.
    """
    (batch, time), (more_batch, more_time) = PROBES
    axes: list[str | int] = []
    for size, other in zip(first.shape, second.shape):
        pair = (int(size), int(other))
        axes.append(BATCH if pair == (batch, more_batch) else TIME if pair == (time, more_time) else pair[0])
        if isinstance(axes[-1], int) and pair[0] != pair[1]:
            raise ValueError("its result has a size that depends on the number of samples in another way")
    if len(first.shape) != len(second.shape) or axes.count(BATCH) != 1 or axes.count(TIME) != 1:
        raise ValueError("its result does not have one axis of the batch and one of the time")
    return tuple(axes)


def channels_of(axes: Sequence[str | int]) -> int:
    """Return the number of channels of a stream: the product of all axes but the batch and the time."""
    return math.prod(axis for axis in axes if isinstance(axis, int))


STREAMED = "model must be one that can take chunks, got {}, which cannot be streamed"  # what is refused


def refusal(path: str, what: str, reason: str, fix: str, refused: str = STREAMED) -> InvalidValueError:
    """Return the error for a part of a model that cannot be streamed, or sharded.

    Args:
        path: path of the module in the model.
        what: class of the module, or name of the function.
        reason: why, as text after "since".
        fix: what to do, as a clause.
        refused: the start of the message, with ``{}`` for the part.
    """
    place = f"{what} at {path!r}" if path else f"{what} in its forward method" if what.startswith("function") else what
    return InvalidValueError(f"{refused.format(place)}, since {reason}; {fix}.")


def register_a_form(kind: type | None = None) -> str:
    """Return the text of the last resort: a streaming form.

    Args:
        kind: class of a module, or None for a function.
    """
    if kind is None:
        return f"move it into a module and register a streaming form of its class with the hook {HOOK}"
    return f"register a streaming form of {kind.__module__}.{kind.__qualname__} with the hook {HOOK}"


def attribute(root: Any, path: str) -> Any:
    """Return an attribute of an attribute of a module, by its path."""
    for name in path.split("."):
        root = getattr(root, name)
    return root
