"""Taking ``mindspore.nn.Conv1d`` and ``mindspore.mint.nn.Conv1d`` apart."""

from __future__ import annotations

from typing import Any

from mindspore import mint, nn

from convpolicy.builtin.mindspore_layer import PolicyConv1d
from convpolicy.lookup import policy
from convpolicy.plan import ConvSpec
from convpolicy.porting import Capture, as_given, one, refuse

DTYPES = {"Float32": "float32", "Float64": "float64", "Float16": "float16"}


def capture(layer: Any) -> Capture | None:
    """Return sizes, policy and weights; None for another Cell."""
    own = next((kind for kind in READERS if isinstance(layer, kind)), None)
    if own is None:
        return None
    if type(layer).construct is not own.construct or "construct" in vars(layer):
        raise refuse(
            layer, "its class computes construct in a way of its own", f"capture a plain {own.__name__} with its weights"
        )
    spec, layers_policy, weight, bias = READERS[own](layer)
    out, per, kernel = spec.weight_shape
    if tuple(weight.shape) not in ((out, per, kernel), (out, per, 1, kernel)):
        raise refuse(
            layer, f"its weight has shape {weight.shape} and its sizes say {spec.weight_shape}", "build it with its own sizes"
        )
    dtype = str(weight.dtype)
    if dtype not in DTYPES or (bias is not None and str(bias.dtype) != dtype):
        raise refuse(layer, f"weight and bias are {dtype}", f"convert both to one of {', '.join(DTYPES.values())}")
    arrays = [None if value is None else as_given(value.asnumpy()) for value in (weight, bias)]
    return Capture(spec, layers_policy, arrays[0].reshape(spec.weight_shape), arrays[1], DTYPES[dtype])  # type: ignore[union-attr]


def _own(layer: PolicyConv1d) -> Any:
    return layer._request.spec, layer.policy, layer.weight, layer.bias if layer.has_bias else None


def _conv1d(layer: nn.Conv1d) -> Any:
    """``mindspore.nn.Conv1d``, a Conv2d of height 1 inside: sizes are (1, n), pads (0, 0, left, right)."""
    kernel, stride, dilation = (int(sizes[1]) for sizes in (layer.kernel_size, layer.stride, layer.dilation))
    padding = layer.pad_mode if layer.pad_mode != "pad" else layer.padding[2:]
    spec = ConvSpec.of(layer.in_channels, layer.out_channels, kernel, stride, dilation, layer.group)
    chosen = policy("mindspore").evolve(padding=padding, bias=layer.has_bias)
    return spec, chosen, layer.weight, layer.bias if layer.has_bias else None


def _mint(layer: mint.nn.Conv1d) -> Any:
    """``mindspore.mint.nn.Conv1d``, which pads as torch does and stores its weight as torch does."""
    kernel, stride, dilation = map(one, (layer.kernel_size, layer.stride, layer.dilation))
    padding = policy("torch").evolve(padding=layer.padding if isinstance(layer.padding, str) else one(layer.padding)).padding
    spec = ConvSpec.of(layer.in_channels, layer.out_channels, kernel, stride, dilation, layer.groups)
    chosen = policy("mindspore").evolve(
        name="mindspore.mint", padding=padding, padding_mode=layer.padding_mode, bias=layer.bias is not None, layout="OIW"
    )
    return spec, chosen, layer.weight, layer.bias


READERS = {PolicyConv1d: _own, nn.Conv1d: _conv1d, mint.nn.Conv1d: _mint}
