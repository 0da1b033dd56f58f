"""Steps of functions and methods of tensors."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own convention
from torch import Tensor, fx

from convpolicy.errors import ConvPolicyError
from convpolicy.frameworks.torch.chunks.building import Builder
from convpolicy.frameworks.torch.chunks.cuts import getitem
from convpolicy.frameworks.torch.chunks.names import ALONG_AXES, ELEMENTWISE, FUNCTION_REASONS, MOVING, name_of, words_of
from convpolicy.frameworks.torch.chunks.pointwise import add_pointwise, changes_its_input, require_no_chance
from convpolicy.frameworks.torch.chunks.steps import Staged
from convpolicy.frameworks.torch.chunks.values import BATCH, TIME, Misfit, Plain, Shape, Size, Stream, channels_of
from convpolicy.frameworks.torch.chunks.windows import (
    Given,
    Repeat,
    extra_of,
    given_stage,
    is_exact_factor,
    mode_of,
    pool_stage,
    shifting_stage,
)
from convpolicy.layers.capture import one

UNKNOWN = "convpolicy does not know which samples its result depends on"
ATTRIBUTES = ("dtype", "device", "ndim", "is_cuda", "requires_grad")
METHODS = ("dim", "ndimension", "get_device", "is_floating_point", "numel")
NAMED = ("values", "indices")  # the results of max, min, sort and topk
CONV1D = "input weight bias stride=1 padding=0 dilation=1 groups=1"
CONV_TRANSPOSE1D = "input weight bias stride=1 padding=0 output_padding=0 groups=1 dilation=1"
POOLS: dict[str, tuple[Callable[..., Tensor], str]] = {
    "avg_pool1d": (F.avg_pool1d, "input kernel_size stride padding=0 ceil_mode=False count_include_pad=True"),
    "max_pool1d": (F.max_pool1d, "input kernel_size stride padding=0 dilation=1 ceil_mode=False return_indices=False"),
}


def add_function(build: Builder, node: fx.Node) -> None:
    """Add a node that calls a function or a method.

    Raises:
        InvalidValueError: it cannot be streamed. The message contains its path.
    """
    called = _method(str(node.target)) if node.op == "call_method" else node.target
    function: Callable[..., Any] = called  # type: ignore[assignment]
    known = [build.known[each] for each in node.all_input_nodes]
    positional, keywords = build.arguments(node)
    if all(isinstance(value, Plain) for value in known):
        build.plain(node, function, Plain(_computed(function, positional, keywords)))
        return
    name = str(node.target) if node.op == "call_method" else name_of(node.target)
    if node.target is getattr or name in ("size", *METHODS):
        _add_attribute(build, node, function, name, positional, keywords)
    elif isinstance(_first_of(build, node), (Shape, Size, tuple, dict)) or name in ("iter", "len"):
        _add_size(build, node, function, name, positional)
    elif name == "getitem":
        getitem(build, node, positional)
    else:
        _add_call(build, node, function, name, positional, keywords)


def _first_of(build: Builder, node: fx.Node) -> Any:
    """Return what is known of the first argument."""
    return build.known[node.args[0]] if node.args and isinstance(node.args[0], fx.Node) else None


def _method(name: str) -> Callable[..., Any]:
    def call(tensor: Any, *positional: Any, **keywords: Any) -> Any:
        return getattr(tensor, name)(*positional, **keywords)

    return call


def _computed(function: Callable[..., Any], positional: Any, keywords: Any) -> Any:
    try:
        with torch.no_grad():
            return function(*positional, **keywords)
    except Exception as error:
        raise Misfit(str(error)) from error


def _add_attribute(build: Builder, node: fx.Node, function: Any, name: str, positional: Any, keywords: Any) -> None:
    """Add a node that reads an attribute of a tensor, such as its shape."""
    stream = positional[0]
    attribute = positional[1] if node.target is getattr else name
    if isinstance(stream, dict) and attribute in stream:
        build.plain(node, _item, _one_of(build, node, stream[attribute]))
        return
    if isinstance(stream, tuple) and attribute in NAMED and len(stream) == len(NAMED):
        build.plain(node, function, stream[NAMED.index(attribute)])
        return
    if not isinstance(stream, Stream):
        raise build.refuse(node, "it reads an attribute of several results", "use one of the results")
    if attribute == "shape" or (attribute == "size" and len(positional) + len(keywords) == 1):
        build.plain(node, function, Shape(stream))
    elif attribute == "size":
        build.plain(node, function, _size(stream, keywords.get("dim", positional[-1])))
    elif attribute in (*ATTRIBUTES, *METHODS) and attribute != "numel":
        data = torch.zeros(stream.sizes(1, 1), dtype=stream.dtype, device=build.device)
        value = getattr(data, attribute)
        build.plain(node, function, Plain(value() if attribute in METHODS else value))
    else:
        raise build.refuse(node, f"it reads {attribute!r} of a tensor", "")


def _size(stream: Stream, axis: int) -> Any:
    label = stream.axes[axis]
    return Plain(label) if isinstance(label, int) else Size(stream, label)


def _add_size(build: Builder, node: fx.Node, function: Any, name: str, positional: Any) -> None:
    """Add a node that takes a part of a shape or of several results, or computes with a size."""
    first = positional[0]
    if name == "getitem" and isinstance(first, Shape) and isinstance(positional[1], int):
        build.plain(node, function, _size(first.stream, positional[1]))
    elif name == "getitem" and (isinstance(first, tuple) or (isinstance(first, dict) and positional[1] in first)):
        build.plain(node, function, _one_of(build, node, first[positional[1]]))
    elif name in ("add", "sub") and isinstance(first, Size) and isinstance(positional[1], int):
        offset = positional[1] if name == "add" else -positional[1]
        build.plain(node, function, Size(first.stream, first.axis, first.offset + offset))
    else:
        raise build.refuse(node, "it computes with sizes of a tensor or with several results at once", "use them one by one")


def _one_of(build: Builder, node: fx.Node, value: Any) -> Any:
    """Return one of several results."""
    if value is None:
        raise build.refuse(node, "it reads a result that is known at the end of the input alone", "use the outputs alone")
    return value


def _item(results: Any, name: str) -> Any:
    return results[name]


# -- functions of streams ----------------------------------------------------------------------------------------------------------


def _add_call(build: Builder, node: fx.Node, function: Any, name: str, positional: Any, keywords: Any) -> None:
    stream = positional[0] if positional else keywords.get("input")
    time = stream.axes.index(TIME) if isinstance(stream, Stream) else -1
    if any(isinstance(value, (tuple, dict)) for value in _values(build, node)):
        raise build.refuse(node, "it takes several results of a function at once", "use them one by one")
    if name == "pad" and isinstance(stream, Stream) and _add_pad(build, node, stream, positional, keywords):
        return
    if name in ("conv1d", "conv_transpose1d"):
        _add_convolution(build, node, name, positional, keywords)
    elif name in POOLS:
        _, names = POOLS[name]
        add_pool(build, node, name, stream, words_of(names, positional, keywords))
    elif name == "interpolate":
        words = words_of("input size scale_factor mode=nearest", positional, keywords)
        add_upsampling(build, node, stream, words["size"], words["scale_factor"], words["mode"])
    elif name == "repeat_interleave" and _axis(positional, keywords) in (time, time - len(stream.axes)):
        _add_repeat(build, node, stream, positional[1] if len(positional) > 1 else keywords["repeats"])
    elif (
        plain := name[:-1] if name.endswith("_") and name not in ("and_", "or_", "not_") else name
    ) in ELEMENTWISE | ALONG_AXES | MOVING:
        require_no_chance(build, node, plain, positional, keywords)
        add_pointwise(build, node, function, changes_its_input(node, name, positional, keywords))
    else:
        raise build.refuse(node, *FUNCTION_REASONS.get(name, (UNKNOWN, "")))


def _values(build: Builder, node: fx.Node) -> list[Any]:
    return [build.known[each] for each in node.all_input_nodes]


def _axis(positional: Any, keywords: Any) -> Any:
    return positional[2] if len(positional) > 2 else keywords.get("dim")


def _add_pad(build: Builder, node: fx.Node, stream: Stream, positional: Any, keywords: Any) -> bool:
    """Add a padding of the time axis. Return False if the call pads other axes alone."""
    words = words_of("input pad mode=constant value", positional, keywords)
    try:
        sides = [int(each) for each in words["pad"]]
    except (TypeError, ValueError):
        raise build.refuse(node, "its padding depends on the number of samples", "pad by a constant number") from None
    place = 2 * (len(stream.axes) - 1 - stream.time)
    left, right = [*sides, 0, 0, 0, 0, 0, 0, 0, 0][place : place + 2]
    if (left, right) == (0, 0):
        return False
    others = [*sides[:place], 0, 0, *sides[place + 2 :]]
    if any(others) and words["mode"] != "constant":
        raise build.refuse(node, f"it pads several axes by mode {words['mode']!r}", "pad one axis after another")
    add_padding(build, node, stream, (left, right), mode_of(words["mode"], words["value"]))
    if any(others):
        raise build.refuse(node, "it pads the time and another axis at once", "pad one axis after another")
    return True


def add_padding(build: Builder, node: fx.Node, stream: Stream, sides: tuple[int, int], mode: Any) -> None:
    """Add a padding of the time axis.

    Args:
        build: the builder.
        node: the node.
        stream: its input.
        sides: samples at the start and at the end; a negative number removes samples.
        mode: a padding mode.
    """
    try:
        stage = shifting_stage(build.root, channels_of(stream.axes), sides, mode)
    except ConvPolicyError as error:
        raise build.refuse(node, str(error).rstrip("."), "") from error
    build.step(node, Staged(stage, stream.axes), build.stream(stream.axes, stream.dtype, stream, extra=sum(sides)))


def _add_convolution(build: Builder, node: fx.Node, name: str, positional: Any, keywords: Any) -> None:
    transposed = name == "conv_transpose1d"
    words = words_of(CONV_TRANSPOSE1D if transposed else CONV1D, positional, keywords)
    stream, weight = words["input"], words["weight"]
    if not isinstance(stream, Stream) or not isinstance(weight, Tensor) or isinstance(words["bias"], Stream):
        raise build.refuse(node, "its weight depends on the input", "use a parameter")
    try:
        stage = given_stage(build.root, transposed, words, build.execution)
    except ConvPolicyError as error:
        raise build.refuse(node, str(error).rstrip("."), "") from error
    spec = stage.arrays.spec
    require_channels(build, stream, spec.in_channels)
    ratio = Fraction(1, spec.stride) if transposed else Fraction(spec.stride)
    value = build.stream((BATCH, spec.out_channels, TIME), weight.dtype, stream, ratio=ratio, extra=extra_of(stage))
    build.step(node, Given(stage, stream.axes, build.root), value, [node.all_input_nodes[0]])


def require_channels(build: Builder, stream: Stream, channels: int) -> None:
    """Check the axes of the input of a convolution.

    Raises:
        Misfit: it is not (batch, channels, time).
    """
    if stream.axes != (BATCH, channels, TIME):
        raise Misfit(f"its input must have shape (batch, {channels}, time), got ({', '.join(map(str, stream.axes))})")


def add_pool(build: Builder, node: fx.Node, name: str, stream: Stream, words: dict[str, Any]) -> None:
    """Add a pooling of the time axis with fixed windows."""
    function, _names = POOLS[name]
    kernel = one(words["kernel_size"])
    stride = kernel if words["stride"] is None else one(words["stride"])
    padding, dilation = one(words["padding"]), one(words.get("dilation", 1))
    if words["ceil_mode"] or words.get("return_indices") or dilation != 1:
        raise build.refuse(node, "ceil_mode, return_indices and dilation are not supported", "leave them out")
    if padding and (name == "max_pool1d" or not words["count_include_pad"]):
        raise build.refuse(node, f"its padding of {padding} samples is not read as 0", "pad the input before")
    if len(stream.axes) != 3 or stream.time != 2:
        raise Misfit("its input must have shape (batch, channels, time)")
    execution = build.execution if name == "avg_pool1d" else "fast"  # a maximum has no rounding
    stage = pool_stage(build.root, channels_of(stream.axes), function, kernel, stride, padding, execution)
    build.step(node, Staged(stage, stream.axes), build.stream(stream.axes, stream.dtype, stream, ratio=Fraction(stride)))


def add_upsampling(build: Builder, node: fx.Node, stream: Stream, size: Any, factor: Any, mode: str) -> None:
    """Add an upsampling of the time axis that repeats each sample."""
    factor = factor[0] if isinstance(factor, (tuple, list)) and len(factor) == 1 else factor
    if size is not None or mode not in ("nearest", "nearest-exact"):
        raise build.refuse(node, f"mode {mode!r} and a size read other samples", "use mode 'nearest' and a scale_factor")
    if not is_exact_factor(factor):
        raise build.refuse(
            node, f"the scale factor {factor!r} does not repeat each sample", "use an integer, or repeat_interleave"
        )
    if len(stream.axes) != 3 or stream.time != 2:
        raise Misfit("its input must have shape (batch, channels, time)")
    _add_repeat(build, node, stream, int(factor))


def _add_repeat(build: Builder, node: fx.Node, stream: Stream, factor: Any) -> None:
    if not isinstance(factor, int) or factor < 1:
        raise build.refuse(node, f"it repeats samples {factor!r} times", "use an integer")
    value = build.stream(stream.axes, stream.dtype, stream, ratio=Fraction(1, factor))
    build.step(node, Repeat(factor, stream.time), value)
