"""The backend ``mlx``: a plain ``mlx.nn.Conv1d`` where it can express the padding, otherwise a subclass that pads by a plan."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import mlx.core as mx
import numpy as np
from mlx import nn

import convpolicy as cp
from convpolicy import Arithmetic, Choice, InvalidValueError, LayerRequest, Plan, Policy, Side, Stream
from convpolicy.layers.backend import LEARNED
from convpolicy_mlx.random import MlxStream

ZEROS = Choice("zeros")
PARAMETERS = ("weight", "bias", LEARNED)
WEIGHT_INIT, BIAS_INIT = Choice("uniform"), Choice("zeros")  # defaults of MLX's Conv1d
# MLX's own types; NumPy knows the name "bfloat16" only after another package registers it
DTYPES = {"float32": mx.float32, "float16": mx.float16, "bfloat16": mx.bfloat16}


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
    def policy(self) -> Policy:
        """The policy that the layer follows."""
        return self._request.policy

    def plan(self, length: int) -> Plan:
        """Return the padding plan for an input of ``length`` samples."""
        return self._request.plan(length)

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
    """Build the layer.

    Without a stream, initial weights come from MLX's global random state, which ``mx.random.seed`` sets.

    Raises:
        InvalidValueError: ``device`` is not None; MLX's arrays have no device.
    """
    if device is not None:
        raise InvalidValueError(
            f"device must be None for backend 'mlx', got {device!r}; MLX's arrays have no device, so call mx.set_default_device instead."
        )
    key = _global_key()
    layer = _new_layer(request)
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


def as_numpy(array: Any) -> Any:
    """Return an MLX array as a new NumPy array; bfloat16 becomes float32, since NumPy has no bfloat16."""
    return np.array(array.astype(mx.float32) if array.dtype == mx.bfloat16 else array)


def as_mlx(data: Any, layer: nn.Conv1d) -> Any:
    """Convert a NumPy array (batch, channels, length) to an MLX array (batch, length, channels) for a layer.

    float32 data becomes bfloat16 for a bfloat16 layer, since NumPy has no such dtype.

    Raises:
        InvalidValueError: data of another dtype; the message contains it.
    """
    data = np.ascontiguousarray(cp.layouts()["NWC"].from_ncw(np.asarray(data)))
    if str(data.dtype) not in DTYPES:
        raise InvalidValueError(f"data must be of dtype float32 or float16, got {data.dtype}; convert it.")
    is_bfloat16 = layer.weight.dtype == mx.bfloat16 and data.dtype == np.float32
    return mx.array(data, mx.bfloat16 if is_bfloat16 else DTYPES[str(data.dtype)])


def run(layer: nn.Conv1d, data: Any) -> Any:
    """Run the layer on a NumPy array (batch, channels, length) and return its output as one."""
    return cp.layouts()["NWC"].to_ncw(as_numpy(layer(as_mlx(data, layer))))


def unpacked(weights: Mapping[str, Any]) -> dict[str, Any]:
    """Convert MLX's weights to ``{"weight": (out, in/groups, kernel), "bias": (out,) or None}`` in NumPy arrays.

    A learned constant, () or (channels,), keeps its name ``"padding_value"``.
    """
    arrays = cp.layouts()["OWI"].unpack({name: as_numpy(weights[name]) for name in ("weight", "bias") if name in weights})
    learned = {LEARNED: as_numpy(weights[LEARNED])} if LEARNED in weights else {}
    return learned | {name: None if value is None else np.ascontiguousarray(value) for name, value in arrays.items()}


def parameters(layer: nn.Conv1d) -> dict[str, Any]:
    """Return weight (out, in/groups, kernel), bias and the learned constant, if any, as NumPy arrays; bfloat16 as float32."""
    return unpacked(layer)


def assign(layer: nn.Conv1d, values: Mapping[str, Any]) -> None:
    """Write NumPy arrays to weight (out, in/groups, kernel), bias and the learned constant.

    Raises:
        InvalidValueError: another shape, or a bias for a layer without one.
    """
    new = {name: np.asarray(value) for name, value in values.items() if value is not None}
    if "weight" in new:
        new["weight"] = np.ascontiguousarray(cp.layouts()["OWI"].from_oiw(new["weight"]))
    for name, value in new.items():
        shape = tuple(layer[name].shape) if name in layer else None
        if value.shape != shape:
            raise InvalidValueError(f"{name} must have shape {shape}, like the layer's, got {value.shape}; build another layer.")
    layer.update({name: mx.array(value, layer[name].dtype) for name, value in new.items()})


def gradients(layer: nn.Conv1d, data: Any, upstream: Any) -> dict[str, Any]:
    """Return the gradients of ``sum(output * upstream)`` as NumPy arrays."""
    names = [name for name in PARAMETERS if name in layer]
    weights_before = {name: layer[name] for name in names}

    def call(x: Any, *weights: Any) -> list[Any]:
        layer.update(dict(zip(names, weights)))
        return [layer(x)]

    try:
        _outputs, products = mx.vjp(call, [as_mlx(data, layer), *weights_before.values()], [as_mlx(upstream, layer)])
    finally:
        layer.update(weights_before)
    return {"input": cp.layouts()["NWC"].to_ncw(as_numpy(products[0])), **unpacked(dict(zip(names, products[1:])))}
