"""Steps of the modules that stay one node: layers, modules of torch, and those with a streaming form."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from torch import Tensor, fx, nn

from convpolicy.chunks.building import layer_stage
from convpolicy.chunks.form import StreamingForm, form_of
from convpolicy.errors import ConvPolicyError
from convpolicy.frameworks.torch.capture import REWRITING_HOOKS
from convpolicy.frameworks.torch.chunks.building import Builder
from convpolicy.frameworks.torch.chunks.forms import AlikeForm, Form
from convpolicy.frameworks.torch.chunks.functions import UNKNOWN, add_padding, add_pool, add_upsampling, require_channels
from convpolicy.frameworks.torch.chunks.names import ATTENDING, EVERYWHERE, home_of, is_sample_by_sample, reason_of
from convpolicy.frameworks.torch.chunks.pointwise import add_pointwise
from convpolicy.frameworks.torch.chunks.steps import Staged
from convpolicy.frameworks.torch.chunks.tracing import is_layer
from convpolicy.frameworks.torch.chunks.values import BATCH, TIME, Misfit, Stream, attribute
from convpolicy.frameworks.torch.chunks.windows import extra_of, mode_of
from convpolicy.layers.capture import capture

FORMS = {"fast": Form, "same-bits": AlikeForm}
PADS: dict[type, str] = {
    nn.ConstantPad1d: "constant",
    nn.ZeroPad1d: "constant",
    nn.ReflectionPad1d: "reflect",
    nn.ReplicationPad1d: "replicate",
    nn.CircularPad1d: "circular",
}


def add_module(build: Builder, node: fx.Node) -> None:
    """Add a node that calls a module.

    Raises:
        InvalidValueError: it cannot be streamed. The message contains its path.
    """
    module = build.root.get_submodule(str(node.target))
    positional, keywords = build.arguments(node)
    given = [*positional, *keywords.values()]
    form = form_of(module)
    if not given or not isinstance(given[0], Stream):
        raise build.refuse(node, "its input is not a tensor with a time axis", "")
    if any(value is not None for value in given[1:]) and not (form is not None or _is_pointwise(module)):
        raise build.refuse(node, "it takes more arguments than its input", "call it with its input alone")
    if reason := "" if form is not None or is_layer(module) else patched(module):
        raise build.refuse(node, reason, "remove it")
    stream: Stream = given[0]
    if form is not None:
        _add_form(build, node, module, form, stream)
    elif is_layer(module):
        _add_layer(build, node, module, stream)
    else:
        _add_module_of_torch(build, node, module, stream)


def _is_pointwise(module: nn.Module) -> bool:
    return is_sample_by_sample(module) and not is_layer(module)


def patched(module: nn.Module) -> str:
    """Return why a call of a module may not compute what its class does; empty if it does."""
    hooks = [*module._forward_hooks.values(), *module._forward_pre_hooks.values()]
    if any(not isinstance(hook, tuple(REWRITING_HOOKS)) for hook in hooks):
        return "a forward hook may change what it computes"
    return "its forward was replaced" if "forward" in vars(module) else ""


def _add_layer(build: Builder, node: fx.Node, module: nn.Module, stream: Stream) -> None:
    try:
        stage, ratio = layer_stage(module, build.execution)
    except ConvPolicyError as error:
        raise type(error)(
            f"model must be one that can take chunks, got {build.title(node)} at {build.where(node)!r}: {error}"
        ) from error
    spec = stage.schedule.spec  # type: ignore[attr-defined]
    require_channels(build, stream, spec.in_channels)
    dtype = next(iter(module.parameters())).dtype
    build.layers[node] = capture(module)
    value = build.stream((BATCH, spec.out_channels, TIME), dtype, stream, ratio=ratio, extra=extra_of(stage))
    build.step(node, Staged(stage, stream.axes), value)


def _add_module_of_torch(build: Builder, node: fx.Node, module: nn.Module, stream: Stream) -> None:
    home: Any = home_of(module)
    words = {name: getattr(module, name, None) for name in ("kernel_size", "stride", "padding", "dilation", "ceil_mode")}
    if home in PADS:
        _require_last(stream)
        add_padding(build, node, stream, sides_of(module), mode_of(PADS[home], getattr(module, "value", 0)))
    elif home is nn.AvgPool1d:
        add_pool(build, node, "avg_pool1d", stream, words | {"dilation": 1, "count_include_pad": module.count_include_pad})
    elif home is nn.MaxPool1d:
        add_pool(build, node, "max_pool1d", stream, words | {"return_indices": module.return_indices})
    elif home is nn.Upsample:
        add_upsampling(build, node, stream, module.size, module.scale_factor, str(module.mode))
    elif is_sample_by_sample(module):
        _require_evaluation(build, node, module)
        in_place = bool(getattr(module, "inplace", False))
        add_pointwise(build, node, module, in_place)
    elif isinstance(module, ATTENDING):
        raise build.refuse(node, EVERYWHERE)
    else:
        raise build.refuse(node, *(reason_of(module) or (UNKNOWN, "")))


def sides_of(module: Any) -> tuple[int, int]:
    """Return the samples that a padding module adds at the start and at the end."""
    padding = module.padding
    return (padding, padding) if isinstance(padding, int) else (int(padding[0]), int(padding[1]))


def _require_last(stream: Stream) -> None:
    if stream.time != len(stream.axes) - 1:
        raise Misfit("the time must be the last axis of its input")


def _require_evaluation(build: Builder, node: fx.Node, module: Any) -> None:
    is_dropout = isinstance(module, nn.modules.dropout._DropoutNd) and module.p > 0
    is_batch_norm = isinstance(module, nn.modules.batchnorm._BatchNorm)
    if module.training and (is_dropout or is_batch_norm or isinstance(module, nn.RReLU)):
        raise build.refuse(node, "it is in training mode", "call model.eval() first")
    if is_batch_norm and module.running_mean is None:
        raise build.refuse(node, "it normalizes over the whole batch and time", "use track_running_stats=True")


def _add_form(build: Builder, node: fx.Node, module: nn.Module, form: StreamingForm, stream: Stream) -> None:
    try:
        made = form.built(module)
    except ValueError as error:
        if isinstance(error, ConvPolicyError):
            raise
        raise build.refuse(node, str(error)) from error
    own = tuple(getattr(made, "axes", ()))
    axes = tuple("channels" if isinstance(axis, int) else axis for axis in stream.axes)
    if own not in ((), axes):
        raise build.refuse(node, f"its input has the axes ({', '.join(axes)}), not ({', '.join(own)})", "transpose it")
    step = FORMS[build.execution](made, stream)
    try:
        results = step.probe(stream, build.device)
    except ConvPolicyError:
        raise
    except Exception as error:
        raise Misfit(f"its streaming form failed: {type(error).__name__}: {error}") from error
    follows = getattr(made, "outputs", None) is None
    clock = stream.clock if follows else None
    ratio = Fraction(getattr(made, "ratio", 1))
    values: list[Any] = []
    for result in results:
        if result is None:
            values.append(None)
            continue
        axes, dtype, samples = result
        if follows and samples != step.PROBE[1]:
            raise build.refuse(
                node,
                f"its streaming form returns {samples} outputs for {step.PROBE[1]} samples",
                "give the form a method outputs(count)",
            )
        value = build.stream(axes, dtype, stream, ratio=ratio, clock=clock)
        clock = value.clock
        values.append(value)
    build.step(node, step, step.packed(values), [node.all_input_nodes[0]])


def channels_in(root: nn.Module, graph: fx.Graph) -> list[int]:
    """Return the numbers of channels that the input of a model may have: those of its layers, in order, and 1."""
    found: list[int] = []
    for node in graph.nodes:
        if node.op == "call_module":
            module: Any = root.get_submodule(str(node.target))
            for each in (module, *module.modules()):
                sizes = [getattr(each, name, None) for name in ("in_channels", "num_features", "input_size", "in_features")]
                shape = getattr(each, "normalized_shape", ())
                found += [int(size) for size in (*sizes, *shape) if isinstance(size, int) and size > 0]
        elif node.op == "get_attr":
            tensor = attribute(root, str(node.target))
            if isinstance(tensor, Tensor) and tensor.dim() in (2, 3):
                found += [int(size) for size in tensor.shape[:2]]
    return list(dict.fromkeys([*found, 1]))
