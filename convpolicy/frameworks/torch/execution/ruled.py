"""A ``torch.nn.Conv1d`` that carries out its plans by the rules of its execution."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own convention
from torch import Tensor, nn

from convpolicy import registry
from convpolicy.core.plan import Plan
from convpolicy.errors import InvalidValueError
from convpolicy.frameworks.torch.execution.lowerings import FUNCTIONAL_MODES, LOWERINGS, Lowered, Work
from convpolicy.frameworks.torch.execution.rules import choose, default, traced
from convpolicy.frameworks.torch.policy_layer import PolicyConv1d
from convpolicy.layers.backend import LayerRequest
from convpolicy.parts.stream import Stream

OWN_ATTRIBUTES = ("_request", "_stream", "_ways", "_traced_way")  # beside those of nn.Conv1d
MOST_WAYS = 256  # calls of different shapes that a layer remembers


class RuledConv1d(PolicyConv1d):
    """A `PolicyConv1d` that looks up, for every shape of input once, which lowering carries it out."""

    _ways: dict[Any, tuple[Lowered, Work]]
    _traced_way: tuple[Lowered, Plan] | None

    def __init__(self, request: LayerRequest, arguments: dict[str, Any], stream: Stream | None, device: Any) -> None:
        super().__init__(request, arguments, stream, device)
        self._bind()

    def _bind(self) -> None:
        self.__dict__.update(_ways={}, _traced_way=_traced_way(self._request))

    def forward(self, input: Tensor) -> Tensor:
        """Convolve (batch, in_channels, length) or (in_channels, length)."""
        own = self._parameters  # past nn.Module.__getattr__, which costs as much as finding the lowering
        weight = own.get("weight")
        if weight is not None and "bias" in own:
            return self._conv_forward(input, weight, own["bias"])
        return self._conv_forward(input, self.weight, self.bias)

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        if torch.compiler.is_compiling() or torch._C._get_tracing_state() is not None or not isinstance(input, Tensor):
            return self._traced(input, weight, bias)  # the last: a torch.fx.Proxy
        gradients = torch.is_grad_enabled() and (weight.requires_grad or input.requires_grad)
        key = (input.shape, input.dtype, gradients, input.is_cpu, torch.is_autocast_enabled("cpu"))
        way = self._ways.get(key)
        if way is None:
            way = self._remember(key, self._checked(input), input.dim() == 3 and input.numel() > 0)
        return way[0](input, weight, bias, way[1])

    def _remember(self, key: Any, plan: Plan, is_plain: bool) -> tuple[Lowered, Work]:
        shape, dtype, gradients, is_cpu, autocast = key
        request = self._request
        if is_plain and dtype == torch.float32 and is_cpu and not autocast:
            name = choose(request, plan, shape[0], gradients=gradients)
        else:
            name = default(request)
        if len(self._ways) >= MOST_WAYS:
            self._ways.clear()
        way = self._ways[key] = LOWERINGS[name].run, Work(plan, request.spec.groups, self._pad_by)
        return way

    def _traced(self, data: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Convolve under torch.compile or a trace, where the length is symbolic: by what holds for every call, or as torch does."""
        if (
            self._traced_way is None
            or not isinstance(data, Tensor)
            or data.dim() != 3
            or data.dtype != torch.float32
            or not data.is_cpu
        ):
            output: Tensor = super()._conv_forward(data, weight, bias)
            return output
        run, plan = self._traced_way
        return run(data, weight, bias, Work(plan, self.groups, self._pad_by))

    def _pad_by(self, data: Tensor, left: int, right: int) -> Tensor:
        """Add elements as torch's own layer adds them."""
        return F.pad(data, (left, right), FUNCTIONAL_MODES[self.padding_mode])

    def _checked(self, data: Tensor) -> Plan:
        if data.dim() not in (2, 3) or data.shape[-2] != self.in_channels:
            raise InvalidValueError(
                f"input must have shape (batch, {self.in_channels}, length) or ({self.in_channels}, length), got "
                f"{tuple(data.shape)}; put the channels before the length."
            )
        return self._request.plan(data.shape[-1])

    def __prepare_scriptable__(self) -> nn.Conv1d:
        """Return what ``torch.jit.script`` compiles: torch's own layer with the same parameters."""
        plain = nn.Conv1d.__new__(nn.Conv1d)
        plain.__dict__.update({name: value for name, value in self.__dict__.items() if name not in OWN_ATTRIBUTES})
        return plain

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name not in ("_ways", "_traced_way")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)  # type: ignore[no-untyped-call]
        self._bind()


@registry.cached(maxsize=512)
def _traced_way(request: LayerRequest) -> tuple[Lowered, Plan] | None:
    found = traced(request)
    return None if found is None else (LOWERINGS[found[0]].run, found[1])
