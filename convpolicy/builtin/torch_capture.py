"""Taking a ``torch.nn.Conv1d`` apart, weight normalisation, spectral normalisation and pruning included."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations, prune
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.nn.utils.weight_norm import WeightNorm

from convpolicy.builtin.torch_padded import PaddedConv1d
from convpolicy.builtin.torch_policy import PolicyConv1d
from convpolicy.builtin.torch_values import as_numpy
from convpolicy.errors import ConvPolicyError
from convpolicy.lookup import policy
from convpolicy.plan import ConvSpec
from convpolicy.porting import Capture, as_given, one, refuse

DTYPES = {getattr(torch, name): name for name in ("float32", "float64", "float16", "bfloat16")}
FORWARDS = (nn.Conv1d._conv_forward, PaddedConv1d._conv_forward)
# what a pre-hook of torch's own utilities makes of the weight, without its side effects
REWRITING_HOOKS = {
    WeightNorm: lambda hook, layer: hook.compute_weight(layer),
    SpectralNorm: lambda hook, layer: hook.compute_weight(layer, do_power_iteration=False),
    prune.BasePruningMethod: lambda hook, layer: hook.apply_mask(layer),
}
CHANGING_IN_TRAINING = (SpectralNorm, parametrizations._SpectralNorm)


def capture(layer: Any) -> Capture | None:
    """Return sizes, policy and the weights that the layer's next call would use; None for what is no ``nn.Conv1d``."""
    if not isinstance(layer, nn.Conv1d):
        return None
    _check(layer)
    weight, bias = _values(layer)
    if weight.dtype not in DTYPES or (bias is not None and bias.dtype != weight.dtype):
        dtypes = ", ".join(str(value.dtype) for value in (weight, bias) if value is not None)
        raise refuse(layer, f"weight and bias are {dtypes}", f"convert both to one of {', '.join(DTYPES.values())}")
    kernel, stride, dilation = map(one, (layer.kernel_size, layer.stride, layer.dilation))
    spec = ConvSpec.of(layer.in_channels, layer.out_channels, kernel, stride, dilation, layer.groups)
    if tuple(weight.shape) != spec.weight_shape:
        raise refuse(
            layer,
            f"its weight has shape {tuple(weight.shape)} and its sizes say {spec.weight_shape}",
            "build it with its own sizes",
        )
    chosen = _policy(layer, spec, bias is not None)
    return Capture(spec, chosen, _array(weight), None if bias is None else _array(bias), DTYPES[weight.dtype])


def _array(value: Tensor) -> Any:
    return as_given(as_numpy(value.detach().cpu()))


def _check(layer: nn.Conv1d) -> None:
    if isinstance(layer, nn.LazyConv1d):
        raise refuse(layer, "its in_channels are not known before the first call", "call it once on an input")
    if type(layer).forward is not nn.Conv1d.forward or type(layer)._conv_forward not in FORWARDS:
        raise refuse(layer, "its class computes forward in a way of its own", "capture a plain torch.nn.Conv1d with its weights")
    if "forward" in vars(layer) or "_conv_forward" in vars(layer):
        raise refuse(layer, "its forward was replaced", "delete that attribute")
    if layer._forward_hooks:
        raise refuse(layer, "a forward hook may change its output", "remove the hook")
    rewriting = [hook for hook in _pre_hooks(layer) if isinstance(hook, tuple(REWRITING_HOOKS))]
    if len(rewriting) != len(_pre_hooks(layer)):
        raise refuse(layer, "a forward pre-hook may change its input", "remove the hook")
    parametrized = [part for parts in getattr(layer, "parametrizations", {}).values() for part in parts]
    if layer.training and any(isinstance(part, CHANGING_IN_TRAINING) for part in (*rewriting, *parametrized)):
        raise refuse(layer, "spectral normalisation changes its weight at every call while training", "call eval() first")
    if any(value.is_meta for value in layer.parameters()):
        raise refuse(layer, "it is on the meta device and holds no values", "call to_empty and load its weights")


def _pre_hooks(layer: nn.Conv1d) -> list[Any]:
    return list(layer._forward_pre_hooks.values())


@torch.no_grad()
def _values(layer: nn.Conv1d) -> tuple[Any, Any]:
    """Return weight and bias as the next call would have them, after parametrizations and torch's own pre-hooks."""
    values: dict[str, Tensor | None] = {"weight": layer.weight, "bias": layer.bias}
    for hook in _pre_hooks(layer):
        rewrite = next(rewrite for kind, rewrite in REWRITING_HOOKS.items() if isinstance(hook, kind))
        name = getattr(hook, "name", None) or hook._tensor_name
        values[name] = rewrite(hook, layer)  # type: ignore[no-untyped-call]
    return values["weight"], values["bias"]


def _policy(layer: nn.Conv1d, spec: ConvSpec, bias: bool) -> Any:
    if isinstance(layer, PolicyConv1d):
        if spec != layer._request.spec:
            raise refuse(layer, "its sizes were changed after it was built", "build it anew")
        return layer.policy.evolve(bias=bias)
    padding = layer.padding if isinstance(layer.padding, str) else one(layer.padding)
    try:
        return policy("torch").evolve(padding=padding, padding_mode=layer.padding_mode, bias=bias)
    except ConvPolicyError as error:
        raise refuse(layer, str(error).rstrip("."), "correct its attributes") from error
