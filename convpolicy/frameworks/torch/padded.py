"""`PaddedConv1d`: a ``torch.nn.Conv1d`` that pads its input by a plan before it convolves."""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F  # noqa: N812 - torch's own convention
from torch import Tensor, nn
from torch.fx import Proxy

from convpolicy.errors import InvalidTypeError
from convpolicy.frameworks.torch import quantization
from convpolicy.frameworks.torch.execution.ruled import Planned, RuledConv1d, call_module
from convpolicy.frameworks.torch.execution.rules import drops_outputs
from convpolicy.frameworks.torch.pads import Pads, PadsModule, pads_of
from convpolicy.frameworks.torch.policy_layer import fill
from convpolicy.layers.backend import LEARNED, LayerRequest
from convpolicy.parts.stream import Stream


class PaddedConv1d(Planned, RuledConv1d):
    """A ``torch.nn.Conv1d`` with padding that torch's own layer cannot express.

    Attributes:
        padding: ``(left, right)``, or the name of the padding rule when it depends on the length.
        padding_mode: name of the padding mode.
        padding_value: the learned constant, () or (in_channels,); only a layer that learns one has it.
    """

    bound = (*RuledConv1d.bound, "_pads")  # a plugin's rule may be a lambda, which cannot be pickled
    unlike = "with torch's own padding"
    padding_value: nn.Parameter  # only in a layer that learns its constant
    _pads: Pads
    _drops_outputs: bool

    def __init__(self, request: LayerRequest, arguments: dict[str, Any], stream: Stream | None, device: Any) -> None:
        super().__init__(request, arguments, stream, device)
        policy = request.policy
        self.__dict__.update(padding=self._pads.static or str(policy.padding), padding_mode=policy.padding_mode.name)
        if self._pads.learned is not None:
            self.register_parameter(LEARNED, nn.Parameter(self.weight.new_empty(self._pads.learned.shape)))
            self._reset_value()

    def _bind(self) -> None:
        super()._bind()
        # Code that drops outputs lets the convolution pad zeros. Torch then sums in another order than for a padded input, so only
        # such a convolution gives the same bits. A static rule drops outputs at stride 1 only.
        dropped = drops_outputs(self._request) and self._request.static_pads() is not None
        self.__dict__.update(_pads=pads_of(self._request), _drops_outputs=dropped)

    @property
    def learns(self) -> bool:
        """True when the padding constant is a parameter."""
        return self._pads.learned is not None

    def reset_parameters(self) -> None:
        """Draw weight and bias from the policy's initializers and torch's global random state, and reset a learned constant."""
        super().reset_parameters()
        if "_pads" in vars(self) and self.learns:  # torch's constructor calls this before _pads exists
            self._reset_value()

    def _reset_value(self) -> None:
        fill(self, LEARNED, self._pads.learned)

    def _value(self) -> Tensor | None:
        if self._pads.learned is None:
            return None
        value = self.padding_value
        if type(value).__name__ == "ExpandedWeight":  # compared by name, since torch itself does not import its module
            raise InvalidTypeError(
                f"{LEARNED} must be a tensor, got an ExpandedWeight, which does not support padding; compute per-sample gradients "
                f"with torch.func (vmap of grad)."
            )
        return value

    @property
    def convolution(self) -> nn.Conv1d:
        """A new ``torch.nn.Conv1d`` with the same parameters that convolves the padded input."""
        plain: nn.Conv1d = self._plain()
        return plain

    @property
    def uncut(self) -> nn.Conv1d:
        """A new ``torch.nn.Conv1d`` with the same parameters that pads both sides, before outputs are dropped."""
        if not self._drops_outputs or self._pads.static is None:
            raise AttributeError("uncut")
        plain: nn.Conv1d = self._plain(padding=self._pads.static[0])
        return plain

    @property
    def padder(self) -> PadsModule:
        """A new module that pads an input as this layer does."""
        return PadsModule(self._request, self._value())

    def _traced(self, data: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        left, right = self._pads.counts(data.shape[-1])
        if self._drops_outputs:
            both = F.conv1d(data, weight, bias, self.stride, left, self.dilation, self.groups)
            return both[..., : both.shape[-1] - (left - right)]
        return F.conv1d(self._pads.by(data, left, right, self._value()), weight, bias, self.stride, 0, self.dilation, self.groups)

    def _symbolic(self, data: Proxy) -> Any:
        static, mode = self._pads.static, self._pads.functional_mode
        if self._drops_outputs and static is not None:
            return call_module(data, self, "uncut", data)[..., : static[1] - static[0] or None]
        if static is not None and (mode == "constant" or (mode is not None and min(static) >= 0)):
            padded = F.pad(data, static, mode, self._pads.value if mode == "constant" else None)  # type: ignore[arg-type]
        else:
            padded = call_module(data, self, "padder", data)
        return call_module(data, self, "convolution", padded)

    def _pad_by(self, data: Tensor, left: int, right: int) -> Tensor:
        return self._pads.by(data, left, right, self._value())


quantization.enter(PaddedConv1d)
