"""A ``torch.nn.Conv1d`` that pads by a plan first, for what torch's own layer cannot express."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own convention
from torch import Tensor, nn

from convpolicy import registry
from convpolicy.frameworks.torch.execution.lowerings import FUNCTIONAL_MODES
from convpolicy.frameworks.torch.execution.ruled import RuledConv1d
from convpolicy.frameworks.torch.execution.rules import drops_outputs
from convpolicy.layers.backend import LayerRequest
from convpolicy.parts.stream import Stream


class PaddedConv1d(RuledConv1d):
    """A `RuledConv1d` for what ``torch.nn.Conv1d`` cannot express.

    ``padding`` is ``(left, right)``, or the rule's name when it depends on the length; ``padding_mode`` is the mode's name.
    """

    _static: tuple[int, int] | None
    _rule: tuple[Any, ...]
    _value: float
    _functional_mode: str | None
    _mirrors: bool
    _drops_outputs: bool

    def __init__(self, request: LayerRequest, arguments: dict[str, Any], stream: Stream | None, device: Any) -> None:
        super().__init__(request, arguments, stream, device)
        policy = request.policy
        self.__dict__.update(padding=self._static or str(policy.padding), padding_mode=policy.padding_mode.name)

    def _bind(self) -> None:
        super()._bind()
        self.__dict__.update(_binding(self._request))

    def _traced(self, data: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        left, right = self._static or self._traced_pads(data.shape[-1])
        if self._drops_outputs and self._static is not None:  # static: at stride 1 only
            both = F.conv1d(data, weight, bias, self.stride, left, self.dilation, self.groups)
            return both[..., : both.shape[-1] - (left - right)]
        return F.conv1d(self._pad_by(data, left, right), weight, bias, self.stride, 0, self.dilation, self.groups)

    def _pad_by(self, data: Tensor, left: int, right: int) -> Tensor:
        if self._functional_mode == "constant":
            return F.pad(data, (left, right), "constant", self._value)
        if min(left, right) < 0:
            padded = self._add(data, max(left, 0), max(right, 0))
            return F.pad(padded, (min(left, 0), min(right, 0)))  # cuts
        return self._add(data, left, right)

    def _add(self, data: Tensor, left: int, right: int) -> Tensor:
        """Add elements of a mode that is no constant."""
        if self._functional_mode is not None and data.numel():  # F.pad refuses an empty batch for the other modes
            return F.pad(data, (left, right), self._functional_mode)
        if self._mirrors:
            return torch.cat([data[..., :left].flip(-1), data, data[..., data.shape[-1] - right :].flip(-1)], -1)
        return self._gather(data)

    def _traced_pads(self, length: Any) -> tuple[int, int]:
        pads, kernel, stride, dilation, arguments = self._rule
        if isinstance(length, Tensor):  # under torch.jit.trace, which keeps the pads of the traced length
            length = int(length)
        traced: tuple[int, int] = pads(kernel, stride, dilation, length, **arguments)
        return traced

    def _gather(self, data: Tensor) -> Tensor:
        length = len(range(data.shape[-1]))  # a traced length becomes a constant
        if torch.compiler.is_compiling():
            sides = [_index(sources, data.device) for sources in _sources(self._request, length)]
        else:
            sides = _indices(self._request, length, data.device)
        before, after = (self._repeated(data, *side) for side in sides)
        return torch.cat([before, data, after], -1)

    def _repeated(self, data: Tensor, index: Tensor, has_constant: bool) -> Tensor:
        if not has_constant:
            return data.index_select(-1, index)
        if not data.shape[-1]:  # nothing to repeat
            return data.new_full((*data.shape[:-1], len(index)), self._value)
        return torch.where(index < 0, self._value, data.index_select(-1, index.clamp(min=0)))

    def __prepare_scriptable__(self) -> nn.Conv1d:
        return self  # torch's own layer is another function

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in super().__getstate__().items() if name != "_rule"}  # a plugin's lambda

    def extra_repr(self) -> str:
        """Return the sizes, the rule, the mode and the policy's name."""
        spec, policy = self._request.spec, self.policy
        return (
            f"{spec.in_channels}, {spec.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}, "
            f"padding={policy.padding}, dilation={self.dilation}, groups={spec.groups}, bias={self.bias is not None}, "
            f"padding_mode={policy.padding_mode}, policy={policy.name!r}"
        )


@registry.cached(maxsize=512)
def _binding(request: LayerRequest) -> dict[str, Any]:
    """Return what a layer looks up at every call.

    The static pads or None, the rule's function with its sizes, the constant, F.pad's mode or None, whether the mode is the
    symmetric one, which a flip at each end carries out, and whether outputs are computed and dropped: a torch convolution that pads
    zeros by itself sums in another order than one whose input was padded, so that only this has the bits of code that does so.
    """
    policy, spec = request.policy, request.spec
    rule, arguments = policy.part("padding")
    mode_arguments = policy.part("padding_mode")[1]
    torch_overflow = mode_arguments.get("overflow", "error") == "error"
    mode = policy.padding_mode.name if torch_overflow else ""
    sized_rule = (rule.pads, spec.kernel_size, spec.stride, spec.dilation, dict(arguments))  # a dict can be copied deeply
    return {
        "_static": request.static_pads(),
        "_rule": sized_rule,
        "_value": mode_arguments.get("value", 0.0),
        "_functional_mode": FUNCTIONAL_MODES.get(mode),
        "_mirrors": mode == "symmetric",
        "_drops_outputs": drops_outputs(request),
    }


@torch.compiler.assume_constant_result  # type: ignore[untyped-decorator]
def _sources(request: LayerRequest, length: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return what every added position holds, left and right: an input position, or -1 for the constant."""
    plan = request.plan(length)
    return plan.left_sources, plan.right_sources


@registry.cached(maxsize=256)
def _indices(request: LayerRequest, length: int, device: torch.device) -> list[tuple[Tensor, bool]]:
    """Return `_sources` as `_index` has them, which eager layers keep per length."""
    return [_index(sources, device) for sources in _sources(request, length)]


def _index(sources: tuple[int, ...], device: torch.device) -> tuple[Tensor, bool]:
    """Return positions as a tensor, and whether -1 is among them."""
    return torch.tensor(sources, dtype=torch.int64, device=device), min(sources, default=0) < 0
