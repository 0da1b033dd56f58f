"""Capture of ``paddle.nn.Conv1D`` and ``paddle.nn.Conv1DTranspose``, also with weight or spectral normalisation."""

from __future__ import annotations

from typing import Any

import paddle
from paddle import nn
from paddle.nn.functional.conv import _update_padding_nd
from paddle.nn.utils.spectral_norm_hook import SpectralNorm
from paddle.nn.utils.weight_norm_hook import WeightNorm

from convpolicy.core.layer_policy import LayerPolicy
from convpolicy.core.named import policy as named_policy
from convpolicy.core.resolution import with_output_padding
from convpolicy.core.spec import ConvSpec
from convpolicy.errors import ConvPolicyError
from convpolicy.frameworks.paddle.layer import DTYPES, MODES, SAME, ByLengthConv1D, PaddedConv1D
from convpolicy.frameworks.paddle.transposed import CutConv1DTranspose
from convpolicy.layers.capture import Capture, as_given, refuse
from convpolicy.parts.choice import Choice

KINDS = (nn.Conv1D, nn.Conv1DTranspose)
BUILT = (PaddedConv1D, CutConv1DTranspose)  # with a policy of their own
FORWARDS = tuple(kind.forward for kind in (*KINDS, *BUILT, ByLengthConv1D))
OWN_MODES = {name: mode for mode, name in MODES.items()} | {"zeros": Choice("zeros")}
DATA_LAYOUTS = {"NCL": "NCW", "NLC": "NWC"}
# for the pre-hooks of Paddle's own utilities: the weight that they compute, without their side effects
REWRITING_HOOKS: dict[Any, Any] = {
    WeightNorm: lambda hook, layer: hook.compute_weight(layer),
    SpectralNorm: lambda hook, layer: hook.compute_weight(layer, do_power_iteration=False),
}


def capture(layer: Any) -> Capture | None:
    """Return sizes, policy and effective weights of a Conv1D or a Conv1DTranspose of Paddle, or None for another object.

    The effective weights are those that the layer's next call uses. For ``SAME`` the captured dilation is 1, since Paddle ignores
    the layer's own dilation.
    """
    if not isinstance(layer, KINDS):
        return None
    _check(layer)
    with paddle.no_grad():
        weight, bias = weights_of(layer)
    dtypes = {value.dtype for value in (weight, bias) if value is not None}
    if len(dtypes) > 1 or not dtypes <= set(DTYPES):
        names = ", ".join(sorted(map(str, dtypes)))
        raise refuse(layer, f"weight and bias are {names}", f"convert both to one of {', '.join(DTYPES.values())}")
    arrays = {name: as_given(value.numpy()) for name, value in (("weight", weight), ("bias", bias)) if value is not None}
    padding, resets_dilation = _padding(layer)
    (kernel,), (stride,), (dilation,) = layer._kernel_size, layer._stride, layer._dilation
    spec = ConvSpec.of(
        layer._in_channels,
        layer._out_channels,
        kernel,
        stride,
        1 if resets_dilation else dilation,
        layer._groups,
        transposed=isinstance(layer, nn.Conv1DTranspose),
    )
    shapes = {"weight": spec.weight_shape, "bias": (spec.out_channels,)}
    for name, array in arrays.items():
        if array.shape != shapes[name]:
            raise refuse(
                layer,
                f"its {name} has shape {array.shape}, but its sizes need {shapes[name]}",
                "build a new layer of these sizes",
            )
    layer_policy = _policy(layer, spec, padding).evolve(bias=bias is not None)
    return Capture(spec, layer_policy, arrays["weight"], arrays.get("bias"), DTYPES[weight.dtype])


def _check(layer: nn.Layer) -> None:
    kind = next(kind.__name__ for kind in KINDS if isinstance(layer, kind))
    if type(layer).forward not in FORWARDS:
        raise refuse(layer, "its class overrides forward", f"capture a plain nn.{kind} with its weights")
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
        raise refuse(layer, f"Paddle refuses its data_format {layer._data_format!r}", "pass NCL or NLC")


def weights_of(layer: nn.Layer) -> tuple[Any, Any]:
    """Return the weight and bias that the next call uses, after Paddle's own pre-hooks."""
    values = {"weight": layer.weight, "bias": layer.bias}
    for hook in layer._forward_pre_hooks.values():
        values[hook.name] = next(rewrite for kind, rewrite in REWRITING_HOOKS.items() if isinstance(hook, kind))(hook, layer)
    return values["weight"], values["bias"]


def _padding(layer: nn.Layer) -> tuple[Any, bool]:
    """Return the ``padding`` argument for `Policy.evolve`, and True when Paddle ignores the layer's dilation."""
    if isinstance(layer, BUILT):
        return None, False
    if layer._padding_mode != "zeros":  # its forward reads these pads
        return tuple(layer._reversed_padding_repeated_twice), False
    try:
        pads, algorithm = _update_padding_nd(layer._padding, layer._data_format == "NLC", 1)
    except (TypeError, ValueError) as error:
        raise refuse(layer, str(error).strip().rstrip("."), "correct its padding") from error
    resets = algorithm == "SAME"
    if isinstance(layer, nn.Conv1DTranspose):
        return _crop(layer, pads, resets), resets
    if algorithm == "EXPLICIT":
        return tuple(pads) if len(pads) == 2 else pads[0], False
    return algorithm, resets


def _crop(layer: nn.Conv1DTranspose, pads: list[int], is_same: bool) -> Choice:
    """Return the crop rule of a transposed convolution that Paddle can run."""
    (stride,) = layer._stride
    given = layer.output_padding
    added = given[0] if isinstance(given, (tuple, list)) and len(given) == 1 else given
    if isinstance(added, bool) or not isinstance(added, int) or not 0 <= added < stride:
        raise refuse(
            layer,
            f"Paddle cannot run its output_padding {given!r} with stride {stride}",
            f"pass an integer from 0 to {stride - 1}",
        )
    rule = Choice(SAME) if is_same else Choice("explicit", left=pads[0], right=pads[-1])
    return with_output_padding(rule, added) if added else rule


def _policy(layer: nn.Layer, spec: ConvSpec, padding: Any) -> LayerPolicy:
    if isinstance(layer, BUILT):
        if spec != layer._request.spec:
            raise refuse(layer, "its sizes were changed after it was built", "build a new layer")
        return layer.policy
    whole = named_policy("paddle")
    own: LayerPolicy = whole.half() if spec.transposed else whole
    try:
        return own.evolve(
            padding=padding, padding_mode=OWN_MODES[layer._padding_mode], data_layout=DATA_LAYOUTS[layer._data_format]
        )
    except ConvPolicyError as error:
        raise refuse(layer, str(error).rstrip("."), "correct its padding") from error
