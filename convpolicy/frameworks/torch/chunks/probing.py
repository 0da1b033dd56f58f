"""Tests of a function on random data: whether each sample of its result depends on the same sample of its inputs alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, fx

from convpolicy.errors import ConvPolicyError
from convpolicy.frameworks.torch.chunks.values import (
    BATCH,
    PROBES,
    TIME,
    Misfit,
    Plain,
    Shape,
    Size,
    Stream,
    labels,
    substituted,
)

FAR = 1e-2  # a difference of this size, relative to the largest value, is no rounding: samples that mix differ by about 1


def _at(known: Mapping[fx.Node, Any], data: Mapping[fx.Node, Tensor], batch: int, time: int) -> Callable[[fx.Node], Any]:
    def of(node: fx.Node) -> Any:
        value = known[node]
        if isinstance(value, Stream):
            return data[node]
        if isinstance(value, Plain):
            return value.value
        if isinstance(value, Shape):
            return torch.Size(value.stream.sizes(batch, time))
        if isinstance(value, Size):
            return (batch if value.axis == BATCH else time) + value.offset
        raise ValueError("one of its arguments is a tuple of results")

    return of


def located(
    node: fx.Node, known: Mapping[fx.Node, Any], data: Mapping[fx.Node, Tensor], batch: int, time: int
) -> tuple[Any, Any]:
    """Return the arguments of a node for data of its streams, with a number of rows and of samples."""
    of = _at(known, data, batch, time)
    return substituted(node.args, of), substituted(node.kwargs, of)


def probed(function: Callable[..., Any], node: fx.Node, known: Mapping[fx.Node, Any], device: Any) -> list[tuple[Any, ...]]:
    """Return, for each tensor that a function returns, the axes and the dtype.

    Args:
        function: the function.
        node: its node in the graph.
        known: what is known of the nodes before.
        device: the device of the model.

    Raises:
        ValueError: samples mix, or the result has no time axis. The message is a reason.
        Misfit: the function fails.
    """
    streams = [each for each in node.all_input_nodes if isinstance(known[each], Stream)]

    def run(data: Mapping[fx.Node, Tensor], batch: int, time: int) -> list[Tensor]:
        positional, keywords = located(node, known, data, batch, time)
        try:
            result = function(*positional, **keywords)
        except ConvPolicyError:
            raise
        except Exception as error:
            raise Misfit(f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}") from error
        results = list(result) if isinstance(result, (tuple, list)) else [result]
        if not all(isinstance(each, Tensor) for each in results):
            raise ValueError("it returns other values than tensors")
        return results

    def whole(batch: int, time: int) -> tuple[dict[fx.Node, Tensor], list[Tensor]]:
        data = {each: known[each].probe(batch, time, device) for each in streams}
        return data, run(data, batch, time)

    with torch.no_grad():
        probes = [whole(*sizes) for sizes in PROBES]
        if len(probes[0][1]) != len(probes[1][1]):
            raise ValueError("the number of its results depends on the number of samples")
        found = [(labels(*pair), pair[0].dtype) for pair in zip(probes[0][1], probes[1][1])]
        (batch, time), (data, results) = PROBES[0], probes[0]
        for axis, places, sizes in ((TIME, (0, 2, time - 1), (batch, 1)), (BATCH, (0, batch - 1), (1, time))):
            for place in places:
                part = {each: _narrow(data[each], known[each].axes, axis, place) for each in streams}
                for (axes, _dtype), result, alone in zip(found, results, run(part, *sizes)):
                    expected = _narrow(result, axes, axis, place)
                    if alone.shape != expected.shape or not _is_close(alone, expected):
                        raise ValueError(f"it mixes positions of the {axis} axis")
    return found


def _narrow(data: Tensor, axes: tuple[str | int, ...], axis: str, place: int) -> Tensor:
    return data.narrow(axes.index(axis), place, 1)


def _is_close(one: Tensor, other: Tensor) -> bool:
    if not (one.is_floating_point() or one.is_complex()):
        return torch.equal(one, other)
    scale = float(torch.nan_to_num(other.abs().double()).max()) if other.numel() else 0.0
    return torch.allclose(one.double(), other.double(), rtol=0.0, atol=FAR * scale + 1e-30, equal_nan=True)
