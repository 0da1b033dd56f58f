"""Indexing of tensors: cuts of the time axis, and parts of other axes."""

from __future__ import annotations

import operator
from fractions import Fraction
from typing import Any

import attrs
from torch import fx

from convpolicy.errors import ConvPolicyError
from convpolicy.frameworks.torch.chunks.building import Builder
from convpolicy.frameworks.torch.chunks.fusing import fused
from convpolicy.frameworks.torch.chunks.pointwise import add_pointwise
from convpolicy.frameworks.torch.chunks.probing import probed
from convpolicy.frameworks.torch.chunks.steps import Staged
from convpolicy.frameworks.torch.chunks.values import TIME, Size, Stream, channels_of
from convpolicy.frameworks.torch.chunks.windows import shifting_stage

WHOLE = slice(None)
CONSTANT_FIX = "cut a constant number of samples at an end, such as x[..., :-2]"


@attrs.frozen
class _Cut:
    """The samples that an index takes: all but some at both ends, then each ``step``-th."""

    first: int
    last: int
    step: int


def getitem(build: Builder, node: fx.Node, positional: Any) -> None:
    """Add a node that indexes a stream."""
    stream = positional[0]
    index = positional[1] if isinstance(positional[1], tuple) else (positional[1],)
    if not isinstance(stream, Stream) or any(isinstance(each, Stream) for each in index):
        raise build.refuse(node, "its index depends on the input", "use torch.where")
    place = _place(index, len(stream.axes), stream.time)
    cut = None if place is None else _cut(build, node, stream, index[place])
    if cut is None or cut == _Cut(0, 0, 1):
        add_pointwise(build, node, operator.getitem)
        return
    rest = (*index[:place], WHOLE, *index[place + 1 :]) if place is not None else index
    plain = all(each is Ellipsis or each == WHOLE for each in rest)
    if plain and cut.step == 1 and fused(build, node, cut.first, cut.last):
        return

    def after(data: Any) -> Any:
        return data[rest]

    try:
        stage = shifting_stage(build.root, channels_of(stream.axes), (-cut.first, -cut.last), stride=cut.step)
        [(axes, dtype)] = probed(lambda data, _index: after(data), node, build.known, build.device)
    except ConvPolicyError as error:
        raise build.refuse(node, str(error).rstrip("."), CONSTANT_FIX) from error
    except ValueError as error:
        raise build.refuse(node, str(error)) from error
    extra = -cut.first - cut.last if cut.step == 1 else None
    value = build.stream(axes, dtype, stream, ratio=Fraction(cut.step), extra=extra)
    build.step(node, Staged(stage, stream.axes, None if plain else after), value, [node.args[0]])  # type: ignore[list-item]


def _place(index: tuple[Any, ...], rank: int, time: int) -> int | None:
    """Return the item of an index that takes from the time axis; None if none does."""
    taken = sum(each is not None and each is not Ellipsis for each in index)
    axis = 0
    for place, each in enumerate(index):
        if each is Ellipsis:
            axis += rank - taken
        elif each is not None:
            if axis == time:
                return place
            axis += 1
        if axis > time:
            return None
    return None


def _cut(build: Builder, node: fx.Node, stream: Stream, item: Any) -> _Cut | None:
    """Return the cut of one item, or None for another index, which the test on random data judges."""
    if not isinstance(item, slice):
        return None
    start, stop, step = (_number(stream, each) for each in (item.start, item.stop, item.step))
    start = 0 if start is None else start
    if isinstance(start, int) and isinstance(step, (int, type(None))) and (step is None or step > 0) and start >= 0:
        if stop is None:
            return _Cut(start, 0, step or 1)
        if isinstance(stop, Size) and (last := stream.extra - stop.stream.extra - stop.offset) >= 0:
            return _Cut(start, last, step or 1)
        if isinstance(stop, int) and stop < 0:
            return _Cut(start, -stop, step or 1)
    raise build.refuse(node, "it takes a number of samples that is counted from the other end", CONSTANT_FIX)


def _number(stream: Stream, value: Any) -> Any:
    """Return a bound of a slice: None, an integer, or the length of the stream plus an offset."""
    if isinstance(value, Size) and value.axis == TIME and value.stream.root == stream.root:
        return value
    return value if value is None or isinstance(value, int) else ValueError
