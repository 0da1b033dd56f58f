"""Padding of a tensor by a policy, for what ``torch.nn.Conv1d`` cannot express."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own convention
from torch import Tensor, nn

from convpolicy import registry
from convpolicy.errors import InvalidValueError
from convpolicy.frameworks.torch.execution.lowerings import FUNCTIONAL_MODES, PLAIN
from convpolicy.layers.backend import LayerRequest


def _reflect(positions: Tensor, length: Tensor) -> Tensor:
    return (length - 1) - (positions.remainder((length + length - 2).clamp(min=1)) - (length - 1)).abs()


def _symmetric(positions: Tensor, length: Tensor) -> Tensor:
    period = length + length
    folded = positions.remainder(period)
    return torch.minimum(folded, period - 1 - folded)


def _circular(positions: Tensor, length: Tensor) -> Tensor:
    return positions.remainder(length)


# no number is added to a tensor or multiplied by one here: PT2E quantisers make float tensors of such numbers
# the built-in modes that fold, as index maps of tensors at any distance, and how much longer than a pad the input has to be
FOLDS: dict[str, tuple[Callable[[Tensor, Tensor], Tensor], int]] = {
    "reflect": (_reflect, 1),
    "symmetric": (_symmetric, 0),
    "circular": (_circular, 0),
}


_is_exporting: Callable[[], bool] = getattr(torch.compiler, "is_exporting", lambda: False)  # torch 2.7 on


class Pads:
    """Adds elements to inputs (…, length) as one request says; one object serves every layer of that request.

    Attributes:
        static: ``(left, right)``, or None when they depend on the length.
        functional_mode: the mode's name for ``torch.nn.functional.pad``, or None when that has another mode or overflow rule.
        value: of the constant.
    """

    def __init__(self, request: LayerRequest) -> None:
        policy, spec = request.policy, request.spec
        rule, arguments = policy.part("padding")
        mode_arguments = policy.part("padding_mode")[1]
        self.request = request
        self.static = request.static_pads()
        self._rule, self._arguments = rule.pads, dict(arguments)
        self._sizes = spec.kernel_size, spec.stride, spec.dilation
        self.value: float = mode_arguments.get("value", 0.0)
        self._overflow: str = mode_arguments.get("overflow", "error")
        mode = policy.padding_mode.name if self._overflow == "error" else ""
        self.functional_mode = FUNCTIONAL_MODES.get(mode)
        self._mirrors = mode == "symmetric"

    def counts(self, length: Any) -> tuple[Any, Any]:
        """Return ``(left, right)`` for a length, which may be symbolic."""
        if self.static is not None:
            return self.static
        if isinstance(length, Tensor):  # under torch.jit.trace, which keeps the pads of the traced length
            length = int(length)
        counts: tuple[Any, Any] = self._rule(*self._sizes, length, **self._arguments)
        return counts

    def __call__(self, data: Tensor) -> Tensor:
        """Pad an input."""
        return self.by(data, *self.counts(data.shape[-1]))

    def by(self, data: Tensor, left: Any, right: Any) -> Tensor:
        """Pad an input by numbers of elements, negative ones cut."""
        if self.functional_mode == "constant":
            return F.pad(data, (left, right), "constant", self.value)
        if (self.static is not None or not _is_traced(data)) and min(left, right) < 0:
            padded = self._add(data, max(left, 0), max(right, 0))
            return F.pad(padded, (min(left, 0), min(right, 0)))  # cuts
        return self._add(data, left, right)

    def _add(self, data: Tensor, left: Any, right: Any) -> Tensor:
        """Add elements of a mode that is no constant."""
        if self.functional_mode is not None and data.numel():  # F.pad refuses an empty batch for the other modes
            return F.pad(data, (left, right), self.functional_mode)
        if _is_traced(data):
            return self._folded(data, left, right)
        if self._mirrors:
            return torch.cat([data[..., :left].flip(-1), data, data[..., data.shape[-1] - right :].flip(-1)], -1)
        return self._gathered(data, _indices(self.request, len(range(data.shape[-1])), data.device))

    def _folded(self, data: Tensor, left: Any, right: Any) -> Tensor:
        """Gather by an index that is computed from the length, so that a traced length stays symbolic."""
        length = data.shape[-1]
        if self.request.policy.padding_mode.name not in FOLDS:
            if _is_exporting() and _is_dynamic(length):  # torch.compile makes it a constant, and compiles once per length
                raise InvalidValueError(
                    f"padding_mode {str(self.request.policy.padding_mode)!r} must be one of {', '.join(FOLDS)} where the length is "
                    f"dynamic, as its index map is Python code; export with a static length, or once for each length."
                )
            return self._gathered(data, [_index(sources, data.device) for sources in _sources(self.request, len(range(length)))])
        fold, reach = FOLDS[self.request.policy.padding_mode.name]
        positions = torch.arange(-left, length + right, device=data.device)
        samples = _number(length, data.device)
        if self._overflow != "zero-extend":
            return data.index_select(-1, fold(positions, samples))
        widest = torch.maximum(_number(left, data.device), _number(right, data.device))
        index = fold(positions, torch.maximum(samples, widest + _number(reach, data.device)))
        return torch.where(index < samples, data.index_select(-1, torch.minimum(index, samples - 1)), self.value)

    def _gathered(self, data: Tensor, sides: list[tuple[Tensor, bool]]) -> Tensor:
        before, after = (self._repeated(data, *side) for side in sides)
        return torch.cat([before, data, after], -1)

    def _repeated(self, data: Tensor, index: Tensor, has_constant: bool) -> Tensor:
        if not has_constant:
            return data.index_select(-1, index)
        if not data.shape[-1]:  # nothing to repeat
            return data.new_full((*data.shape[:-1], len(index)), self.value)
        return torch.where(index < 0, self.value, data.index_select(-1, index.clamp(min=0)))


class PadsModule(nn.Module):
    """`Pads` as a module, for what holds modules: a torch.fx graph, a quantised layer."""

    def __init__(self, request: LayerRequest) -> None:
        super().__init__()
        self.request = request

    def forward(self, input: Tensor) -> Tensor:
        """Pad an input (…, length); a quantised one keeps its scale, within which a constant is clipped."""
        pads = pads_of(self.request)
        if not input.is_quantized:
            return pads(input)
        return torch.quantize_per_tensor(pads(input.dequantize()), input.q_scale(), input.q_zero_point(), input.dtype)

    def extra_repr(self) -> str:
        """Return the rule and the mode."""
        return f"padding={self.request.policy.padding}, padding_mode={self.request.policy.padding_mode}"


def _is_traced(data: Tensor) -> bool:
    """Return True where the numbers of pads may be symbolic, so that nothing is decided by their signs."""
    return torch.compiler.is_compiling() or type(data) not in PLAIN


def _is_dynamic(length: Any) -> bool:
    """Return True for a length that an exported program leaves open."""
    from torch.fx.experimental.symbolic_shapes import has_static_value  # here: it imports SymPy

    return not has_static_value(length)


def _number(value: Any, device: torch.device) -> Tensor:
    """Return an integer, which may be symbolic, as a tensor: ONNX has no remainder of a tensor by a symbolic number."""
    return torch.full((), value, dtype=torch.int64, device=device)


@registry.cached(maxsize=512)
def pads_of(request: LayerRequest) -> Pads:
    """Return the `Pads` of a request."""
    return Pads(request)


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
