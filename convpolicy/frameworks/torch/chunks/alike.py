"""``execution="same-bits"`` for the functions of a model: each sample has the same bits in every chunk.

Measured with torch 2.13 on an AMD EPYC with AVX2: ``sigmoid``, ``elu``, ``gelu``, ``silu``, ``softplus``, ``mish`` and ``sinh`` round
otherwise for the last elements of a tensor, which do not fill a vector of the processor, and a matrix product rounds otherwise for other
numbers of rows. Such functions are therefore called with one shape only, which has no such last elements.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, fx, nn

from convpolicy.frameworks.torch.chunks.names import MOVING, home_of, name_of, words
from convpolicy.frameworks.torch.chunks.probing import located
from convpolicy.frameworks.torch.chunks.steps import Arguments
from convpolicy.frameworks.torch.chunks.values import BATCH, TIME, Stream, channels_of

TILES = (64, 32, 16, 8, 4)  # numbers of samples of one call, tried in this order
LANES = 64  # a tensor with a multiple of so many numbers fills the vectors of every processor
SERIAL = 1 << 15  # torch divides no tensor of at most so many numbers among threads, which makes parts that may not fill vectors
VALUES = 1024  # random numbers of each channel together on which a number is tried
SPREAD = (0.1, 1.0, 10.0)  # standard deviations of them

# functions that copy, choose or compare numbers, or round once, as IEEE 754 says, in whatever shape they are called
EXACT = MOVING | words(
    """abs absolute add all amax amin and_ any bfloat16 bool cat ceil chunk clamp clamp_max clamp_min clip clone concat
    concatenate contiguous copysign count_nonzero detach div divide double dropout dropout1d embedding eq feature_dropout fix flip fliplr
    float floor fmax fmin ge getitem gt half hardshrink hardtanh iadd imul index_select int invert isfinite isinf isnan isub itruediv le
    leaky_relu logical_and logical_not logical_or logical_xor long lt masked_fill maximum minimum mul multiply nan_to_num
    narrow ne neg negative one_hot or_ pad pos positive prelu reciprocal relu relu6 repeat repeat_interleave roll round select sgn sign
    split split_with_sizes sqrt square stack sub subtract tensor_split threshold tile to true_divide truediv trunc type type_as
    unbind where xor"""
)
ROUNDING_TWICE = ("alpha", "rounding_mode")  # arguments with which they do more
EXACT_MODULES = (
    nn.Identity, nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.PReLU, nn.Hardtanh, nn.Threshold, nn.Hardshrink, nn.Flatten, nn.Unflatten,
    nn.Embedding, nn.ChannelShuffle, nn.modules.dropout._DropoutNd,
)  # fmt: skip


def is_exact(root: nn.Module, node: fx.Node, streams: Sequence[Stream]) -> bool:
    """Return True if the bits of a sample do not depend on the other samples of a call, by the definition of the function.

    Args:
        root: the module that was traced.
        node: the call.
        streams: its inputs.
    """
    if any(stream.dtype.is_complex for stream in streams):
        return False
    if node.op == "call_module":
        home = home_of(root.get_submodule(str(node.target)))
        return any(home is kind or (kind is nn.modules.dropout._DropoutNd and issubclass(home, kind)) for kind in EXACT_MODULES)
    name = str(node.target) if node.op == "call_method" else name_of(node.target)
    exact = name in EXACT or name.removesuffix("_") in EXACT
    return exact and not any(word in node.kwargs for word in ROUNDING_TWICE)


class Tiled:
    """A call of a function with one row and one number of samples only.

    Args:
        function: the function.
        streams: what is known of its inputs.
        results: axes of each tensor that it returns.
        tile: number of samples of one call.
    """

    def __init__(
        self, function: Callable[..., Any], streams: Sequence[Stream], results: Sequence[Sequence[Any]], tile: int
    ) -> None:
        self._function = function
        self._axes = [stream.axes for stream in streams]
        self._results = list(results)
        self._tile = tile

    def __call__(self, chunks: Sequence[Tensor], arguments: Arguments) -> Any:
        """Return the results for chunks with as many rows and samples each."""
        batch, count = (chunks[0].shape[self._axes[0].index(axis)] for axis in (BATCH, TIME))
        if not batch or not count:
            positional, keywords = arguments(chunks)
            return self._function(*positional, **keywords)
        rows = [self._row(chunks, arguments, row, count) for row in range(batch)]
        return _each(rows, [axes.index(BATCH) for axes in self._results])

    def _row(self, chunks: Sequence[Tensor], arguments: Arguments, row: int, count: int) -> Any:
        results = []
        for start in range(0, count, self._tile):
            samples = min(self._tile, count - start)
            parts = [self._part(chunk, axes, row, start, samples) for chunk, axes in zip(chunks, self._axes)]
            positional, keywords = arguments(parts)
            result = self._function(*positional, **keywords)
            results.append(_first_samples(result, self._results, samples))
        return _each(results, [axes.index(TIME) for axes in self._results])

    def _part(self, chunk: Tensor, axes: Sequence[Any], row: int, start: int, samples: int) -> Tensor:
        """Return some samples of a row, contiguous; the last is repeated until they are as many as in every call."""
        time = axes.index(TIME)
        part = chunk.narrow(axes.index(BATCH), row, 1).narrow(time, start, samples)
        if samples < self._tile:
            last = part.narrow(time, samples - 1, 1)
            part = torch.cat([part, *[last] * (self._tile - samples)], time)
        return part.clone(memory_format=torch.contiguous_format)


def _first_samples(result: Any, results: Sequence[Any], samples: int) -> Any:
    """Return the first samples of a result, or of each of a tuple of results."""
    if isinstance(result, (tuple, list)):
        return tuple(each.narrow(axes.index(TIME), 0, samples) for each, axes in zip(result, results))
    return result.narrow(results[0].index(TIME), 0, samples)


def _each(parts: Sequence[Any], axes: Sequence[int]) -> Any:
    """Join results, or tuples of results."""
    if len(parts) == 1:
        return parts[0]
    if isinstance(parts[0], tuple):
        return tuple(torch.cat(each, axis) for each, axis in zip(zip(*parts), axes))
    return torch.cat(list(parts), axes[0])


def tiled(
    function: Callable[..., Any], node: fx.Node, known: Mapping[fx.Node, Any], results: Sequence[Sequence[Any]], device: Any
) -> Tiled:
    """Return the call of a function with the largest number of samples that was found to keep the bits of each.

    All samples of the data on which a number is tried are equal, so that results that differ show that their place matters. A call with
    one sample has one place only.

    Args:
        function: the function.
        node: its node.
        known: what is known of the nodes before.
        results: axes of each tensor that it returns.
        device: the device of the model.
    """
    streams = {each: known[each] for each in node.all_input_nodes if isinstance(known[each], Stream)}
    inputs = list(streams.values())
    sizes = [channels_of(axes) for axes in (*(stream.axes for stream in inputs), *results)]
    trials = max(len(SPREAD), -(-VALUES // max(min(sizes), 1)))
    for tile in TILES:
        if any(size * tile % LANES or size * tile > SERIAL for size in sizes):
            continue
        if all(_is_even(function, node, known, streams, results, tile, seed, device) for seed in range(trials)):
            return Tiled(function, inputs, results, tile)
    return Tiled(function, inputs, results, 1)


def _is_even(
    function: Callable[..., Any], node: fx.Node, known: Mapping[fx.Node, Any], streams: Mapping[fx.Node, Stream],
    results: Sequence[Sequence[Any]], tile: int, seed: int, device: Any,
) -> bool:  # fmt: skip
    """Return True if all samples of a result are equal when all samples of the inputs are."""
    generator = torch.Generator().manual_seed(seed)
    data = {}
    for each, stream in streams.items():
        sizes = stream.sizes(1, 1)
        sample = torch.randn(sizes, generator=generator, dtype=torch.float64) * SPREAD[seed % len(SPREAD)]
        repeats = [tile if axis == TIME else 1 for axis in stream.axes]
        data[each] = sample.to(device, stream.dtype).repeat(repeats)
    with torch.no_grad():
        positional, keywords = located(node, known, data, 1, tile)
        result = function(*positional, **keywords)
    pairs = zip(result if isinstance(result, (tuple, list)) else [result], results)
    return all(_are_equal(each, axes.index(TIME)) for each, axes in pairs)


def _are_equal(data: Tensor, time: int) -> bool:
    """Return True if all samples have the bits of the first."""
    bits = data.detach().movedim(time, 0).contiguous().reshape(data.shape[time], -1).view(torch.uint8)
    return bool((bits == bits[:1]).all())
