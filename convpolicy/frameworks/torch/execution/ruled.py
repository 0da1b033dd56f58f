"""`Ruled`: a layer that selects its implementation by the rules for its ``execution``, and `RuledConv1d`, the convolution."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own convention
from torch import Tensor, nn
from torch.fx import Proxy
from torch.nn.utils import parametrize

from convpolicy import registry
from convpolicy.errors import InvalidTypeError, InvalidValueError
from convpolicy.frameworks.torch import quantization
from convpolicy.frameworks.torch.execution import auto, processor
from convpolicy.frameworks.torch.execution.frozen import Frozen, can_freeze
from convpolicy.frameworks.torch.execution.lowering import PLAIN, Lowered, Work
from convpolicy.frameworks.torch.execution.lowerings import FUNCTIONAL_MODES
from convpolicy.frameworks.torch.execution.selection import choose, default, is_timed, table, traced
from convpolicy.frameworks.torch.policy_layer import redraw, undrawn
from convpolicy.layers.backend import LayerRequest
from convpolicy.parts.stream import Stream

MOST_WAYS = 256  # input shapes for which a layer caches its implementation
MOST_PACKED = 4  # of these, shapes for which it keeps a packed weight, which needs as much memory as the weight


class Ruled(nn.Module):
    """A layer of torch that selects an implementation once for every input shape.

    A subclass also derives from ``native``, the class of torch.
    """

    # otherwise torch.jit.trace evaluates these properties
    __jit_ignored_attributes__: tuple[str, ...] = ("convolution", "padder", "policy", "_fusable")
    native: ClassVar[type[Any]]  # nn.Conv1d or nn.ConvTranspose1d
    # attributes that `_bind` sets again when the layer is unpickled
    bound: ClassVar[tuple[str, ...]] = ("_ways", "_traced_way", "_is_timed")
    weight: Tensor
    bias: Tensor | None
    in_channels: int
    _request: LayerRequest
    _stream: Stream | None
    _ways: dict[Any, tuple[Lowered, Work]]
    _traced_way: tuple[Lowered, Any] | None
    _is_timed: bool

    def __init__(self, request: LayerRequest, arguments: dict[str, Any], stream: Stream | None, device: Any) -> None:
        # __dict__ avoids nn.Module.__setattr__, which looks for parameters. The constructor's reset_parameters draws from the stream.
        self.__dict__.update(_request=request, _stream=stream)
        super().__init__(**arguments, device=device)
        self._bind()

    def _bind(self) -> None:
        request = self._request
        self.__dict__.update(_ways={}, _traced_way=_traced_way(request, processor.current()), _is_timed=is_timed(request))

    @property
    def policy(self) -> Any:
        """The policy that the layer follows."""
        return self._request.policy

    def reset_parameters(self) -> None:
        """Draw weight and bias from the policy's initializers and torch's global random state."""
        stream, self.__dict__["_stream"] = self._stream, None
        redraw(self, self._request, stream)  # type: ignore[arg-type]  # a subclass is a layer of torch

    @property
    def convolution(self) -> Any:
        """A new layer of torch's own class with the same parameters, for tools that support only that class."""
        raise NotImplementedError

    @property
    def padder(self) -> nn.Module | None:
        """A new module that pads the input of `convolution`, or None when `convolution` pads it."""
        return None

    @property
    def _fusable(self) -> Any:
        """A new layer like `convolution` that torch fuses with the layer after it."""
        return self.convolution

    def _around(self, native: nn.Module) -> nn.Module:
        """Return a module that computes this layer with ``native``, torch's fused or quantised form of `convolution`."""
        padder = self.padder
        module = native if padder is None else nn.Sequential(padder, native)
        return module.train(self.training)

    def _plain(self, **arguments: Any) -> Any:
        """Return a layer of torch's own class with the same sizes and parameters."""
        spec = self._request.spec
        plain: Any = undrawn(
            self.native,
            in_channels=spec.in_channels,
            out_channels=spec.out_channels,
            kernel_size=spec.kernel_size,
            stride=spec.stride,
            dilation=spec.dilation,
            groups=spec.groups,
            bias=self.bias is not None,
            device="meta",
            **arguments,
        )
        for name in ("weight", "bias"):
            value = getattr(self, name)
            plain.register_parameter(
                name, value if value is None or isinstance(value, nn.Parameter) else nn.Parameter(value.detach())
            )
        return plain.train(self.training)

    def _conv_forward(self, input: Any, weight: Tensor, bias: Tensor | None) -> Tensor:
        if isinstance(input, Proxy):
            node: Tensor = self._symbolic(input)
            return node
        if type(weight) not in PLAIN or torch.compiler.is_compiling() or torch._C._get_tracing_state() is not None:
            return self._traced(input, weight, bias)
        gradients = torch.is_grad_enabled() and (weight.requires_grad or input.requires_grad)
        inference = self._is_timed and torch.is_inference_mode_enabled()
        autocast, threads = torch.is_autocast_enabled("cpu"), torch.get_num_threads()
        key = (input.shape, input.dtype, gradients, input.is_cpu, autocast, threads, inference)
        way = self._ways.get(key)
        if way is None:
            self._checked(input)
            way = self._new_way(key, input, weight, bias)
        return way[0](input, weight, bias, way[1])

    def _traced(self, data: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Compute where the length may be symbolic, under torch.compile or a trace, or with weights of another tensor class."""
        way = self._way_of_traces(data, weight)
        if way is None:
            return self._own(data, weight, bias)
        return way[0](data, weight, bias, way[1])

    def _own(self, data: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Compute with torch's own functions only, for a length that may be symbolic."""
        raise NotImplementedError

    def _symbolic(self, data: Proxy) -> Any:
        """Add this layer to a torch.fx graph as a call of `convolution`."""
        return call_module(data, self, "convolution", data)

    def _new_way(self, key: tuple[Any, ...], data: Tensor, weight: Tensor, bias: Tensor | None) -> tuple[Lowered, Work]:
        """Select the implementation for the first call of a shape."""
        request, start = self._request, auto.clock()
        _, dtype, gradients, is_cpu, autocast, *_ = key
        work = Work(request.plan(data.shape[-1]), request.spec.groups, self._pad_by)
        is_plain = data.dim() == 3 and data.numel() > 0 and is_cpu and not autocast
        times = self._is_timed and is_plain and not gradients and dtype == weight.dtype
        run = self._timed_run(work, data, weight, bias, start) if times else None
        way = self._ruled_run(work.plan, data, gradients, is_plain) if run is None else run, work
        if times and run is None:
            return way  # not kept: the next call may measure
        if len(self._ways) >= MOST_WAYS:
            self._ways.clear()
        self._ways[key] = way
        return way

    def _ruled_run(self, plan: Any, data: Tensor, gradients: bool, is_plain: bool) -> Lowered:
        return table(self._request).lowerings[self._ruled_name(plan, data, gradients, is_plain)].run

    def _ruled_name(self, plan: Any, data: Tensor, gradients: bool, is_plain: bool) -> str:
        request = self._request
        is_ruled = is_plain and data.dtype == torch.float32
        return choose(request, plan, data.shape[0], gradients=gradients) if is_ruled else default(request)

    def _timed_run(self, work: Work, data: Tensor, weight: Tensor, bias: Tensor | None, start: float) -> Lowered | None:
        if not auto.is_countable(data, weight):
            return None
        packed = sum(isinstance(way[0], Frozen) for way in self._ways.values())
        freezes = torch.is_inference_mode_enabled() and not self.training and packed < MOST_PACKED and can_freeze(weight, data)
        request, ruled = self._request, self._ruled_name(work.plan, data, gradients=False, is_plain=True)
        setting = auto.Setting(request, table(request), work, default(request), freezes, ruled)
        return auto.way_of(setting, data, weight, bias, start)

    def _pad_by(self, data: Tensor, left: int, right: int) -> Tensor:
        """Pad an input as the implementations need it."""
        raise NotImplementedError

    def _way_of_traces(self, data: Tensor, weight: Tensor) -> tuple[Lowered, Work] | None:
        """Return the implementation for a call under torch.compile or a trace, or None for the layer's own code."""
        if (
            self._traced_way is None
            or type(weight) not in PLAIN
            or data.dim() != 3
            or data.dtype != torch.float32
            or not data.is_cpu
        ):
            return None
        run, plan = self._traced_way
        return run, Work(plan, self._request.spec.groups, self._pad_by)

    def _checked(self, data: Tensor) -> None:
        if data.dim() not in (2, 3) or data.shape[-2] != self.in_channels:
            raise InvalidValueError(
                f"input must have shape (batch, {self.in_channels}, length) or ({self.in_channels}, length), got "
                f"{tuple(data.shape)}; put the channels before the length."
            )

    def __prepare_scriptable__(self) -> Any:
        """Return the layer that ``torch.jit.script`` compiles: one of torch's own class with the same parameters."""
        if parametrize.is_parametrized(self):
            raise InvalidTypeError(
                "torch.jit.script must get a layer without parametrizations, got one; call "
                "torch.nn.utils.parametrize.remove_parametrizations first, or use torch.export.export."
            )
        return self.convolution

    def extra_repr(self) -> str:
        """Return torch's own text, followed by the policy's name."""
        return f"{super().extra_repr()}, policy={self.policy.name!r}"

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name not in self.bound}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)  # type: ignore[no-untyped-call]
        self._bind()


class Planned(Ruled):
    """A layer that pads or cuts by a plan, since torch's own layer cannot express the policy."""

    unlike: ClassVar[str]  # what only torch's own layers do, for the message of torch.jit.script

    def __prepare_scriptable__(self) -> Any:
        policy = self.policy
        raise InvalidTypeError(
            f"torch.jit.script must get layers {self.unlike}, got padding {str(policy.padding)!r} with padding_mode "
            f"{str(policy.padding_mode)!r}; use torch.export.export, or torch.jit.trace for inputs of one length."
        )

    def extra_repr(self) -> str:
        """Return the sizes, the rule, the padding mode and the policy's name."""
        spec, policy = self._request.spec, self.policy
        return (
            f"{spec.in_channels}, {spec.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}, "
            f"padding={policy.padding}, dilation={self.dilation}, groups={spec.groups}, bias={self.bias is not None}, "
            f"padding_mode={policy.padding_mode}, policy={policy.name!r}"
        )


class RuledConv1d(Ruled, nn.Conv1d):
    """A ``torch.nn.Conv1d`` that selects an implementation once for every input shape."""

    __jit_ignored_attributes__: tuple[str, ...] = (*Ruled.__jit_ignored_attributes__, "uncut")
    native = nn.Conv1d

    @property
    def convolution(self) -> nn.Conv1d:
        """A new ``torch.nn.Conv1d`` with the same parameters, for tools that support only that class.

        It equals this layer except for the padding of `padder`.
        """
        plain: nn.Conv1d = self._plain(padding=self.padding, padding_mode=self.padding_mode)
        return plain

    def forward(self, input: Tensor) -> Tensor:
        """Convolve an input (batch, in_channels, length) or (in_channels, length)."""
        parameters = self._parameters  # avoids nn.Module.__getattr__, which is as slow as the rest of this lookup
        weight = parameters.get("weight")
        if weight is not None and "bias" in parameters:
            return self._conv_forward(input, weight, parameters["bias"])
        return self._conv_forward(input, self.weight, self.bias)

    def _own(self, data: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        output: Tensor = nn.Conv1d._conv_forward(self, data, weight, bias)
        return output

    def _pad_by(self, data: Tensor, left: int, right: int) -> Tensor:
        """Pad as torch's own layer pads."""
        return F.pad(data, (left, right), FUNCTIONAL_MODES[self.padding_mode])


quantization.enter(RuledConv1d)


def call_module(proxy: Proxy, layer: nn.Module, attribute: str, *data: Any) -> Any:
    """Add a call of the module ``layer.attribute`` to the graph of a torch.fx proxy."""
    tracer: Any = proxy.tracer
    path = tracer.path_of_module(layer)
    return tracer.create_proxy("call_module", f"{path}.{attribute}" if path else attribute, data, {})


@registry.cached(maxsize=512)
def _traced_way(request: LayerRequest, _processor: processor.Processor) -> tuple[Lowered, Any] | None:
    choice = traced(request)
    return None if choice is None else (table(request).lowerings[choice[0]].run, choice[1])
