"""The backend ``mlx``: a plain ``mlx.nn.Conv1d`` where it can express the padding, otherwise a subclass that pads by a plan."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mlx.core as mx
import numpy as np
from mlx import nn

from convpolicy import Arithmetic, Choice, InvalidValueError, LayerRequest, Plan, Side, Stream
from convpolicy_mlx.arrays import DTYPES, Layer, assign
from convpolicy_mlx.random import MlxStream

ZEROS = Choice("zeros")
WEIGHT_INIT, BIAS_INIT = Choice("uniform"), Choice("zeros")  # defaults of MLX's Conv1d


def native_padding(request: LayerRequest) -> int | None:
    """Return the ``padding`` argument with which ``mlx.nn.Conv1d`` pads by the policy, or None when it cannot.

    MLX pads both sides equally. A negative number crops.
    """
    pads = request.static_pads()
    if pads is None or pads[0] != pads[1] or request.learned() is not None:
        return None
    return pads[0] if pads[0] <= 0 or request.policy.padding_mode == ZEROS else None


def has_native_init(request: LayerRequest) -> bool:
    """Return True when MLX's own layer draws from the policy's distributions; never with groups, where MLX versions differ."""
    policy = request.policy
    return request.spec.groups == 1 and policy.weight_init == WEIGHT_INIT and (not policy.bias or policy.bias_init == BIAS_INIT)


class PaddedConv1d(nn.Conv1d):
    """A ``mlx.nn.Conv1d`` with different numbers of zeros, or of cropped samples, on the two sides.

    A learned padding constant is the parameter ``padding_value``, () or (channels,).
    """

    def __init__(self, request: LayerRequest, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._request = request
        initial = request.learned()
        if initial is not None:
            self.padding_value = mx.array(initial, mx.float32)

    @property
    def policy(self) -> Any:
        """The policy that the layer follows."""
        return self._request.policy

    def plan(self, length: int) -> Plan:
        """Return the padding plan for an input of ``length`` samples."""
        plan: Plan = self._request.plan(length)
        return plan

    def __call__(self, x: Any) -> Any:
        """Convolve an input (batch, length, channels).

        Raises:
            InvalidValueError: wrong axes or channels, or an input shorter than one window; the message contains the shape or length.
        """
        channels = self._request.spec.in_channels
        if x.ndim != 3 or x.shape[2] != channels:
            raise InvalidValueError(
                f"input must have shape (batch, length, {channels}), got {tuple(x.shape)}; put the channels last."
            )
        output = self._convolve(x, self.plan(x.shape[1]))
        return output + self.bias if "bias" in self else output

    def _convolve(self, x: Any, plan: Plan) -> Any:
        return self._windows(x, plan.left, plan.right)

    def _windows(self, x: Any, left: int, right: int) -> Any:
        spec = self._request.spec
        return mx.conv_general(
            x, self.weight, stride=spec.stride, padding=([left], [right]), kernel_dilation=spec.dilation, groups=spec.groups
        )

    def _extra_repr(self) -> str:
        policy = self.policy
        rule = f"padding={policy.padding}, padding_mode={policy.padding_mode}, policy={policy.name!r}"
        return f"{super()._extra_repr()}".replace("padding=0", rule, 1)


class ByLengthConv1d(PaddedConv1d):
    """A `PaddedConv1d` that resolves a plan for each input length.

    Every call appends one sample with ``mx.pad`` and drops it again. This makes ``mx.compile(shapeless=True)`` refuse the layer.
    Otherwise the compiled function would use the pads of the first length for every length.
    """

    def _convolve(self, x: Any, plan: Plan) -> Any:
        left, right = plan.added
        first, last = plan.cut
        if not plan.copies:
            before, after = (self._added(x, side) for side in plan.sides)
            return self._windows(mx.concatenate([before, x, self._extended(after, 0, 1, 0.0)], axis=1), -first, -last - 1)
        if plan.is_constant:
            return self._windows(self._extended(x, left, right + 1, plan.value), -first, -last - 1)
        sources = np.array(plan.positions, np.int32)
        sources[sources < 0] = plan.length  # position of the appended sample, which is the constant
        return self._windows(mx.take(self._extended(x, 0, 1, plan.value), mx.array(sources), axis=1), 0, 0)

    def _added(self, x: Any, side: Side) -> Any:
        value = self.padding_value.reshape(1, -1) if side.learned else None
        return side.added(arithmetic_of(x), value)

    def _extended(self, x: Any, left: int, right: int, value: float) -> Any:
        return mx.pad(x, [(0, 0), (left, right), (0, 0)], constant_values=mx.array(value, x.dtype))


def arithmetic_of(x: Any) -> Arithmetic:
    """Return the operations that compute the samples added to an MLX array (batch, length, channels)."""
    return Arithmetic(
        take=lambda samples: mx.take(x, mx.array(samples.astype(np.int32)), axis=1),
        array=lambda numbers: mx.array(numbers.astype(np.float32)).astype(x.dtype),
        where=lambda reads, part: mx.where(mx.array(reads), part, mx.array(0, x.dtype)),
        broadcast=lambda numbers: mx.broadcast_to(numbers, (x.shape[0], numbers.shape[-2], x.shape[2])),
        channels_last=True,
    )


def _layer_class(request: LayerRequest) -> type[PaddedConv1d]:
    pads = request.static_pads()
    is_by_zeros = request.policy.padding_mode == ZEROS or (pads is not None and max(pads) <= 0)
    return PaddedConv1d if pads is not None and is_by_zeros else ByLengthConv1d


def build(request: LayerRequest, stream: Stream | None, device: Any) -> nn.Conv1d:
    """Build a convolution; see `filled`."""
    return filled(_new_layer, request, stream, device)


def filled(new_layer: Callable[[LayerRequest], Layer], request: LayerRequest, stream: Stream | None, device: Any) -> Any:
    """Build a layer with initial weights.

    Without a stream, initial weights come from MLX's global random state, which ``mx.random.seed`` sets.

    Args:
        new_layer: function that builds the layer with MLX's own initial weights.
        request: the layer to build.
        stream: random stream of the initial values, or None.
        device: None.

    Raises:
        InvalidValueError: ``device`` is not None; MLX's arrays have no device.
    """
    if device is not None:
        raise InvalidValueError(
            f"device must be None for backend 'mlx', got {device!r}; MLX's arrays have no device, so call mx.set_default_device instead."
        )
    key = _global_key()
    layer = new_layer(request)
    if stream is None and has_native_init(request):
        return layer
    _set_global_key(key)
    if stream is not None:
        assign(layer, request.draw(stream))
        return layer
    global_stream = MlxStream(_seed_of(key))
    assign(layer, request.draw(global_stream))
    _set_global_key(global_stream.key)
    return layer


def _new_layer(request: LayerRequest) -> nn.Conv1d:
    spec, padding = request.spec, native_padding(request)
    arguments = {
        "in_channels": spec.in_channels,
        "out_channels": spec.out_channels,
        "kernel_size": spec.kernel_size,
        "stride": spec.stride,
        "padding": 0 if padding is None else padding,
        "dilation": spec.dilation,
        "groups": spec.groups,
        "bias": request.policy.bias,
    }
    layer = _layer_class(request)(request, **arguments) if padding is None else nn.Conv1d(**arguments)
    layer.set_dtype(DTYPES[request.dtype])
    return layer


def _global_key() -> tuple[int, int]:
    state: Any = mx.random.state
    high, low = state[0].tolist()
    return high, low


def _seed_of(key: tuple[int, int]) -> int:
    return key[0] << 32 | key[1]


def _set_global_key(key: tuple[int, int]) -> None:
    mx.random.seed(_seed_of(key))  # a 64-bit seed is a key
