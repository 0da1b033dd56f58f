"""The backend ``paddle``: a plain ``paddle.nn.Conv1D`` where it can express the padding, otherwise a subclass that pads by a plan."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import paddle
import paddle.nn.functional as F  # noqa: N812 - the usual name
from paddle import nn

from convpolicy.arithmetic import SIDES
from convpolicy.core.alike import pads_alike
from convpolicy.core.plan import Plan
from convpolicy.errors import InvalidValueError
from convpolicy.layers.backend import LayerRequest
from convpolicy.layers.following import Following
from convpolicy.parts.choice import Choice
from convpolicy.parts.side import Arithmetic, value_of
from convpolicy.parts.stream import Stream

ZEROS = Choice("zeros")
SAME = "paddle_same"  # the rule of Paddle's 'SAME', which silently sets a dilation above 1 to 1
# Padding mode -> mode of Paddle's Conv1D, which pads both sides equally. Its circular mode repeats the input for pads wider than
# the input, so it equals only circular with overflow="periodic".
MODES = {Choice("reflect"): "reflect", Choice("replicate"): "replicate", Choice("circular", overflow="periodic"): "circular"}
# (padding mode, overflow rule) -> the mode of paddle.nn.functional.pad that gives the same result for every valid plan
PAD_MODES = {
    ("zeros", None): "constant",
    ("constant", None): "constant",
    ("reflect", "error"): "reflect",
    ("replicate", "error"): "replicate",
    ("circular", "error"): "circular",
    ("circular", "periodic"): "circular",
}
DTYPES = {paddle.float32: "float32", paddle.float64: "float64"}
WEIGHT_INIT, BIAS_INIT = Choice("he_normal", fan="fan_in_all_groups"), Choice("zeros")  # defaults of Paddle's Conv1D


def native_padding(request: LayerRequest) -> int | list[int] | str | None:
    """Return the ``padding`` argument with which ``paddle.nn.Conv1D`` pads by the policy, or None when it cannot."""
    policy, pads = request.policy, request.static_pads()
    if pads is None:
        return "SAME" if policy.padding_mode == ZEROS and pads_alike(policy, SAME, request.spec) else None
    left, right = pads
    if min(pads) < 0:
        return None
    if left == right:
        return left if policy.padding_mode in {ZEROS, *MODES} or not left else None
    return [left, right] if policy.padding_mode == ZEROS else None


def has_native_init(request: LayerRequest) -> bool:
    """Return True when Paddle's own layer draws from the policy's distributions."""
    policy = request.policy
    return policy.weight_init == WEIGHT_INIT and (not policy.bias or policy.bias_init == BIAS_INIT)


class GlobalStream(Stream):
    """Paddle's global random state, for layers that are built without a seed."""

    name: ClassVar[str] = "paddle"
    dtypes: ClassVar[tuple[str, ...]] = ("float32", "float64")

    def __init__(self) -> None:
        pass  # Paddle keeps the state

    def uniform(self, shape: tuple[int, ...], low: float, high: float, dtype: str = "float32") -> Any:
        """Call ``paddle.nn.initializer.Uniform``."""
        return _drawn(nn.initializer.Uniform(low, high), shape, self.check_dtype(dtype))

    def normal(self, shape: tuple[int, ...], mean: float, std: float, dtype: str = "float32") -> Any:
        """Call ``paddle.nn.initializer.Normal``."""
        return _drawn(nn.initializer.Normal(mean, std), shape, self.check_dtype(dtype))

    def truncated_normal(
        self, shape: tuple[int, ...], mean: float, std: float, lower: float, upper: float, dtype: str = "float32"
    ) -> Any:
        """Call ``paddle.nn.initializer.TruncatedNormal``, whose bounds are absolute values, as measured on 3.3.1."""
        return _drawn(
            nn.initializer.TruncatedNormal(mean, std, mean + lower * std, mean + upper * std), shape, self.check_dtype(dtype)
        )


def _drawn(initializer: Any, shape: tuple[int, ...], dtype: str) -> Any:
    return paddle.create_parameter(list(shape), dtype, default_initializer=initializer).numpy()


def pad_mode(request: LayerRequest) -> str | None:
    """Return the mode of ``paddle.nn.functional.pad`` that equals the policy's padding mode, or None."""
    (mode, parameters), *others = request.policy.modes()
    left, right = (value_of(parameters, side) for side in SIDES)
    if others or isinstance(left, tuple) or not np.array_equal(left, right, equal_nan=True):
        return None  # Paddle has one mode and one constant for both sides
    return PAD_MODES.get((mode.name, parameters.get("overflow")))


class FollowsPolicy(Following):
    """A mixin for Paddle layers that show the policy that they follow."""

    def extra_repr(self) -> str:
        """Return Paddle's own text, followed by the rule, the padding mode and the policy's name."""
        own, policy = super().extra_repr(), self.policy  # type: ignore[misc]
        return f"{own}, padding={policy.padding}, padding_mode={policy.padding_mode}, policy={policy.name!r}"


class PaddedConv1D(FollowsPolicy, nn.Conv1D):
    """A ``paddle.nn.Conv1D`` that pads by a policy's plan; its parameters and state dict are those of ``paddle.nn.Conv1D``."""

    def __init__(self, request: LayerRequest, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._request = request
        self._pads = request.static_pads()
        self._pad_mode = pad_mode(request)
        self._value = value_of(request.policy.modes()[0][1], SIDES[0])

    def forward(self, x: Any) -> Any:
        """Convolve an input (batch, channels, length)."""
        checked(self, x.shape)
        return self._padded_by_mode(x, self._pads)

    def _padded_by_mode(self, x: Any, pads: Any) -> Any:
        if self._request.policy.padding_mode == ZEROS:
            return self._convolved(x, pads)
        return self._convolved(F.pad(x, list(pads), mode=self._pad_mode, value=self._value, data_format="NCL"))

    def _convolved(self, x: Any, pads: Any = (0, 0)) -> Any:
        spec = self._request.spec
        return F.conv1d(x, self.weight, self.bias, spec.stride, list(pads), spec.dilation, spec.groups)


@paddle.jit.marker.force_dynamic
class ByLengthConv1D(PaddedConv1D):
    """A `PaddedConv1D` that resolves a plan for each input length.

    ``paddle.jit.to_static`` runs it as Python code between two graphs. With ``full_graph=True`` it becomes a graph for one length.
    """

    @paddle.jit.marker.unified(for_ast=False)  # type: ignore[untyped-decorator]
    def forward(self, x: Any) -> Any:
        """Convolve an input (batch, channels, length)."""
        translate = paddle.framework.core.set_eval_frame(None)  # keeps to_static from translating the arithmetic of a plan
        try:
            plan = checked(self, x.shape)
        finally:
            paddle.framework.core.set_eval_frame(translate)
        if plan is None:
            policy = self.policy
            raise InvalidValueError(
                f"length must be a number to translate padding {policy.padding} with mode {policy.padding_mode}, got None; "
                f"set a length in the InputSpec, or call paddle.jit.to_static with full_graph=False."
            )
        if self._pad_mode is not None and plan.cut == (0, 0):
            return self._padded_by_mode(x, (plan.left, plan.right))
        if not plan.copies:
            return self._convolved(_summed(x, plan))
        sources = list(plan.positions)
        if min(sources) < 0:
            constant = paddle.full([x.shape[0], x.shape[1], 1], plan.value, x.dtype)
            x = paddle.concat([x, constant], axis=2)  # after the last sample
            sources = [plan.length if source < 0 else source for source in sources]
        return self._convolved(paddle.index_select(x, paddle.to_tensor(sources), axis=2))


def _summed(x: Any, plan: Plan) -> Any:
    """Pad an input (batch, channels, length) by a plan that adds sums or several constants."""
    arithmetic = arithmetic_of(x)
    before, after = ([side.added(arithmetic)] if side.width else [] for side in plan.sides)
    whole, (first, last) = paddle.concat([*before, x, *after], axis=2), plan.cut
    return whole[:, :, first : sum(plan.added) + plan.length - last] if first or last else whole


def arithmetic_of(x: Any, *, channels_last: bool = False) -> Arithmetic:
    """Return the functions that compute the samples added to an input, (batch, channels, length) unless ``channels_last``."""
    shape, axis = list(x.shape), 1 if channels_last else 2
    shape[axis] = 1
    return Arithmetic(
        take=lambda index: paddle.index_select(x, paddle.to_tensor(index), axis=axis),
        array=lambda numbers: paddle.to_tensor(numbers.astype(DTYPES[x.dtype])),
        where=lambda reads, part: paddle.where(paddle.to_tensor(reads), part, paddle.zeros_like(part)),
        broadcast=lambda numbers: paddle.full(shape, 0.0, x.dtype) + numbers,
        channels_last=channels_last,
    )


@paddle.jit.marker.unified  # type: ignore[untyped-decorator]
def checked(layer: Any, shape: Any, *arguments: Any) -> Any:
    """Check an input's shape and return its plan, or None while the length is unknown.

    Args:
        layer: a layer with a method ``plan``.
        shape: shape of the input.
        *arguments: further arguments of ``plan``.
    """
    channels, length = layer._request.spec.in_channels, shape[-1] if len(shape) else 0
    if len(shape) != 3 or shape[1] != channels:
        raise InvalidValueError(
            f"input must have shape (batch, {channels}, length), got {tuple(shape)}; put the channels before the length."
        )
    return layer.plan(length, *arguments) if isinstance(length, int) and length >= 0 else None


def _layer_class(request: LayerRequest) -> type[PaddedConv1D]:
    pads = request.static_pads()
    return PaddedConv1D if pads is not None and min(pads) >= 0 and pad_mode(request) is not None else ByLengthConv1D


def build(request: LayerRequest, stream: Stream | None, device: Any) -> nn.Conv1D:
    """Build the layer.

    Without a stream, initial weights come from Paddle's global random state, which ``paddle.seed`` sets.
    """
    spec, policy, padding = request.spec, request.policy, native_padding(request)
    arguments = {
        "in_channels": spec.in_channels,
        "out_channels": spec.out_channels,
        "kernel_size": spec.kernel_size,
        "stride": spec.stride,
        "padding": 0 if padding is None else padding,
        "dilation": spec.dilation,
        "groups": spec.groups,
        "padding_mode": "zeros" if padding is None else MODES.get(policy.padding_mode, "zeros"),
        "device": device,
        "dtype": request.dtype,
        "bias_attr": None if policy.bias else False,
    }
    draws_itself = stream is None and has_native_init(request)
    if not draws_itself:
        zeros = nn.initializer.Constant(0.0)  # draws nothing, so the global random state does not change
        arguments["weight_attr"] = paddle.ParamAttr(initializer=zeros)
    layer = nn.Conv1D(**arguments) if padding is not None else _layer_class(request)(request, **arguments)
    if not draws_itself:
        for name, value in request.draw(GlobalStream() if stream is None else stream).items():
            if value is not None:
                getattr(layer, name).set_value(value)
    return layer


def run(layer: nn.Layer, data: Any) -> Any:
    """Run the layer on a NumPy array (batch, channels, length) and return its output as one."""
    with paddle.no_grad():
        return layer(paddle.to_tensor(np.ascontiguousarray(data))).numpy()


def parameters(layer: nn.Layer) -> dict[str, Any]:
    """Return weight and bias as NumPy arrays.

    The weight is (out, in/groups, kernel), of a transposed convolution (in, out/groups, kernel).
    """
    return {name: None if value is None else value.numpy() for name, value in _weights(layer).items()}


def assign(layer: nn.Layer, values: Mapping[str, Any]) -> None:
    """Write NumPy arrays, with the axes of `parameters`, to weight and bias.

    Raises:
        InvalidValueError: another shape, or a bias for a layer without one.
    """
    tensors = _weights(layer)
    for name, value in values.items():
        if value is None:
            continue
        shape = None if tensors[name] is None else tuple(tensors[name].shape)
        if value.shape != shape:
            raise InvalidValueError(f"{name} must have shape {shape}, like the layer's, got {value.shape}; build another layer.")
        tensors[name].set_value(paddle.to_tensor(np.ascontiguousarray(value)).astype(tensors[name].dtype))


def gradients(layer: nn.Layer, data: Any, upstream: Any) -> dict[str, Any]:
    """Return the gradients of ``sum(output * upstream)`` as NumPy arrays."""
    tensors = {"input": paddle.to_tensor(np.ascontiguousarray(data), stop_gradient=False), **_weights(layer)}
    present = {name: value for name, value in tensors.items() if value is not None}
    grads = paddle.grad([layer(tensors["input"])], list(present.values()), [paddle.to_tensor(np.ascontiguousarray(upstream))])
    return dict.fromkeys(tensors) | {name: value.numpy() for name, value in zip(present, grads)}


def _weights(layer: nn.Layer) -> dict[str, Any]:
    return {"weight": layer.weight, "bias": layer.bias}
