"""The MindSpore backend: a ``mindspore.nn.Conv1d`` that pads by a plan, in PyNative and in graph mode.

- Zero padding uses the four native pads of ``ops.Conv2D``.
- Modes that copy samples gather them by the plan's index map.
- Other modes compute the samples that they add.

The layer also accepts unbatched input and float64, which MindSpore's own layer does not. MindSpore has no float64 convolution on
the CPU, so a float64 layer gathers windows and multiplies them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import mindspore
import numpy as np
from mindspore import Parameter, Tensor, nn, ops

from convpolicy.core.alike import pads_alike
from convpolicy.core.plan import Plan
from convpolicy.errors import InvalidValueError, shown
from convpolicy.frameworks.mindspore.sums import padded, padding_of
from convpolicy.frameworks.numpy.stream import NumpyStream
from convpolicy.layers.backend import LEARNED, LayerRequest
from convpolicy.layers.following import Following
from convpolicy.parts.choice import Choice
from convpolicy.parts.initializer import FAN_IN_UNIFORM
from convpolicy.parts.stream import Stream

SAME = "same_upper"  # the rule of pad_mode="same"
# initializers that MindSpore itself can draw, by the argument that it takes
NATIVE_INITS = {
    Choice("uniform"): None,
    FAN_IN_UNIFORM: None,
    Choice("normal", std=0.01): "normal",
    Choice("zeros"): "zeros",
    Choice("ones"): "ones",
}
ZEROS = Choice("zeros")
# execution="fast" (and "auto") multiplies windows instead of calling MindSpore's convolution. On the CPU that convolution takes 5 to 100 times
# as long as torch's, unless the kernel is 1. From FAST_PRODUCTS multiply-adds on, windows take 0.01 to 0.6 of its time, below 1 to 5.
FAST_PRODUCTS = 5 * 10**6
MOST_WINDOWS = 1 << 27  # elements: 512 MiB of float32 windows


class FollowsPolicy(Following):
    """A mixin for MindSpore layers that show the policy that they follow."""

    def extend_repr(self) -> str:
        """Return MindSpore's own text, followed by the policy's name, the rule and the padding mode."""
        own, policy = super().extend_repr(), self.policy  # type: ignore[misc]
        return f"{own}, policy={policy.name!r}, padding={policy.padding}, padding_mode={policy.padding_mode}"


class PolicyConv1d(FollowsPolicy, nn.Conv1d):
    """A ``mindspore.nn.Conv1d`` that follows a policy.

    Input and output are (batch, channels, length) or (channels, length). Its parameters are:

    - ``weight``, (out, in/group, 1, kernel)
    - ``bias``, (out,)
    - ``padding_value``, () or (in,), only when the padding constant is learned
    """

    def __init__(self, request: LayerRequest, weight_init: Any, bias_init: Any) -> None:
        spec, policy = request.spec, request.policy
        pads = request.static_pads()
        zeros = policy.padding_mode == ZEROS
        same = zeros and pads_alike(policy, SAME, spec)
        native = zeros and (pads is None or min(pads) >= 0)  # MindSpore cannot crop
        both_sides = pads[0] if native and pads is not None and pads[0] == pads[1] else None
        super().__init__(
            spec.in_channels,
            spec.out_channels,
            spec.kernel_size,
            stride=spec.stride,
            pad_mode="same" if same else "pad" if both_sides else "valid",
            padding=0 if same else both_sides or 0,
            dilation=spec.dilation,
            group=spec.groups,
            has_bias=policy.bias,
            weight_init=weight_init,
            bias_init=bias_init,
            dtype=getattr(mindspore, request.dtype),
        )
        self.weight_init, self.bias_init = policy.weight_init, policy.bias_init if policy.bias else None  # for the repr
        if native and not same and both_sides is None and pads is not None:
            self.conv2d = self._convolution(pads)
        self._by_windows = request.dtype == "float64"
        self._is_fast = request.execution != "exact" and request.dtype == "float32" and (spec.kernel_size, spec.groups) != (1, 1)
        self._by_length = native and not same and pads is None
        self._gathers = not native and pads != (0, 0)
        self._request = request
        initial = request.learned()
        self.padding_value = (
            None if initial is None else Parameter(Tensor(initial, getattr(mindspore, request.dtype)), name=LEARNED)
        )
        self._groups = spec.groups
        self._kernel = spec.kernel_size
        # in graph mode these run while the graph is compiled, where a shape is a constant; in PyNative mode they are plain calls
        self._check = ops.constexpr(self._check_shape)
        self._has_many = ops.constexpr(self._has_many_products)
        self._pads_of = ops.constexpr(lambda length: (self.plan(length).left, self.plan(length).right))
        self._padded_index = ops.constexpr(lambda length: _index_and_value(padded_index, self.plan(length)))
        self._window_index = ops.constexpr(lambda length: _index_and_value(window_index, self.plan(length)))
        self._padding_of = ops.constexpr(lambda length, dtype: padding_of(self.plan(length), dtype))

    def _convolution(self, pads: tuple[int, int]) -> Any:
        return ops.Conv2D(self.out_channels, self.kernel_size, 1, "pad", (0, 0, *pads), self.stride, self.dilation, self.group)

    def _check_shape(self, shape: tuple[int, ...]) -> int:
        return checked_axes(shape, self._request.spec.in_channels, self.plan)

    def _has_many_products(self, shape: tuple[int, ...]) -> bool:
        if min(shape) < 1 or mindspore.get_context("mode") != mindspore.PYNATIVE_MODE:  # no gain in graph mode
            return False
        spec = self._request.spec
        length_out: int = self.plan(shape[2]).length_out
        windows = shape[0] * spec.in_channels * spec.kernel_size * length_out
        return windows <= MOST_WINDOWS and windows // spec.groups * spec.out_channels >= FAST_PRODUCTS

    def construct(self, x: Any) -> Any:
        """Convolve an input (batch, channels, length) or (channels, length)."""
        axes = self._check(x.shape)
        if axes == 2:
            x = ops.expand_dims(x, 0)
        length = x.shape[2]
        if self._by_windows or (self._is_fast and self._has_many(x.shape)):
            output = self._multiply_windows(x, *self._window_index(length))
        elif self._by_length:
            pads = self._pads_of(length)
            if min(pads) < 0:
                x, pads = self._padded(x, *self._padded_index(length)), (0, 0)
            conv2d = ops.Conv2D(
                self.out_channels, self.kernel_size, 1, "pad", (0, 0, pads[0], pads[1]), self.stride, self.dilation, self.group
            )
            output = conv2d(self.expand_dims(x, 2), self.weight)
            if self.has_bias:
                output = self.bias_add(output, self.bias)
            output = self.squeeze(output)
        else:
            if self._gathers:
                x = self._padded(x, *self._padded_index(length))
            output = super().construct(x)
        if axes == 2:
            output = ops.squeeze(output, 0)
        return output

    def _padded(self, x: Any, index: Any, value: Any) -> Any:
        return self._computed(x) if index is None else ops.gather(self._with_constant(x, value), index, 2)

    def _computed(self, x: Any) -> Any:
        return padded(x, self._padding_of(x.shape[2], x.dtype), self.padding_value)

    def _with_constant(self, x: Any, value: Any) -> Any:
        constant = ops.full((x.shape[0], x.shape[1], 1), value, dtype=x.dtype)
        return ops.concat((x, constant), 2)

    def _multiply_windows(self, x: Any, index: Any, value: Any) -> Any:
        windows = ops.gather(self._computed(x) if value is None else self._with_constant(x, value), index, 2)
        output = product_of_windows(windows, self.weight, self._groups, self._kernel)
        if self.has_bias:
            output = output + ops.reshape(self.bias, (1, -1, 1))
        return output


def product_of_windows(windows: Any, weight: Any, groups: int, kernel: int) -> Any:
    """Return the product of windows (batch, channels, kernel * length_out) and a weight (out, in/groups, 1, kernel)."""
    batch, channels, length_out = windows.shape[0], windows.shape[1], windows.shape[2] // kernel
    columns = ops.reshape(windows, (batch, groups, channels // groups * kernel, length_out))
    output = ops.matmul(ops.reshape(weight, (groups, weight.shape[0] // groups, -1)), columns)
    return ops.reshape(output, (batch, weight.shape[0], length_out))


def _index_and_value(index: Any, plan: Plan) -> tuple[Any, float | None]:
    """Return the index as a tensor and the padding constant.

    The index is None where ``index(plan)`` is None. The constant is None when the plan does not copy, because the input of the
    gather is then padded already.
    """
    positions = index(plan)
    return None if positions is None else Tensor(positions), plan.value if plan.copies else None


def padded_index(plan: Plan) -> Any:
    """Return (padded_length,) int32 input positions, ``plan.length`` for the constant; None if the plan does not copy."""
    if not plan.copies:
        return None
    sources = np.array(plan.positions, dtype=np.int32)
    return np.where(sources < 0, plan.length, sources).astype(np.int32)


def window_index(plan: Plan) -> Any:
    """Return (kernel * length_out,) int32 positions, kernel outermost: of the input, or of the padded input if the plan does not copy."""
    positions = windows_of(plan.length_out, plan.stride, plan.kernel_size, plan.dilation)
    index = padded_index(plan)
    return positions if index is None else index[positions]


def windows_of(count: int, stride: int, kernel: int, dilation: int) -> Any:
    """Return (kernel * count,) int32 positions that ``count`` windows read, kernel outermost."""
    return (np.arange(count) * stride + np.arange(kernel)[:, None] * dilation).reshape(-1).astype(np.int32)


def checked_axes(shape: tuple[int, ...], channels: int, plan: Callable[[int], Any]) -> int:
    """Check the shape of an input, and return its number of axes.

    Args:
        shape: shape of the input. -1 is a dynamic size.
        channels: number of input channels.
        plan: the layer's function of the length. It raises the error for an input that is too short.
    """
    if len(shape) not in (2, 3) or shape[-2] not in (channels, -1):
        raise InvalidValueError(
            f"input must have shape (batch, {channels}, length) or ({channels}, length), got {tuple(shape)}; put the "
            f"channels before the length."
        )
    if shape[-1] >= 0:
        plan(shape[-1])
    return len(shape)


def build(request: LayerRequest, stream: Stream | None, device: Any) -> PolicyConv1d:
    """Build the layer.

    Without a stream, initial weights come from MindSpore's global random state, which ``mindspore.set_seed`` sets.
    """
    layer: PolicyConv1d = built(PolicyConv1d, request, stream, device, NATIVE_INITS)
    return layer


def built(kind: Any, request: LayerRequest, stream: Stream | None, device: Any, native_inits: Mapping[Choice, Any]) -> Any:
    """Build a layer of a class.

    Args:
        kind: `PolicyConv1d`, or a class with the same arguments.
        request, stream, device: see `Backend`.
        native_inits: initializers that MindSpore itself can draw for this layer, as in `NATIVE_INITS`.
    """
    if device is not None:
        raise InvalidValueError(
            f"device must be None for backend 'mindspore', got {shown(device)}; call mindspore.set_device before building."
        )
    policy = request.policy
    if stream is None and policy.weight_init in native_inits and (not policy.bias or policy.bias_init in native_inits):
        return kind(request, native_inits[policy.weight_init], native_inits.get(policy.bias_init))
    if stream is None:
        stream = NumpyStream(int(np.random.randint(1, 2**63, dtype=np.int64)))
    values = request.draw(stream)
    dtype = getattr(mindspore, request.dtype)
    weight, bias = (None if values[name] is None else Tensor(values[name], dtype) for name in ("weight", "bias"))
    return kind(request, weight, bias)


def run(layer: nn.Cell, data: Any) -> Any:
    """Run the layer on a NumPy array (batch, channels, length) and return its output as one."""
    return layer(Tensor(np.ascontiguousarray(data))).asnumpy()


def parameters(layer: Any) -> dict[str, Any]:
    """Return weight, bias and the learned constant, if any, as NumPy arrays.

    The weight is (out, in/groups, kernel), of a transposed convolution (in, out/groups, kernel).
    """
    values = {"weight": layer.weight.asnumpy()[:, :, 0], "bias": layer.bias.asnumpy() if layer.has_bias else None}
    learned = getattr(layer, LEARNED, None)  # absent from MindSpore's own layer
    return values if learned is None else values | {LEARNED: learned.asnumpy()}


def assign(layer: Any, values: dict[str, Any]) -> None:
    """Write NumPy arrays, with the axes of `parameters`, to weight, bias and the learned constant."""
    layer_parameters = {name: getattr(layer, name, None) for name in ("weight", "bias", LEARNED) if values.get(name) is not None}
    for name, parameter in layer_parameters.items():
        value = values[name][:, :, None] if name == "weight" else values[name]
        if parameter is not None:
            parameter.set_data(Tensor(np.array(value, order="C"), parameter.dtype))


def gradients(layer: Any, data: Any, upstream: Any) -> dict[str, Any]:
    """Return the gradients of ``sum(output * upstream)`` as NumPy arrays."""
    factors = Tensor(np.ascontiguousarray(upstream))
    weights = list(layer.trainable_params())
    backward = mindspore.grad(lambda x: (layer(x) * factors).sum(), grad_position=0, weights=weights)
    to_input, to_weights = backward(Tensor(np.ascontiguousarray(data)))
    by_name = {weight.name: value.asnumpy() for weight, value in zip(weights, to_weights)}
    values = {"input": to_input.asnumpy(), "weight": by_name["weight"][:, :, 0], "bias": by_name.get("bias")}
    return values | {LEARNED: by_name[LEARNED]} if LEARNED in by_name else values
