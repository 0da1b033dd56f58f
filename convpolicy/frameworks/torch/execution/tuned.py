"""Replacement for ``_conv_forward`` in a tuned layer."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own convention
from torch import Tensor, nn

from convpolicy.errors import ConvPolicyError
from convpolicy.frameworks.torch.execution.lowerings import FUNCTIONAL_MODES, LENGTH_FREE, LOWERINGS, PLAIN, Work
from convpolicy.frameworks.torch.execution.ruled import MOST_WAYS, RuledConv1d
from convpolicy.layers.backend import LayerRequest

ATTRIBUTE = "_conv_forward"


class Tuned:
    """Runs a layer's calls with the implementation that `convpolicy.tune` selected.

    It runs the layer's own code for calls that were not measured and for plans that the implementation cannot compute. It can be
    copied and pickled with its layer.
    """

    def __init__(self, layer: nn.Conv1d, request: LayerRequest, lowering: str, dtype: torch.dtype) -> None:
        self.layer = layer
        self.request = request
        self.lowering = lowering
        self.dtype = dtype
        self.training = layer.training
        self._bind()

    def _bind(self) -> None:
        self._ways: dict[Any, Work | None] = {}
        self._any_length: Work | None = None
        pads = self.request.static_pads()
        if self.lowering in LENGTH_FREE and pads is not None:
            self._any_length = self.work(self.request.spec.effective_kernel + sum(map(abs, pads)))

    def __call__(self, input: Any, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Convolve; replaces ``nn.Conv1d._conv_forward``."""
        if torch.compiler.is_compiling() or torch._C._get_tracing_state() is not None:  # the length may be symbolic
            is_measured = input.dim() == 3 and input.dtype == self.dtype and input.is_cpu and self.layer.training == self.training
            work = self._any_length if is_measured else None
        elif isinstance(input, torch.fx.Proxy) or type(weight) not in PLAIN:
            work = None
        else:
            key = (input.shape, input.dtype, input.is_cpu, self.layer.training, torch.is_autocast_enabled("cpu"))
            work = self._ways[key] if key in self._ways else self._remember(key)
        if work is None:
            output: Tensor = type(self.layer)._conv_forward(self.layer, input, weight, bias)
            return output
        return LOWERINGS[self.lowering].run(input, weight, bias, work)

    def forget(self) -> None:
        """Clear the cache of implementations per input shape."""
        self._ways.clear()

    def _remember(self, key: Any) -> Work | None:
        shape, dtype, is_cpu, training, autocast = key
        is_measured = len(shape) == 3 and shape[0] and dtype == self.dtype and is_cpu and training == self.training
        if len(self._ways) >= MOST_WAYS:
            self._ways.clear()
        self._ways[key] = self.work(shape[-1]) if is_measured and not autocast else None
        return self._ways[key]

    def work(self, length: int) -> Work | None:
        """Return the work for one length, or None when the layer's own code must run or refuse it."""
        spec = self.request.spec
        try:
            plan = self.request.plan(length)
        except ConvPolicyError:
            return None
        if LOWERINGS[self.lowering].why_not(plan, spec.in_channels, spec.groups):
            return None
        return Work(plan, spec.groups, self.pad)

    def pad(self, data: Tensor, left: int, right: int) -> Tensor:
        """Pad as the layer does."""
        if isinstance(self.layer, RuledConv1d):
            return self.layer._pad_by(data, left, right)
        return F.pad(data, (left, right), FUNCTIONAL_MODES[self.layer.padding_mode])

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name not in ("_ways", "_any_length")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._bind()
