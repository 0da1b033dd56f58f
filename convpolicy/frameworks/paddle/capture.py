"""Taking a ``paddle.nn.Conv1D`` apart, weight and spectral normalisation included."""

from __future__ import annotations

from typing import Any

import paddle
from paddle import nn
from paddle.nn.functional.conv import _update_padding_nd
from paddle.nn.utils.spectral_norm_hook import SpectralNorm
from paddle.nn.utils.weight_norm_hook import WeightNorm

from convpolicy.core.named import policy as named_policy
from convpolicy.core.plan import ConvSpec
from convpolicy.core.policy import Policy
from convpolicy.errors import ConvPolicyError
from convpolicy.frameworks.paddle.layer import DTYPES, MODES, ByLengthConv1D, PaddedConv1D
from convpolicy.layers.capture import TRANSPOSED, Capture, as_given, refuse, refuse_others
from convpolicy.parts.choice import Choice

FORWARDS = (nn.Conv1D.forward, PaddedConv1D.forward, ByLengthConv1D.forward)
OWN_MODES = {word: mode for mode, word in MODES.items()} | {"zeros": Choice("zeros")}
DATA_LAYOUTS = {"NCL": "NCW", "NLC": "NWC"}
# what a pre-hook of Paddle's own utilities makes of the weight, without its side effects
REWRITING_HOOKS: dict[Any, Any] = {
    WeightNorm: lambda hook, layer: hook.compute_weight(layer),
    SpectralNorm: lambda hook, layer: hook.compute_weight(layer, do_power_iteration=False),
}


def capture(layer: Any) -> Capture | None:
    """Return sizes, policy and the weights that the layer's next call would use; None for what is no ``nn.Conv1D``.

    ``SAME`` with a dilation above 1 is what Paddle computes: the same layer with dilation 1.
    """
    if not isinstance(layer, nn.Conv1D):
        refuse_others(layer, {nn.Conv1DTranspose: TRANSPOSED})
        return None
    _check(layer)
    weight, bias = _values(layer)
    dtypes = {value.dtype for value in (weight, bias) if value is not None}
    if len(dtypes) > 1 or not dtypes <= set(DTYPES):
        found = ", ".join(sorted(map(str, dtypes)))
        raise refuse(layer, f"weight and bias are {found}", f"convert both to one of {', '.join(DTYPES.values())}")
    arrays = {name: as_given(value.numpy()) for name, value in (("weight", weight), ("bias", bias)) if value is not None}
    padding, resets_dilation = _padding(layer)
    (kernel,), (stride,), (dilation,) = layer._kernel_size, layer._stride, layer._dilation
    spec = ConvSpec.of(layer._in_channels, layer._out_channels, kernel, stride, 1 if resets_dilation else dilation, layer._groups)
    shapes = {"weight": spec.weight_shape, "bias": (spec.out_channels,)}
    for name, array in arrays.items():
        if array.shape != shapes[name]:
            raise refuse(layer, f"its {name} has shape {array.shape} and its sizes say {shapes[name]}", "build it anew")
    chosen = _policy(layer, spec, padding).evolve(bias=bias is not None)
    return Capture(spec, chosen, arrays["weight"], arrays.get("bias"), DTYPES[weight.dtype])


def _check(layer: nn.Conv1D) -> None:
    if type(layer).forward not in FORWARDS:
        raise refuse(layer, "its class computes forward in a way of its own", "capture a plain nn.Conv1D with its weights")
    if "forward" in vars(layer):
        raise refuse(layer, "its forward was replaced", "capture it before paddle.jit.to_static, or delete that attribute")
    if layer._forward_post_hooks:
        raise refuse(layer, "a forward post-hook may change its output", "remove the hook")
    hooks = list(layer._forward_pre_hooks.values())
    if not all(isinstance(hook, tuple(REWRITING_HOOKS)) for hook in hooks):
        raise refuse(layer, "a forward pre-hook may change its input", "remove the hook")
    if layer.training and any(isinstance(hook, SpectralNorm) for hook in hooks):
        raise refuse(layer, "spectral normalisation changes its weight at every call while training", "call eval() first")
    if layer._data_format not in DATA_LAYOUTS:
        raise refuse(layer, f"Paddle refuses data_format {layer._data_format!r} for it", "pass NCL or NLC")


@paddle.no_grad()  # type: ignore[untyped-decorator]
def _values(layer: nn.Conv1D) -> tuple[Any, Any]:
    """Return weight and bias as the next call would have them, after Paddle's own pre-hooks."""
    values = {"weight": layer.weight, "bias": layer.bias}
    for hook in layer._forward_pre_hooks.values():
        values[hook.name] = next(rewrite for kind, rewrite in REWRITING_HOOKS.items() if isinstance(hook, kind))(hook, layer)
    return values["weight"], values["bias"]


def _padding(layer: nn.Conv1D) -> tuple[Any, bool]:
    """Return the padding in convpolicy's words, and whether it makes Paddle compute with dilation 1."""
    if isinstance(layer, PaddedConv1D):
        return None, False
    if layer._padding_mode != "zeros":  # the pads that its forward reads
        return tuple(layer._reversed_padding_repeated_twice), False
    try:
        pads, algorithm = _update_padding_nd(layer._padding, layer._data_format == "NLC", 1)
    except (TypeError, ValueError) as error:
        raise refuse(layer, str(error).strip().rstrip("."), "correct its padding") from error
    if algorithm == "EXPLICIT":
        return tuple(pads) if len(pads) == 2 else pads[0], False
    return algorithm, algorithm == "SAME"


def _policy(layer: nn.Conv1D, spec: ConvSpec, padding: Any) -> Policy:
    if isinstance(layer, PaddedConv1D):
        if spec != layer._request.spec:
            raise refuse(layer, "its sizes were changed after it was built", "build it anew")
        return layer.policy
    try:
        return named_policy("paddle").evolve(
            padding=padding, padding_mode=OWN_MODES[layer._padding_mode], data_layout=DATA_LAYOUTS[layer._data_format]
        )
    except ConvPolicyError as error:
        raise refuse(layer, str(error).rstrip("."), "correct its padding") from error
