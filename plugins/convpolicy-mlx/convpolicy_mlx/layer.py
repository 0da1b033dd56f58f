"""The backend ``mlx``: ``mlx.nn.Conv1d`` itself where it can express the padding, else a subclass that pads by the plan."""

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
WEIGHT_INIT, BIAS_INIT = Choice("uniform"), Choice("zeros")  # what MLX's Conv1d starts with
# MLX's own types: NumPy resolves the name "bfloat16" only where another package has registered it
DTYPES = {"float32": mx.float32, "float16": mx.float16, "bfloat16": mx.bfloat16}


def native_padding(request: LayerRequest) -> int | None:
    """Return the ``padding`` argument with which ``mlx.nn.Conv1d`` implements the policy, or None when it cannot.

    MLX adds or, below 0, cuts the same number of samples on both sides.
    """
    pads = request.static_pads()
    if pads is None or pads[0] != pads[1] or request.learned() is not None:
        return None
    return pads[0] if pads[0] <= 0 or request.policy.padding_mode == ZEROS else None


def has_native_init(request: LayerRequest) -> bool:
    """Return True when MLX's own layer draws from the policy's distributions; with groups that depends on its version."""
    policy = request.policy
    return request.spec.groups == 1 and policy.weight_init == WEIGHT_INIT and (not policy.bias or policy.bias_init == BIAS_INIT)


class PaddedConv1d(nn.Conv1d):
    """A ``mlx.nn.Conv1d`` that pads with zeros, or cuts, a different number of samples on each side.

    A learned constant is one more parameter, ``padding_value``, a number or (channels,).
    """

    def __init__(self, request: LayerRequest, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._request = request
        start = request.learned()
        if start is not None:
            self.padding_value = mx.array(start, mx.float32)

    @property
    def policy(self) -> Policy:
        """The policy this layer follows."""
        return self._request.policy

    def plan(self, length: int) -> Plan:
        """Return the plan for one input length in samples."""
        return self._request.plan(length)

    def __call__(self, x: Any) -> Any:
        """Convolve (batch, length, channels).

        Raises:
            InvalidValueError: another number of axes or channels, or an input that holds no window; holds the shape.
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
    """A `PaddedConv1d` that applies any plan, resolved for each length.

    Every call appends one sample and drops it again. ``mx.compile(shapeless=True)`` refuses ``mx.pad``; without it, it would keep
    the pads of the first length.
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
        sources[sources < 0] = plan.length  # the appended sample, which is the constant
        return self._windows(mx.take(self._extended(x, 0, 1, plan.value), mx.array(sources), axis=1), 0, 0)

    def _added(self, x: Any, side: Side) -> Any:
        value = self.padding_value.reshape(1, -1) if side.learned else None
        return side.added(arithmetic_of(x), value)

    def _extended(self, x: Any, left: int, right: int, value: float) -> Any:
        return mx.pad(x, [(0, 0), (left, right), (0, 0)], constant_values=mx.array(value, x.dtype))


def arithmetic_of(x: Any) -> Arithmetic:
    """Return how the elements added to an MLX array (batch, length, channels) are computed."""
    return Arithmetic(
        take=lambda samples: mx.take(x, mx.array(samples.astype(np.int32)), axis=1),
        array=lambda numbers: mx.array(numbers.astype(np.float32)).astype(x.dtype),
        where=lambda reads, part: mx.where(mx.array(reads), part, mx.array(0, x.dtype)),
        broadcast=lambda numbers: mx.broadcast_to(numbers, (x.shape[0], numbers.shape[-2], x.shape[2])),
        channels_last=True,
    )


def _layer_class(request: LayerRequest) -> type[PaddedConv1d]:
    pads = request.static_pads()
    by_zeros = request.policy.padding_mode == ZEROS or (pads is not None and max(pads) <= 0)
    return PaddedConv1d if pads is not None and by_zeros else ByLengthConv1d


def build(request: LayerRequest, stream: Stream | None, device: Any) -> nn.Conv1d:
    """Build the layer; without a stream MLX's global key decides, as ``mx.random.seed`` left it.

    Raises:
        InvalidValueError: a device, which MLX's arrays do not have.
    """
    if device is not None:
        raise InvalidValueError(
            f"device must be None for backend 'mlx', got {device!r}; MLX's arrays have none, call mx.set_default_device instead."
        )
    key = _global_key()
    layer = _undrawn(request)
    if stream is None and has_native_init(request):
        return layer
    _set_global_key(key)
    if stream is not None:
        assign(layer, request.draw(stream))
        return layer
    own = MlxStream(_seed_of(key))
    assign(layer, request.draw(own))
    _set_global_key(own.key)
    return layer


def _undrawn(request: LayerRequest) -> nn.Conv1d:
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
    mx.random.seed(_seed_of(key))  # a seed of 64 bits is a key


def as_numpy(array: Any) -> Any:
    """Return a copy of an array as NumPy's; bfloat16 as float32, which NumPy has."""
    return np.array(array.astype(mx.float32) if array.dtype == mx.bfloat16 else array)


def as_mlx(data: Any, layer: nn.Conv1d) -> Any:
    """Return (batch, channels, length) as the MLX array (batch, length, channels) that a layer takes.

    float32 data becomes bfloat16 for a layer of bfloat16, as NumPy has no such dtype.

    Raises:
        InvalidValueError: data of another dtype; holds it.
    """
    data = np.ascontiguousarray(cp.layouts()["NWC"].from_ncw(np.asarray(data)))
    if str(data.dtype) not in DTYPES:
        raise InvalidValueError(f"data must be of dtype float32 or float16, got {data.dtype}; convert it.")
    narrow = layer.weight.dtype == mx.bfloat16 and data.dtype == np.float32
    return mx.array(data, mx.bfloat16 if narrow else DTYPES[str(data.dtype)])


def run(layer: nn.Conv1d, data: Any) -> Any:
    """Return the output for (batch, channels, length), all NumPy."""
    return cp.layouts()["NWC"].to_ncw(as_numpy(layer(as_mlx(data, layer))))


def unpacked(weights: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``{"weight": (out, in/groups, kernel), "bias": (out,) or None}`` of MLX's weights, as NumPy arrays.

    With a learned constant ``"padding_value"``, a number () or (channels,), is in it too.
    """
    arrays = cp.layouts()["OWI"].unpack({name: as_numpy(weights[name]) for name in ("weight", "bias") if name in weights})
    learned = {LEARNED: as_numpy(weights[LEARNED])} if LEARNED in weights else {}
    return learned | {name: None if value is None else np.ascontiguousarray(value) for name, value in arrays.items()}


def parameters(layer: nn.Conv1d) -> dict[str, Any]:
    """Return weight (out, in/groups, kernel) and bias as NumPy arrays, of bfloat16 as float32, and a learned constant."""
    return unpacked(layer)


def assign(layer: nn.Conv1d, values: Mapping[str, Any]) -> None:
    """Write weight (out, in/groups, kernel), bias and a learned constant, given as NumPy arrays.

    Raises:
        InvalidValueError: another shape, or a bias for a layer without one.
    """
    new = {name: np.asarray(value) for name, value in values.items() if value is not None}
    if "weight" in new:
        new["weight"] = np.ascontiguousarray(cp.layouts()["OWI"].from_oiw(new["weight"]))
    for name, value in new.items():
        shape = tuple(layer[name].shape) if name in layer else None
        if value.shape != shape:
            raise InvalidValueError(f"{name} must have shape {shape}, as the layer's, got {value.shape}; build another layer.")
    layer.update({name: mx.array(value, layer[name].dtype) for name, value in new.items()})


def gradients(layer: nn.Conv1d, data: Any, upstream: Any) -> dict[str, Any]:
    """Return the gradients of ``sum(output * upstream)``, all NumPy."""
    names = [name for name in PARAMETERS if name in layer]
    kept = {name: layer[name] for name in names}

    def call(x: Any, *weights: Any) -> list[Any]:
        layer.update(dict(zip(names, weights)))
        return [layer(x)]

    try:
        _outputs, products = mx.vjp(call, [as_mlx(data, layer), *kept.values()], [as_mlx(upstream, layer)])
    finally:
        layer.update(kept)
    return {"input": cp.layouts()["NWC"].to_ncw(as_numpy(products[0])), **unpacked(dict(zip(names, products[1:])))}
