"""The layers of a model and the cuts of their inputs, from the graph of the model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

import attrs
from torch import fx, nn

from convpolicy.core import sharding
from convpolicy.core.cuts import Cuts
from convpolicy.core.sharding import Layer
from convpolicy.core.spec import ConvSpec
from convpolicy.errors import ConvPolicyError, InvalidValueError, placed
from convpolicy.frameworks.torch.chunks.arrays import TorchArrays
from convpolicy.frameworks.torch.chunks.building import Builder
from convpolicy.frameworks.torch.chunks.functions import UNKNOWN, add_function, require_channels
from convpolicy.frameworks.torch.chunks.model import walked
from convpolicy.frameworks.torch.chunks.modules import channels_in, patched
from convpolicy.frameworks.torch.chunks.names import home_of, is_sample_by_sample, name_of, reason_of
from convpolicy.frameworks.torch.chunks.pointwise import add_pointwise, on_a_copy
from convpolicy.frameworks.torch.chunks.steps import Pointwise
from convpolicy.frameworks.torch.chunks.tracing import Whole, is_layer, known_reason, path_of, traced
from convpolicy.frameworks.torch.chunks.values import BATCH, TIME, Misfit, Stream, channels_of, refusal
from convpolicy.frameworks.torch.chunks.windows import is_exact_factor
from convpolicy.frameworks.torch.shards.blocks import add_blocks
from convpolicy.frameworks.torch.shards.sizes import Sizes
from convpolicy.frameworks.torch.shards.windows import WINDOWS
from convpolicy.layers.capture import capture
from convpolicy.layers.wrapper import wrapper_of

SHARDED = "module must be one that can be sharded, got {}"
MODULES = "use modules for what reads several samples: a Conv1d, nn.ConstantPad1d, nn.AvgPool1d, nn.Upsample"
MIXING = frozenset(["conv1d", "conv_transpose1d", "pad", "avg_pool1d", "max_pool1d", "interpolate", "repeat_interleave"])


@attrs.frozen(eq=False)
class Place:
    """One layer of a model.

    Args:
        module: the module.
        arrays: its arrays.
        layer: the layer on its input.
        cuts: the cuts of its input.
    """

    module: nn.Module
    arrays: Any
    layer: Layer
    cuts: Cuts


@attrs.frozen(eq=False)
class Layout:
    """How a module is cut.

    Args:
        places: its layers, by path.
        cuts: the cuts of its output.
        norms: modules that mix samples of all ranks while they are in training mode.
    """

    places: dict[str, Place]
    cuts: Cuts
    norms: tuple[nn.Module, ...] = ()


def layout_of(module: nn.Module, cuts: Cuts, documents: Any, blocks: Mapping[str, int], rank: int) -> Layout:
    """Return the layers of a module and their cuts.

    Args:
        module: one convolution, or a model whose forward method takes a tensor (batch, channels, length) and returns one tensor.
        cuts: cuts of its input.
        documents: borders of the documents of the input, or None for one.
        blocks: for paths of modules, the number of samples from which each of their outputs is computed.
        rank: the rank of this process.

    Raises:
        InvalidValueError: a part of the model mixes samples in a way that is not known. The message contains its path.
    """
    if is_layer(module):
        place = _layer(module, cuts, documents)
        return Layout({"": place}, cuts.mapped(place.layer.output_cut))
    whole = Whole(module)
    lone = {module.get_submodule(path): samples for path, samples in blocks.items()}
    with _evaluating(module):
        sizes = Sizes(whole, (cuts, documents), rank, _layer_of, lone)
        graph = traced(whole, lone.__contains__, _untraced, sizes.decide)
        misfit: Exception | None = None
        for channels in channels_in(whole, graph):
            try:
                return _laid_out(graph, _Builder(whole, graph, channels, cuts, documents, lone))
            except Misfit as error:
                misfit = misfit or error
    raise InvalidValueError(
        f"module must be one that takes a tensor (batch, channels, length), got {misfit}; pass a model of such data."
    )


@contextmanager
def _evaluating(module: nn.Module) -> Iterator[None]:
    """Put a model into evaluation mode, since chance would look like a mixture of samples."""
    modes = [(each, each.training) for each in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for each, training in modes:
            each.training = training


def _untraced(path: str, module: nn.Module, reason: str) -> Exception:
    fix = "rewrite it without conditions on sizes and values, or shard its layers one by one"
    if (known := known_reason(path, module)) is not None:
        path, module, reason, fix = known
    return refusal(path, f"module {type(module).__qualname__}", reason, fix, SHARDED)


def _layer(module: nn.Module, cuts: Cuts, documents: Any) -> Place:
    captured = capture(module)
    wrapper = wrapper_of(module)
    native = module if wrapper is None else wrapper.convolution_in(module)
    return _place(module, TorchArrays(native, captured.spec), captured.policy, captured.spec, cuts, documents)


def _layer_of(module: nn.Module, cut: tuple[Cuts, Any], channels: int) -> Layer | None:
    """Return a layer whose input is cut in a way and has a number of channels, or None for another module."""
    if is_layer(module):
        return _layer(module, *cut).layer
    home: Any = home_of(module)
    return _place(module, *WINDOWS[home](module, channels), *cut).layer if home in WINDOWS else None


def _place(module: nn.Module, arrays: Any, policy: Any, spec: ConvSpec, cuts: Cuts, documents: Any) -> Place:
    found = sharding.documents_of(partial(policy.planned, spec), cuts.borders[-1], documents)
    return Place(module, arrays, Layer(spec, found), cuts)


class _Builder(Builder):
    """What is known of the nodes of a graph so far. Streams with the same clock are cut alike."""

    def __init__(
        self, root: nn.Module, graph: fx.Graph, channels: int, cuts: Cuts, documents: Any, blocks: Mapping[nn.Module, int]
    ) -> None:
        super().__init__(root, graph, channels, "fast")
        self.cuts: dict[int, tuple[Cuts, Any]] = {self.source.clock: (cuts, documents)}
        self.blocks = blocks
        self.places_of: dict[str, Place] = {}
        self.norms: list[nn.Module] = []

    def refuse(self, node: fx.Node, reason: str, fix: str = "") -> Exception:
        """Return the error for a node."""
        return refusal(self.where(node), self.title(node), reason, fix or MODULES, SHARDED)

    def cut(self, node: fx.Node, axes: Any, dtype: Any, of: Stream, cuts: Cuts, documents: Any) -> None:
        """Add a node whose result is cut in another way."""
        clock = next((clock for clock, known in self.cuts.items() if known == (cuts, documents)), None)
        value = self.stream(axes, dtype, of, clock=clock)
        self.cuts[value.clock] = cuts, documents
        self.plain(node, tuple, value)

    def scale(self, node: fx.Node, of: Stream, function: Callable[[int], int], axes: Any = None, dtype: Any = None) -> None:
        """Add a node each of whose samples comes from the samples of one rank and one document."""
        cuts, documents = self.cuts[of.clock]
        borders = None if documents is None else tuple(map(function, documents))
        self.cut(node, axes or of.axes, dtype or of.dtype, of, cuts.mapped(function), borders)


def _laid_out(graph: fx.Graph, build: _Builder) -> Layout:
    _result, output = walked(build, graph, _add_module, _add_function)
    if not isinstance(output, Stream):
        raise InvalidValueError(
            "module must return one tensor with an axis of the length, got another result; pass a module that returns the tensor alone."
        )
    return Layout(build.places_of, build.cuts[output.clock][0], tuple(build.norms))


def _add_module(build: _Builder, node: fx.Node) -> None:
    module = build.root.get_submodule(str(node.target))
    positional, keywords = build.arguments(node)
    given = [*positional, *keywords.values()]
    if not given or not isinstance(given[0], Stream):
        raise build.refuse(node, "its input is not a tensor with an axis of the length")
    stream: Stream = given[0]
    home: Any = home_of(module)
    if module in build.blocks:
        add_blocks(build, node, module, stream, build.blocks[module])
    elif is_layer(module) or home in WINDOWS:
        _add_layer(build, node, module, stream, _layer if is_layer(module) else partial(_window, stream))
    elif reason := patched(module):
        raise build.refuse(node, reason, "remove it")
    elif home is nn.Upsample and not module.size and module.mode == "nearest" and is_exact_factor(module.scale_factor):
        factor = int(module.scale_factor)  # type: ignore[arg-type]
        build.scale(node, stream, lambda border: border * factor)
    elif is_sample_by_sample(module):
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            if module.running_mean is None:
                raise build.refuse(node, "it normalizes over the samples of all ranks", "use track_running_stats=True")
            build.norms.append(module)
        add_pointwise(build, node, on_a_copy(module))
    else:
        raise build.refuse(node, *(reason_of(module) or (UNKNOWN, "")))


def _window(stream: Stream, module: nn.Module, cuts: Cuts, documents: Any) -> Place:
    if len(stream.axes) != 3 or stream.time != 2:
        raise Misfit("its input must have shape (batch, channels, length)")
    return _place(module, *WINDOWS[home_of(module)](module, channels_of(stream.axes)), cuts, documents)


def _add_layer(
    build: _Builder, node: fx.Node, module: nn.Module, stream: Stream, place_of: Callable[[nn.Module, Cuts, Any], Place]
) -> None:
    cuts, documents = build.cuts[stream.clock]
    path = path_of(str(node.target))
    try:
        with placed(f"module must be one that can be sharded, got {build.title(node)} at {path!r}"):
            place = place_of(module, cuts, documents)
    except ConvPolicyError as error:
        raise InvalidValueError(str(error)) from error
    spec = place.layer.spec
    require_channels(build, stream, spec.in_channels)
    known = build.places_of.setdefault(path, place)
    if (known.cuts, known.layer) != (cuts, place.layer):
        raise build.refuse(node, "it is called with inputs of different lengths", "use a copy of it")
    tensor = next(module.parameters(), None)
    output = cuts.mapped(place.layer.output_cut)
    more = None if documents is None else (*(document.first_output for document in place.layer.documents), output.borders[-1])
    dtype = stream.dtype if tensor is None else tensor.dtype
    build.cut(node, (BATCH, spec.out_channels, TIME), dtype, stream, output, more)


def _add_function(build: _Builder, node: fx.Node) -> None:
    streams = [build.known[each] for each in build.inputs(node)]
    name = str(node.target) if node.op == "call_method" else name_of(node.target)
    if streams and name in MIXING:
        raise build.refuse(node, "it reads samples of other ranks")
    borders = sorted({build.cuts[stream.clock][0].borders for stream in streams})
    if len({each[-1] for each in borders}) > 1:
        lengths = sorted({each[-1] for each in borders})
        raise build.refuse(node, f"its inputs have different lengths, {lengths}", "cut the longer one, or pad the shorter one")
    if len({stream.clock for stream in streams}) > 1:
        raise build.refuse(
            node,
            f"its inputs are cut at different places, {' and '.join(str(list(each)) for each in borders)}",
            "pass parts with borders at multiples of the strides",
        )
    before = len(build.items)
    add_function(build, node)
    step = build.items[-1].step if len(build.items) > before else None
    if step is not None and not isinstance(step, Pointwise):
        raise build.refuse(node, "it takes a part of the samples of all ranks", "use a layer with another padding")
    if name == "batch_norm":
        build.norms.append(build.root)
