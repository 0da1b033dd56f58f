"""Padding of tensors by a policy, for padding that ``torch.nn.Conv1d`` cannot express."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - torch's own convention
from torch import Tensor, nn

from convpolicy import registry
from convpolicy.arithmetic import SIDES
from convpolicy.errors import InvalidValueError
from convpolicy.frameworks.torch import sums, symbolic
from convpolicy.frameworks.torch.execution.lowering import PLAIN
from convpolicy.frameworks.torch.execution.lowerings import FUNCTIONAL_MODES
from convpolicy.frameworks.torch.length_rule import LengthRule
from convpolicy.frameworks.torch.values import outlasting
from convpolicy.layers.backend import LEARNED, LayerRequest
from convpolicy.parts.side import value_of

_is_exporting: Callable[[], bool] = getattr(torch.compiler, "is_exporting", lambda: False)  # new in torch 2.7


class Pads:
    """Pads inputs (…, length) by the policy of a request; layers with the same request share one object.

    Attributes:
        request: the layer's request.
        static: ``(left, right)`` in samples, or None when the pads depend on the length.
        functional_mode: name of the equal mode of ``torch.nn.functional.pad``, or None when it has none.
        value: the constant for ``torch.nn.functional.pad``.
        learned: initial value of the learned constant, or None.
    """

    def __init__(self, request: LayerRequest) -> None:
        policy, spec = request.policy, request.spec
        rule, arguments = policy.part("padding")
        self.request = request
        self.static = request.static_pads()
        sizes = spec.kernel_size, spec.stride, spec.dilation
        self._by_length = None if self.static is not None else LengthRule(f"padding {rule.name!r}", rule.pads, sizes, arguments)
        self.learned = request.learned()
        (mode, parameters), *others = policy.modes()
        self._overflow: str = parameters.get("overflow", "error")
        value = None if self.learned is not None else _one_value(parameters)
        self.value = 0.0 if value is None else value
        is_plain = not others and value is not None and self._overflow == "error"
        self.functional_mode = FUNCTIONAL_MODES.get(mode.name) if is_plain else None
        self._mirrors = is_plain and mode.name == "symmetric"
        self._fold = None if others else symbolic.FOLDS.get(mode.name)
        self._sides = symbolic.fillings(policy.modes())

    def counts(self, length: Any) -> tuple[Any, Any]:
        """Return ``(left, right)`` in samples for a length, which may be symbolic."""
        return self.static if self._by_length is None else self._by_length(length)  # type: ignore[return-value]

    def __call__(self, data: Tensor, value: Tensor | None = None) -> Tensor:
        """Pad an input (…, length); ``value`` is the learned constant, () or (channels,), or None."""
        return self.by(data, *self.counts(data.shape[-1]), value)

    def by(self, data: Tensor, left: Any, right: Any, value: Tensor | None = None) -> Tensor:
        """Pad an input by ``left`` and ``right`` samples; negative numbers crop it."""
        if self.functional_mode == "constant":
            return F.pad(data, (left, right), "constant", self.value)
        if (self.static is not None or not _is_traced(data)) and min(left, right) < 0:
            padded = self._add(data, max(left, 0), max(right, 0), value)
            return F.pad(padded, (min(left, 0), min(right, 0)))  # crops
        return self._add(data, left, right, value)

    def _add(self, data: Tensor, left: Any, right: Any, value: Tensor | None) -> Tensor:
        """Add samples that are not one constant."""
        if self.functional_mode is not None and data.numel():  # F.pad refuses an empty batch for the other modes
            return F.pad(data, (left, right), self.functional_mode)
        if _is_traced(data):
            return self._computed(data, left, right, value)
        if self._mirrors:
            return torch.cat([data[..., :left].flip(-1), data, data[..., data.shape[-1] - right :].flip(-1)], -1)
        length = len(range(data.shape[-1]))
        copied = _indices(self.request, length, data.device)
        if copied is not None:
            return _joined(data, *copied)
        return sums.joined(data, sums.kept(self.request, length, data.dtype, data.device), left, value)

    def _computed(self, data: Tensor, left: Any, right: Any, value: Tensor | None) -> Tensor:
        """Pad with samples that are computed from the length, so that a traced length stays symbolic."""
        length = data.shape[-1]
        if self._fold is not None:
            return self._folded(data, left, right, self._fold)
        if self._sides is not None:
            between = symbolic.whole if self.static is None else symbolic.beside
            return between(data, (left, right), self._sides, value)
        if _is_exporting() and _is_dynamic(
            length
        ):  # torch.compile instead treats the length as a constant and compiles once per length
            raise self._fixed()
        table = sums.table(self.request, len(range(length)))
        return sums.joined(data, table.added(data.dtype, data.device), left, value)

    def _fixed(self) -> InvalidValueError:
        """Return the error for a mode that needs a static length."""
        unknown = [mode.name for mode, _words in self.request.policy.modes() if mode.name not in symbolic.MODES]
        rule = (
            f"be one of {', '.join(symbolic.MODES)} for a dynamic length, as the index map of {unknown[0]!r} is Python code"
            if unknown
            else "not combine a sum with overflow='zero-extend' for a dynamic length"
        )
        return InvalidValueError(
            f"padding_mode {str(self.request.policy.padding_mode)!r} must {rule}; export with a static length, or once for each length."
        )

    def _folded(self, data: Tensor, left: Any, right: Any, fold: symbolic.Fold) -> Tensor:
        """Gather the whole padded input by one index."""
        length = data.shape[-1]
        positions = torch.arange(-left, length + right, device=data.device)
        samples = symbolic.number(length, data.device)
        if self._overflow != "zero-extend":
            return data.index_select(-1, fold.at(positions, samples))
        widest = torch.maximum(symbolic.number(left, data.device), symbolic.number(right, data.device))
        index = fold.at(positions, torch.maximum(samples, widest + symbolic.number(fold.reach, data.device)))
        return torch.where(index < samples, data.index_select(-1, torch.minimum(index, samples - 1)), self.value)


def _one_value(parameters: Mapping[str, Any]) -> float | None:
    """Return the constant that both sides share, or None where there are several."""
    left, right = (value_of(parameters, side) for side in SIDES)
    is_one = not isinstance(left, tuple) and np.array_equal(left, right, equal_nan=True)
    return left if is_one else None  # type: ignore[return-value]


def _joined(data: Tensor, sides: list[tuple[Tensor, bool]], value: float) -> Tensor:
    before, after = (_copied(data, *side, value) for side in sides)
    return torch.cat([before, data, after], -1)


def _copied(data: Tensor, index: Tensor, has_constant: bool, value: float) -> Tensor:
    if not has_constant:
        return data.index_select(-1, index)
    if not data.shape[-1]:  # nothing to repeat
        return data.new_full((*data.shape[:-1], len(index)), value)
    return torch.where(index < 0, value, data.index_select(-1, index.clamp(min=0)))


class PadsModule(nn.Module):
    """`Pads` as a module, for torch.fx graphs and quantised layers."""

    padding_value: nn.Parameter | None

    def __init__(self, request: LayerRequest, value: Tensor | None = None) -> None:
        super().__init__()
        self.request = request
        self.register_parameter(
            LEARNED, value if value is None or isinstance(value, nn.Parameter) else nn.Parameter(value.detach())
        )

    def forward(self, input: Tensor) -> Tensor:
        """Pad an input (…, length); a quantised input keeps its scale, which may clip the constant."""
        pads, value = pads_of(self.request), self.padding_value
        if not input.is_quantized:
            return pads(input, value)
        return torch.quantize_per_tensor(pads(input.dequantize(), value), input.q_scale(), input.q_zero_point(), input.dtype)

    def extra_repr(self) -> str:
        """Return the padding rule and the padding mode."""
        return f"padding={self.request.policy.padding}, padding_mode={self.request.policy.padding_mode}"


def _is_traced(data: Tensor) -> bool:
    """Return True where pads may be symbolic, so that their sign cannot be tested."""
    return torch.compiler.is_compiling() or type(data) not in PLAIN


def _is_dynamic(length: Any) -> bool:
    """Return True for a length that is dynamic in an exported program."""
    from torch.fx.experimental.symbolic_shapes import has_static_value  # here: it imports SymPy

    return not has_static_value(length)


@registry.cached(maxsize=512)
def pads_of(request: LayerRequest) -> Pads:
    """Return the `Pads` of a request."""
    return Pads(request)


@registry.cached(maxsize=256)
def _indices(request: LayerRequest, length: int, device: torch.device) -> tuple[list[tuple[Tensor, bool]], float] | None:
    """Return ``([(index, has_constant), (index, has_constant)], constant)``, or None if the plan does not copy.

    An index of -1 means the constant. Eager layers cache the result per length.
    """
    plan = request.plan(length)
    if not plan.copies:
        return None
    with outlasting():
        return [_index(sources, device) for sources in (plan.left_sources, plan.right_sources)], plan.value


def _index(sources: tuple[int, ...], device: torch.device) -> tuple[Tensor, bool]:
    return torch.tensor(sources, dtype=torch.int64, device=device), min(sources, default=0) < 0
