"""The torch backend: ``torch.nn.Conv1d`` itself where it can express the policy, else a subclass of it."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - torch's own convention
from torch import Tensor, nn

from convpolicy import registry
from convpolicy.arithmetic import split, static_total
from convpolicy.backends import LayerRequest
from convpolicy.builtin.torch_values import GlobalStream, as_numpy
from convpolicy.errors import InvalidTypeError, InvalidValueError
from convpolicy.initializers import TORCH_UNIFORM
from convpolicy.parts import Choice
from convpolicy.plan import Plan, require_a_window
from convpolicy.random.stream import Stream

# padding modes that torch.nn.functional.pad has under another or the same name, with torch's own overflow rule
FUNCTIONAL_MODES = {"zeros": "constant", "constant": "constant"} | {m: m for m in ("reflect", "replicate", "circular")}
NATIVE_MODES = {Choice(mode) for mode in ("zeros", "reflect", "replicate", "circular")}
NATIVE_INITS = {Choice("uniform"), TORCH_UNIFORM}  # ±sqrt(1/fan_in), for the weight and for the bias


def native_padding(request: LayerRequest) -> int | str | None:
    """Return the ``padding`` argument with which ``torch.nn.Conv1d`` itself does this, or None when it cannot."""
    pads = request.static_pads()
    if pads is None or request.policy.padding_mode not in NATIVE_MODES:
        return None
    spec = request.spec
    if spec.stride == 1 and pads == split(static_total(spec.kernel_size, spec.dilation), "right") and any(pads):
        return "same"
    return pads[0] if pads[0] == pads[1] else None


def has_native_init(request: LayerRequest) -> bool:
    """Return True when torch's own ``reset_parameters`` draws from the policy's distributions."""
    policy = request.policy
    return policy.weight_init in NATIVE_INITS and (not policy.bias or policy.bias_init in NATIVE_INITS)


def drawn(request: LayerRequest, stream: Stream | None) -> dict[str, Tensor | None]:
    """Draw weight and bias as CPU tensors; without a stream torch's own random state decides."""
    values = request.draw(GlobalStream() if stream is None else stream)
    return {name: None if array is None else torch.from_numpy(np.ascontiguousarray(array)) for name, array in values.items()}


def _write(layer: nn.Conv1d, values: dict[str, Tensor | None]) -> None:
    with torch.no_grad():
        for name, value in values.items():
            if value is not None:
                getattr(layer, name).copy_(value)


class _UndrawnConv1d(nn.Conv1d):
    """A ``torch.nn.Conv1d`` under construction: torch's own draw is skipped, its random state untouched."""

    def reset_parameters(self) -> None:
        """Leave the values to whoever writes them next."""


class PolicyConv1d(nn.Conv1d):
    """``torch.nn.Conv1d`` whose ``reset_parameters`` follows a policy; the forward is torch's own."""

    _request: LayerRequest
    _stream: Stream | None

    def __init__(self, request: LayerRequest, arguments: dict[str, Any], stream: Stream | None, device: Any) -> None:
        # plain values go past nn.Module.__setattr__, which looks for parameters; the first reset_parameters reads the stream once
        self.__dict__.update(_request=request, _stream=stream)
        super().__init__(**arguments, device=device)

    @property
    def policy(self) -> Any:
        """The policy this layer follows."""
        return self._request.policy

    def reset_parameters(self) -> None:
        """Draw weight and bias anew, as the policy says, from torch's global random state."""
        stream, self.__dict__["_stream"] = self._stream, None
        if self.weight.is_meta:
            return  # no values to write; call this again after to_empty
        if stream is None and _recipe(self._request, registry.current().generation)[1]:
            super().reset_parameters()
            return
        _write(self, drawn(self._request, stream))

    def extra_repr(self) -> str:
        """Return torch's own text and the policy's name."""
        return f"{super().extra_repr()}, policy={self.policy.name!r}"  # type: ignore[no-untyped-call]


class PaddedConv1d(PolicyConv1d):
    """A `PolicyConv1d` that pads by a plan first, for what ``torch.nn.Conv1d`` cannot express.

    ``padding`` is ``(left, right)``, or the rule's name when it depends on the length; ``padding_mode`` is the mode's name.
    """

    _static: tuple[int, int] | None
    _rule: tuple[Any, ...]
    _value: float
    _functional_mode: str | None
    _mirrors: bool

    def __init__(self, request: LayerRequest, arguments: dict[str, Any], stream: Stream | None, device: Any) -> None:
        super().__init__(request, arguments, stream, device)
        self._bind()
        policy = request.policy
        self.__dict__.update(padding=self._static or str(policy.padding), padding_mode=policy.padding_mode.name)

    def _bind(self) -> None:
        self.__dict__.update(_binding(self._request, registry.current().generation))

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return F.conv1d(self._pad(input), weight, bias, self.stride, 0, self.dilation, self.groups)

    def _pad(self, data: Tensor) -> Tensor:
        if torch.compiler.is_compiling():  # traced: arithmetic only, the length may be symbolic
            left, right = self._static or self._traced_pads(data.shape[-1])
        else:
            plan = self._checked(data)
            left, right = plan.left, plan.right
        if self._functional_mode == "constant":
            return F.pad(data, (left, right), "constant", self._value)
        if self._functional_mode is not None and data.numel():  # F.pad refuses an empty batch for the other modes
            return F.pad(data, (left, right), self._functional_mode)
        if self._mirrors:
            return torch.cat([data[..., :left].flip(-1), data, data[..., data.shape[-1] - right :].flip(-1)], -1)
        return self._gather(data)

    def _traced_pads(self, length: Any) -> tuple[int, int]:
        pads, kernel, stride, dilation, arguments = self._rule
        traced: tuple[int, int] = pads(kernel, stride, dilation, length, **arguments)
        return traced

    def _gather(self, data: Tensor) -> Tensor:
        length = len(range(data.shape[-1]))  # a traced length becomes a constant
        if torch.compiler.is_compiling():
            sides = [_index(sources, data.device) for sources in _sources(self._request, length)]
        else:
            sides = _indices(self._request, length, data.device, registry.current().generation)
        before, after = (self._repeated(data, *side) for side in sides)
        return torch.cat([before, data, after], -1)

    def _repeated(self, data: Tensor, index: Tensor, has_constant: bool) -> Tensor:
        if not has_constant:
            return data.index_select(-1, index)
        if not data.shape[-1]:  # nothing to repeat
            return data.new_full((*data.shape[:-1], len(index)), self._value)
        return torch.where(index < 0, self._value, data.index_select(-1, index.clamp(min=0)))

    def _checked(self, data: Tensor) -> Plan:
        if data.dim() not in (2, 3) or data.shape[-2] != self.in_channels:
            raise InvalidValueError(
                f"input must have shape (batch, {self.in_channels}, length) or ({self.in_channels}, length), got "
                f"{tuple(data.shape)}; put the channels before the length."
            )
        return _plan(self._request, data.shape[-1], registry.current().generation)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_rule"}  # a plugin's lambda

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)  # type: ignore[no-untyped-call]
        self._bind()

    def extra_repr(self) -> str:
        """Return the sizes, the rule, the mode and the policy's name."""
        spec, policy = self._request.spec, self.policy
        return (
            f"{spec.in_channels}, {spec.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}, "
            f"padding={policy.padding}, dilation={self.dilation}, groups={spec.groups}, bias={self.bias is not None}, "
            f"padding_mode={policy.padding_mode}, policy={policy.name!r}"
        )


@lru_cache(maxsize=512)
def _binding(request: LayerRequest, _generation: int) -> dict[str, Any]:
    """Return the static pads or None, the rule's function with its sizes, the constant, F.pad's mode or None, and
    whether the mode is the symmetric one, which a flip at each end carries out.
    """
    policy, spec = request.policy, request.spec
    rule, arguments = policy.part("padding")
    mode_arguments = policy.part("padding_mode")[1]
    torch_overflow = mode_arguments.get("overflow", "error") == "error"
    mode = policy.padding_mode.name if torch_overflow else ""
    sized_rule = (rule.pads, spec.kernel_size, spec.stride, spec.dilation, arguments)
    return {
        "_static": request.static_pads(),
        "_rule": sized_rule,
        "_value": mode_arguments.get("value", 0.0),
        "_functional_mode": FUNCTIONAL_MODES.get(mode),
        "_mirrors": mode == "symmetric",
    }


@lru_cache(maxsize=1024)
def _plan(request: LayerRequest, length: int, _generation: int) -> Plan:
    spec = request.spec
    return require_a_window(request.policy.plan(spec.kernel_size, spec.stride, spec.dilation, length=length))


@torch.compiler.assume_constant_result  # type: ignore[untyped-decorator]
def _sources(request: LayerRequest, length: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return what every added position holds, left and right: an input position, or -1 for the constant."""
    plan = _plan(request, length, registry.current().generation)
    return plan.left_sources, plan.right_sources


@lru_cache(maxsize=256)
def _indices(request: LayerRequest, length: int, device: torch.device, _generation: int) -> list[tuple[Tensor, bool]]:
    """Return `_sources` as `_index` has them, which eager layers keep per length."""
    return [_index(sources, device) for sources in _sources(request, length)]


def _index(sources: tuple[int, ...], device: torch.device) -> tuple[Tensor, bool]:
    """Return positions as a tensor, and whether -1 is among them."""
    return torch.tensor(sources, dtype=torch.int64, device=device), min(sources, default=0) < 0


@lru_cache(maxsize=512)
def _recipe(request: LayerRequest, _generation: int) -> tuple[int | str | None, bool, dict[str, Any]]:
    spec, padding = request.spec, native_padding(request)
    arguments = {
        "in_channels": spec.in_channels,
        "out_channels": spec.out_channels,
        "kernel_size": spec.kernel_size,
        "stride": spec.stride,
        "padding": padding or 0,  # a PaddedConv1d pads by itself
        "dilation": spec.dilation,
        "groups": spec.groups,
        "bias": request.policy.bias,
        "padding_mode": request.policy.padding_mode.name if request.policy.padding_mode in NATIVE_MODES else "zeros",
        "dtype": getattr(torch, request.dtype),
    }
    return padding, has_native_init(request), arguments


def _usable(device: Any) -> torch.device:
    """Return a device that this torch can hold a tensor on, or refuse it in one sentence."""
    try:
        return torch.empty(0, device=device).device
    except Exception as error:  # TypeError, RuntimeError, AssertionError and the devices' own
        kind = InvalidTypeError if isinstance(error, TypeError) else InvalidValueError
        first = str(error).strip().partition("\n")[0].rstrip(".")
        raise kind(f"device must be one that this torch has, got {device!r}: {first}; pass for example 'cpu'.") from error


def build(request: LayerRequest, stream: Stream | None, device: Any) -> nn.Conv1d:
    """Build the layer; without a stream torch's global random state decides, as ``torch.manual_seed`` left it."""
    if device is not None and _usable(device).type == "meta" and stream is not None:
        raise InvalidValueError("seed must be None on device 'meta', which holds no values, got one; seed after to_empty.")
    padding, native_init, arguments = _recipe(request, registry.current().generation)
    if padding is None:
        return PaddedConv1d(request, arguments, stream, device)
    if not native_init:
        return PolicyConv1d(request, arguments, stream, device)
    if stream is None:
        return nn.Conv1d(**arguments, device=device)
    layer: nn.Conv1d = _UndrawnConv1d(**arguments, device=device)
    layer.__class__ = nn.Conv1d
    _write(layer, drawn(request, stream))
    return layer


def run(layer: nn.Conv1d, data: Any) -> Any:
    """Return the output for (batch, channels, length), all NumPy; bfloat16 goes in and comes out as float32."""
    with torch.no_grad():
        return as_numpy(layer(_given(layer, data)))


def _given(layer: nn.Conv1d, data: Any) -> Tensor:
    """Return an array as a tensor that the layer takes: bfloat16 where NumPy had to write float32."""
    tensor = torch.from_numpy(data)
    return tensor.bfloat16() if layer.weight.dtype == torch.bfloat16 else tensor


def parameters(layer: nn.Conv1d) -> dict[str, Any]:
    """Return weight and bias as NumPy arrays; bfloat16 as float32."""
    return {
        name: None if value is None else as_numpy(value.detach().cpu())
        for name, value in (("weight", layer.weight), ("bias", layer.bias))
    }


def assign(layer: nn.Conv1d, values: dict[str, Any]) -> None:
    """Write weight and bias, given as NumPy arrays."""
    _write(layer, {name: None if value is None else torch.tensor(value) for name, value in values.items()})


def gradients(layer: nn.Conv1d, data: Any, upstream: Any) -> dict[str, Any]:
    """Return the gradients of ``sum(output * upstream)``, all NumPy."""
    wanted = {"input": _given(layer, data).requires_grad_(), "weight": layer.weight, "bias": layer.bias}
    present = {name: value for name, value in wanted.items() if value is not None}
    found = torch.autograd.grad(layer(wanted["input"]), list(present.values()), _given(layer, upstream))
    return dict.fromkeys(wanted) | {name: as_numpy(value) for name, value in zip(present, found)}
