"""A scripted or traced convolution, read from its graph."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from convpolicy.errors import InvalidValueError

# operator -> names of its arguments after the input
OPERATORS = {
    "aten::conv1d": ("weight", "bias", "stride", "padding", "dilation", "groups"),
    "aten::_convolution_mode": ("weight", "bias", "stride", "padding", "dilation", "groups"),
    "aten::conv_transpose1d": ("weight", "bias", "stride", "padding", "output_padding", "groups", "dilation"),
    **dict.fromkeys(
        ("aten::convolution", "aten::_convolution"),
        ("weight", "bias", "stride", "padding", "dilation", "transposed", "output_padding", "groups"),
    ),
}
PAD = "aten::pad"
MODES = {"constant": "zeros", "reflect": "reflect", "replicate": "replicate", "circular": "circular"}  # of aten::pad
COMPUTED: dict[str, Callable[..., Any]] = {  # what a graph computes from its constants and parameters
    "prim::ListConstruct": lambda *items: list(items),
    "aten::__is__": lambda one, other: one is other,
    "aten::_weight_norm": torch._weight_norm,
}
SEVERAL = "its graph contains several convolutions"
NONE = "its graph contains no convolution over one axis"
STORED = ("prim::Constant", "prim::GetAttr")


class Read(NamedTuple):
    """What the graph of a scripted convolution computes.

    Attributes:
        layer: a torch.nn.Conv1d or torch.nn.ConvTranspose1d with the same weights, without what ``pads`` adds.
        pads: what aten::pad adds before it, left and right; None without one.
        mode: padding mode of ``pads``.
    """

    layer: nn.Conv1d | nn.ConvTranspose1d
    pads: tuple[int, int] | None = None
    mode: str = "zeros"


class _OtherCodeError(Exception):
    """The graph contains something else than one convolution."""


@torch.no_grad()
def read(module: Any) -> Read:
    """Read the graph of a scripted or traced module.

    Args:
        module: a ``torch.jit.ScriptModule``.

    Raises:
        InvalidValueError: the graph contains something else than one convolution and its padding, or the module has a hook.
    """
    if any(hooks for hooks in _hooks(module)):
        raise _refused(module, "a forward hook may change what it computes")
    try:
        return _Module(module).read()
    except _OtherCodeError as error:
        raise _refused(module, str(error)) from None
    except (AttributeError, RuntimeError, TypeError, ValueError) as error:
        raise _refused(module, f"its graph cannot be read ({str(error).strip().splitlines()[0]})") from error


def _hooks(module: Any) -> Iterator[Any]:
    yield module._forward_hooks
    yield module._forward_pre_hooks
    yield module._c._get_forward_hooks()
    yield module._c._get_forward_pre_hooks()


def _refused(module: Any, reason: str) -> InvalidValueError:
    fix = "pass one of them, or use convpolicy.port_model" if reason == SEVERAL else "pass the module that it was made from"
    return InvalidValueError(f"layer {module.original_name} of TorchScript cannot be captured exactly: {reason}; {fix}.")


class _Module:
    """Reads the graph of one module."""

    def __init__(self, module: Any) -> None:
        self.module = module
        self.graph = module.inlined_graph
        self.inputs = [value.debugName() for value in self.graph.inputs()]

    def read(self) -> Read:
        nodes = [node for kind in OPERATORS for node in self.graph.findAllNodes(kind, True)]
        if len(nodes) != 1:
            raise _OtherCodeError(SEVERAL if nodes else NONE)
        (convolution,) = nodes
        if [value.debugName() for value in self.graph.outputs()] != [next(convolution.outputs()).debugName()]:
            raise _OtherCodeError("it changes the output of its convolution")
        data, *values = convolution.inputs()
        arguments = dict(zip(OPERATORS[convolution.kind()], map(self.value, values)))
        layer = _layer(convolution.kind() == "aten::conv_transpose1d", **arguments)
        pads = None
        mode = "zeros"
        used = [convolution]
        if data.node().kind() == PAD:
            pad = data.node()
            used.append(pad)
            data, *values = pad.inputs()
            pads, mode = _added(layer, *map(self.value, values))
        if data.debugName() != self.inputs[1]:
            raise _OtherCodeError(f"its graph contains {data.node().kind()} before its convolution")
        self._check(self.graph.nodes(), used)
        return Read(layer, pads, mode)

    def value(self, value: Any) -> Any:
        """Return a value that the graph computes from constants, parameters and attributes."""
        node, name = value.node(), value.debugName()
        kind = node.kind()
        if name in self.inputs:
            if self.inputs.index(name) == 0:
                return self.module
            if self.inputs.index(name) > 1 and value.type().kind() == "OptionalType":
                return None  # ConvTranspose1d's output_size
            raise _OtherCodeError("its weight is computed by the module around it, as torch.nn.utils.weight_norm does in a trace")
        if kind == "prim::Constant":
            return value.toIValue()
        if kind == "prim::GetAttr":
            return getattr(self.value(next(node.inputs())), node.s("name"))
        if kind == "prim::If":
            return self.value(list(self._chosen(node).outputs())[[out.debugName() for out in node.outputs()].index(name)])
        if kind in COMPUTED:
            return COMPUTED[kind](*map(self.value, node.inputs()))
        raise _OtherCodeError(f"its graph computes a value with {kind}")

    def _chosen(self, node: Any) -> Any:
        return list(node.blocks())[not self.value(next(node.inputs()))]

    def _check(self, nodes: Iterable[Any], used: list[Any]) -> None:
        """Refuse a graph with a node that may change the data."""
        for node in nodes:
            if node.kind() == "prim::If":
                self._check(self._chosen(node).nodes(), used)
            elif node.kind() not in (*STORED, *COMPUTED) and all(node != known for known in used):
                raise _OtherCodeError(f"its graph also contains {node.kind()}")


def _layer(
    is_transposed: bool,
    *,
    weight: Any,
    bias: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: int,
    transposed: bool = False,
    output_padding: Any = (0,),
) -> nn.Conv1d | nn.ConvTranspose1d:
    if not isinstance(weight, Tensor) or weight.dim() != 3:
        raise _OtherCodeError(NONE)
    first, second, kernel = weight.shape
    sizes: dict[str, Any] = {"stride": stride[0], "dilation": dilation[0], "groups": groups, "bias": bias is not None}
    sizes |= {"padding": padding if isinstance(padding, str) else padding[0], "device": "meta"}
    layer: nn.Conv1d | nn.ConvTranspose1d
    if is_transposed or transposed:
        layer = nn.ConvTranspose1d(first, second * groups, kernel, output_padding=output_padding[0], **sizes)
    else:
        layer = nn.Conv1d(second * groups, first, kernel, **sizes)
    layer.weight = nn.Parameter(weight.detach(), requires_grad=False)
    layer.bias = None if bias is None else nn.Parameter(bias.detach(), requires_grad=False)
    return layer.eval()


def _added(layer: Any, pads: Any, mode: str = "constant", value: Any = None) -> tuple[tuple[int, int], str]:
    """Return what aten::pad adds to the length, and its padding mode."""
    is_plain = isinstance(layer, nn.Conv1d) and layer.padding in ((0,), "valid")
    if not is_plain or len(pads) != 2 or mode not in MODES or value:
        raise _OtherCodeError(f"its graph pads with {pads}, mode {mode!r}, before a convolution that cannot describe it")
    return (pads[0], pads[1]), MODES[mode]
