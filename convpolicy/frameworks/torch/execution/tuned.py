"""Replacement for the code of a tuned layer: for ``_conv_forward`` of a Conv1d, for ``forward`` of a ConvTranspose1d."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own convention
from torch import Tensor, nn
from torch.fx import Proxy

from convpolicy.errors import ConvPolicyError
from convpolicy.frameworks.torch.execution.frozen import Frozen
from convpolicy.frameworks.torch.execution.lowering import PLAIN, Lowered, Work
from convpolicy.frameworks.torch.execution.lowerings import FUNCTIONAL_MODES
from convpolicy.frameworks.torch.execution.ruled import MOST_WAYS, RuledConv1d
from convpolicy.frameworks.torch.execution.ruled_transposed import RuledConvTranspose1d
from convpolicy.frameworks.torch.execution.selection import table
from convpolicy.frameworks.torch.policy_layer import ConvLayer
from convpolicy.layers.backend import LayerRequest

ATTRIBUTES = ("_conv_forward", "forward")  # what is replaced in a Conv1d, and in a ConvTranspose1d


def own_code(layer: ConvLayer) -> Callable[[Tensor, Tensor, Tensor | None], Tensor]:
    """Return the layer's own code, a function of an input, a weight and a bias or None."""
    if isinstance(layer, (nn.Conv1d, RuledConvTranspose1d)):
        code: Callable[[Tensor, Tensor, Tensor | None], Tensor] = type(layer)._conv_forward.__get__(layer)
        return code

    def transposed(input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        sizes: Any = layer.stride, layer.padding, layer.output_padding, layer.groups, layer.dilation
        return F.conv_transpose1d(input, weight, bias, *sizes)

    return transposed


def tuned_of(layer: nn.Module) -> Tuned | None:
    """Return what replaces the code of a layer, or None for a layer that is not tuned."""
    return next((value for name in ATTRIBUTES if isinstance(value := vars(layer).get(name), Tuned)), None)


def install(layer: nn.Module, tuned: Tuned) -> None:
    """Replace the code of a layer."""
    vars(layer)[ATTRIBUTES[isinstance(tuned, TunedTransposed)]] = tuned


def remove(layer: nn.Module) -> None:
    """Restore the code of a layer."""
    for name in ATTRIBUTES:
        if isinstance(vars(layer).get(name), Tuned):
            delattr(layer, name)


class Tuned:
    """Runs a layer's calls with the implementation that `convpolicy.tune` selected.

    It runs the layer's own code for calls that were not measured and for plans that the implementation cannot compute. It can be
    copied and pickled with its layer.
    """

    def __init__(self, layer: ConvLayer, request: LayerRequest, lowering: str, dtype: torch.dtype) -> None:
        self.layer = layer
        self.request = request
        self.lowering = lowering
        self.dtype = dtype
        self.training = layer.training
        self._bind()

    def _bind(self) -> None:
        self._ways: dict[Any, tuple[Lowered, Work] | None] = {}
        self._any_length: Work | None = None
        pads = self.request.static_pads()
        if self.lowering in table(self.request).length_free and pads is not None:
            self._any_length = self.work(self.request.spec.effective_kernel + sum(map(abs, pads)))

    def run(self, input: Any, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Compute the layer for an input (batch, in_channels, length) or (in_channels, length)."""
        if torch.compiler.is_compiling() or torch._C._get_tracing_state() is not None:  # the length may be symbolic
            is_measured = input.dim() == 3 and input.dtype == self.dtype and input.is_cpu and self.layer.training == self.training
            way = self._way(self._any_length) if is_measured else None
        elif isinstance(input, Proxy) or type(weight) not in PLAIN:
            way = None
        else:
            key = (input.shape, input.dtype, input.is_cpu, self.layer.training, torch.is_autocast_enabled("cpu"))
            way = self._ways.get(key)
            if way is None and key not in self._ways:
                way = self._remember(key)
        if way is None:
            return own_code(self.layer)(input, weight, bias)
        return way[0](input, weight, bias, way[1])

    __call__: Callable[..., Tensor] = run  # replaces ``nn.Conv1d._conv_forward``

    def forget(self) -> None:
        """Clear the cache of implementations per input shape."""
        self._ways.clear()

    def _way(self, work: Work | None) -> tuple[Lowered, Work] | None:
        if work is None:
            return None
        lowering = table(self.request).lowerings[self.lowering]
        return (lowering.run if lowering.pack is None else Frozen(self.lowering, lowering, self._own)), work

    def _own(self, data: Tensor, weight: Tensor, bias: Tensor | None, _work: Work) -> Tensor:
        return own_code(self.layer)(data, weight, bias)

    def _remember(self, key: Any) -> tuple[Lowered, Work] | None:
        shape, dtype, is_cpu, training, autocast = key
        is_measured = len(shape) == 3 and shape[0] and dtype == self.dtype and is_cpu and training == self.training
        if len(self._ways) >= MOST_WAYS:
            self._ways.clear()
        self._ways[key] = self._way(self.work(shape[-1])) if is_measured and not autocast else None
        return self._ways[key]

    def work(self, length: int) -> Work | None:
        """Return the work for one length, or None when the layer's own code must run or refuse it."""
        spec = self.request.spec
        try:
            plan = self.request.plan(length)
        except ConvPolicyError:
            return None
        if table(self.request).lowerings[self.lowering].why_not(plan, spec.in_channels, spec.groups):
            return None
        return Work(plan, spec.groups, self.pad)

    def pad(self, data: Tensor, left: int, right: int) -> Tensor:
        """Pad as the layer does."""
        if isinstance(self.layer, RuledConv1d):
            return self.layer._pad_by(data, left, right)
        if isinstance(self.layer, nn.ConvTranspose1d):
            return F.pad(data, (left, right))
        return F.pad(data, (left, right), FUNCTIONAL_MODES[self.layer.padding_mode])

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name not in ("_ways", "_any_length")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._bind()


class TunedTransposed(Tuned):
    """`Tuned` for a ``torch.nn.ConvTranspose1d``, whose code is in ``forward``."""

    def __call__(self, input: Any, output_size: Any = None) -> Tensor:
        """Compute the layer for an input (batch, in_channels, length) or (in_channels, length)."""
        layer: Any = self.layer
        if output_size is not None:
            output: Tensor = type(layer).forward(layer, input, output_size)
            return output
        return self.run(input, layer.weight, layer.bias)
