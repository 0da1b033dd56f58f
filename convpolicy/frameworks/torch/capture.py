"""Capture of torch's convolutions, also with weight normalisation, spectral normalisation or pruning."""

from __future__ import annotations

from typing import Any

import attrs
import torch
from torch import Tensor, nn
from torch.nn.modules import module as modules
from torch.nn.utils import parametrizations, prune
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.nn.utils.weight_norm import WeightNorm

from convpolicy.arithmetic import split, static_total
from convpolicy.core.named import policy
from convpolicy.core.resolution import with_output_padding
from convpolicy.core.spec import ConvSpec
from convpolicy.errors import ConvPolicyError
from convpolicy.frameworks.torch import scripted
from convpolicy.frameworks.torch.cropped import CroppedConvTranspose1d
from convpolicy.frameworks.torch.execution.conditions import native_padding
from convpolicy.frameworks.torch.execution.ruled import Ruled
from convpolicy.frameworks.torch.execution.ruled_transposed import RuledConvTranspose1d
from convpolicy.frameworks.torch.execution.transposed_conditions import native_crop
from convpolicy.frameworks.torch.execution.tuned import Tuned
from convpolicy.frameworks.torch.padded import PaddedConv1d
from convpolicy.frameworks.torch.policy_layer import ConvLayer, followed
from convpolicy.frameworks.torch.values import as_numpy
from convpolicy.layers.backend import LEARNED, LayerRequest
from convpolicy.layers.capture import Capture, as_given, one, refuse, refuse_others
from convpolicy.layers.learned import with_learned

DTYPES = {getattr(torch, name): name for name in ("float32", "float64", "float16", "bfloat16")}
TENSORS = (Tensor, nn.Parameter, nn.Buffer)
# the functions that a call runs, and the files that define them; a subclass or a patch may replace them
CALLED = ("__call__", "_call_impl", "forward", "_conv_forward", "_pad", "_output_padding")
FILES = {
    function.__code__.co_filename  # __init__ is absent, since torch.compile replaces it
    for function in (
        nn.Module.forward,
        nn.Conv1d.forward,
        Ruled.extra_repr,
        PaddedConv1d._bind,
        RuledConvTranspose1d.forward,
        CroppedConvTranspose1d._bind,
    )
}
# for the pre-hooks of torch's own utilities: the weight that they compute, without their side effects
REWRITING_HOOKS = {
    WeightNorm: lambda hook, layer: hook.compute_weight(layer),
    SpectralNorm: lambda hook, layer: hook.compute_weight(layer, do_power_iteration=False),
    prune.BasePruningMethod: lambda hook, layer: hook.apply_mask(layer),
}
COMPILED = ("it is compiled", "capture the original module, its attribute _orig_mod")
QUANTIZED = ("torch.ao.nn.quantized.", "torch.nn.quantized.")  # modules that define the quantized classes
CHANGING_IN_TRAINING = (SpectralNorm, parametrizations._SpectralNorm)


def capture(layer: Any) -> Capture | None:
    """Return sizes, policy and effective weights of a ``torch.nn.Conv1d`` or ``torch.nn.ConvTranspose1d``, or None for another object.

    The effective weights are those that the layer's next call uses.
    """
    if isinstance(layer, torch.jit.ScriptModule):
        return _scripted(layer)
    if not isinstance(layer, (nn.Conv1d, nn.ConvTranspose1d)):
        if "_orig_mod" in getattr(layer, "_modules", ()):
            refuse_others(layer, {nn.Module: COMPILED})
        if type(layer).__module__.startswith(QUANTIZED):
            refuse_others(layer, {nn.Module: ("it is quantized", "capture it before it is quantized")})
        return None
    _check(layer)
    values = _values(layer)
    weight, bias = values["weight"], values["bias"]
    if any(type(value) not in TENSORS for value in (weight, bias) if value is not None):
        raise refuse(
            layer, f"its weight is a {type(weight).__name__}, which may override the computation", "replace it with a tensor"
        )
    if weight.dtype not in DTYPES or (bias is not None and bias.dtype != weight.dtype):
        dtypes = ", ".join(str(value.dtype) for value in (weight, bias) if value is not None)
        raise refuse(layer, f"weight and bias are {dtypes}", f"convert both to one of {', '.join(DTYPES.values())}")
    kernel, stride, dilation = map(one, (layer.kernel_size, layer.stride, layer.dilation))
    spec = ConvSpec.of(
        layer.in_channels,
        layer.out_channels,
        kernel,
        stride,
        dilation,
        layer.groups,
        transposed=isinstance(layer, nn.ConvTranspose1d),
    )
    if tuple(weight.shape) != spec.weight_shape:
        raise refuse(
            layer,
            f"its weight has shape {tuple(weight.shape)}, but its sizes need {spec.weight_shape}",
            "build a new layer of these sizes",
        )
    layer_policy = _policy(layer, spec, bias is not None)
    if LEARNED in values:
        layer_policy = with_learned(layer_policy, _learned(layer, values[LEARNED], weight.dtype))
    return Capture(spec, layer_policy, _array(weight), None if bias is None else _array(bias), DTYPES[weight.dtype])


def _scripted(layer: Any) -> Capture | None:
    read = scripted.read(layer)
    captured = capture(read.layer)
    if captured is None or read.pads is None:
        return captured
    padded = captured.policy.evolve(padding=read.pads, padding_mode=read.mode)
    return attrs.evolve(captured, policy=padded)


def _learned(layer: ConvLayer, value: Any, dtype: torch.dtype) -> Any:
    """Return the learned constant as float64, which represents it exactly."""
    if type(value) not in TENSORS or value.dtype != dtype or value.shape not in ((), (layer.in_channels,)):
        raise refuse(
            layer,
            f"its {LEARNED} is a {type(value).__name__} of {value.dtype} and shape {tuple(value.shape)}",
            f"replace it with a tensor of {dtype} and shape () or ({layer.in_channels},)",
        )
    return as_numpy(value.detach().cpu().double())


def _array(value: Tensor) -> Any:
    return as_given(as_numpy(value.detach().cpu()))


def _check(layer: ConvLayer) -> None:
    if isinstance(layer, (nn.LazyConv1d, nn.LazyConvTranspose1d)):
        raise refuse(layer, "its in_channels are not known before the first call", "call it once on an input")
    if any(_file_of(getattr(type(layer), name, None)) not in FILES for name in CALLED if hasattr(type(layer), name)):
        raise refuse(
            layer,
            "its class overrides forward",
            f"capture a plain torch.nn.{'ConvTranspose1d' if isinstance(layer, nn.ConvTranspose1d) else 'Conv1d'} with its weights",
        )
    if any(not isinstance(vars(layer)[name], Tuned) for name in CALLED if name in vars(layer)):
        raise refuse(layer, "its forward was replaced", "delete that attribute")
    if modules._global_forward_hooks or modules._global_forward_pre_hooks:
        raise refuse(layer, "a global forward hook may change its output", "remove the hook")
    if layer._forward_hooks:
        raise refuse(layer, "a forward hook may change its output", "remove the hook")
    rewriting = [hook for hook in _pre_hooks(layer) if isinstance(hook, tuple(REWRITING_HOOKS))]
    if len(rewriting) != len(_pre_hooks(layer)):
        raise refuse(layer, "a forward pre-hook may change its input", "remove the hook")
    parametrized = [part for parts in getattr(layer, "parametrizations", {}).values() for part in parts]
    if layer.training and any(isinstance(part, CHANGING_IN_TRAINING) for part in (*rewriting, *parametrized)):
        raise refuse(layer, "spectral normalisation changes its weight at every call while training", "call eval() first")
    if any(value.is_meta for value in layer.parameters()):
        raise refuse(layer, "it is on the meta device and has no values", "call to_empty and load its weights")


def _file_of(function: Any) -> str:
    return str(getattr(getattr(function, "__code__", None), "co_filename", ""))


def _pre_hooks(layer: ConvLayer) -> list[Any]:
    return list(layer._forward_pre_hooks.values())


@torch.no_grad()
def _values(layer: ConvLayer) -> dict[str, Any]:
    """Return weight, bias and the learned constant that the next call uses, after parametrizations and torch's own pre-hooks."""
    values: dict[str, Any] = {"weight": layer.weight, "bias": layer.bias}
    if isinstance(layer, PaddedConv1d) and layer.learns:
        values[LEARNED] = layer.padding_value
    for hook in _pre_hooks(layer):
        rewrite = next(rewrite for kind, rewrite in REWRITING_HOOKS.items() if isinstance(hook, kind))
        name = getattr(hook, "name", None) or hook._tensor_name
        values[name] = rewrite(hook, layer)  # type: ignore[no-untyped-call]
    return values


def _policy(layer: ConvLayer, spec: ConvSpec, bias: bool) -> Any:
    padding: Any = layer.padding
    if not isinstance(padding, str) and not (isinstance(padding, tuple) and len(padding) > 1):
        padding = one(padding)
    request = layer._request if isinstance(layer, Ruled) else followed(layer)
    if request is not None:
        if (spec, padding, *_more(layer)) != (request.spec, *_expected(layer, request)):
            raise refuse(layer, "its sizes or its padding were changed after it was built", "build a new layer")
        return request.policy.evolve(bias=bias)
    if isinstance(padding, tuple):
        raise refuse(layer, f"its forward cannot use its padding {padding}", "build a new layer")
    if isinstance(layer, nn.ConvTranspose1d):
        return _transposed_policy(layer, spec, padding, bias)
    try:
        layer_policy = policy("torch").evolve(padding=padding, padding_mode=layer.padding_mode, bias=bias)
    except ConvPolicyError as error:
        raise refuse(layer, str(error).rstrip("."), "correct its attributes") from error
    same = split(static_total(spec.kernel_size, spec.dilation), "right")
    pads = {"same": same, "valid": (0, 0)}[padding] if isinstance(padding, str) else (padding, padding)
    if layer.padding_mode != "zeros" and tuple(layer._reversed_padding_repeated_twice) != pads:
        raise refuse(layer, "its padding was changed after it was built, and its forward ignores the change", "build a new layer")
    return layer_policy


def _more(layer: ConvLayer) -> tuple[Any, ...]:
    """Return the attributes besides padding that decide what a layer pads or cuts."""
    if isinstance(layer, nn.ConvTranspose1d):
        return layer.padding_mode, one(layer.output_padding)
    return (layer.padding_mode,)


def _expected(layer: ConvLayer, request: LayerRequest) -> tuple[Any, ...]:
    """Return the values of ``padding`` and of `_more` that a layer of a request is built with."""
    mode = request.policy.padding_mode.name
    if isinstance(layer, (PaddedConv1d, CroppedConvTranspose1d)):
        padding: Any = request.static_pads() or str(request.policy.padding)
        return (padding, mode) if isinstance(layer, PaddedConv1d) else (padding, mode, 0)
    if isinstance(layer, nn.ConvTranspose1d):
        padding, output_padding = native_crop(request) or (None, None)
        return padding, mode, output_padding
    return native_padding(request), mode


def _transposed_policy(layer: nn.ConvTranspose1d, spec: ConvSpec, padding: Any, bias: bool) -> Any:
    if layer.padding_mode != "zeros":
        raise refuse(layer, f"its forward refuses its padding_mode {layer.padding_mode!r}", "set it to 'zeros'")
    try:
        chosen = policy("torch").half().evolve(padding=padding, bias=bias)
        chosen = chosen.evolve(padding=with_output_padding(chosen.padding, one(layer.output_padding)))
        chosen.static_pads(spec.kernel_size, spec.stride, spec.dilation)
    except ConvPolicyError as error:
        raise refuse(layer, str(error).rstrip("."), "correct its attributes") from error
    if padding < 0:
        raise refuse(layer, f"its forward refuses its padding {padding}", "build a new layer")
    return chosen
