"""Conversion of weights and data between NumPy and JAX: dtypes, devices, axes and seeds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from convpolicy import registry
from convpolicy.bits.float32 import rounded
from convpolicy.errors import InvalidValueError, shown
from convpolicy.frameworks.numpy.stream import NumpyStream
from convpolicy.layers.backend import LEARNED, LayerRequest
from convpolicy.parts.choice import Choice
from convpolicy.parts.layout import Layout
from convpolicy.parts.stream import Stream

# JAX's own types; NumPy may resolve the name "bfloat16" to the type of another framework
DTYPES = {"float32": jnp.float32, "float64": jnp.float64, "float16": jnp.float16, "bfloat16": jnp.bfloat16}
WEIGHT_INIT, BIAS_INIT = Choice("lecun_truncated_normal"), Choice("zeros")  # defaults of Flax's layers
CONV = "WIO"  # layout of the kernel of Conv
TRANSPOSED = {False: "WIO-flipped", True: "WOI"}  # transpose_kernel -> layout of the kernel of ConvTranspose


def transposes_kernel(request: LayerRequest) -> bool:
    """Return the argument ``transpose_kernel`` of the layer: True if the policy has the layout that this makes."""
    return request.policy.layout.name == TRANSPOSED[True]


def layout_of(request: LayerRequest) -> Layout:
    """Return the layout in which the layer of a request stores its kernel."""
    name = TRANSPOSED[transposes_kernel(request)] if request.spec.transposed else CONV
    layout: Layout = registry.current().get("layout", name)
    return layout


def layout_in(layer: Any) -> Layout:
    """Return the layout in which a ``Conv`` or a ``ConvTranspose`` stores its kernel."""
    transpose_kernel = getattr(layer, "transpose_kernel", None)
    layout: Layout = registry.current().get("layout", CONV if transpose_kernel is None else TRANSPOSED[transpose_kernel])
    return layout


def kernel_shape(request: LayerRequest) -> tuple[int, ...]:
    """Return the shape in which the layer of a request stores its kernel."""
    return layout_of(request).stored(np.broadcast_to(np.float32(0), request.spec.weight_shape)).shape


def has_native_init(request: LayerRequest) -> bool:
    """Return True when Flax's own layer draws from the policy's distributions."""
    policy, spec = request.policy, request.spec
    is_default = policy.weight_init == WEIGHT_INIT and (not policy.bias or policy.bias_init == BIAS_INIT)
    if not spec.transposed or not is_default:
        return is_default
    return spec.groups == 1 and policy.part("layout")[0].fan_in == layout_of(request).fan_in


def require_dtype(what: str, dtype: Any) -> None:
    """Refuse float64 while JAX would narrow it to float32.

    Args:
        what: name of the argument, for the message.
        dtype: dtype of the argument.

    Raises:
        InvalidValueError: JAX's 64-bit mode is off; the message contains the call that turns it on.
    """
    if str(dtype) == "float64" and jax.dtypes.canonicalize_dtype(np.float64) != np.float64:
        raise InvalidValueError(
            f"{what} must not be float64 while JAX's 64-bit mode is off, as JAX would narrow it to float32, got float64; call "
            f"jax.config.update('jax_enable_x64', True) first."
        )


def fresh_seed() -> int:
    """Draw a seed from NumPy's global random state, which ``np.random.seed`` sets; JAX has no global random state."""
    return int(np.random.randint(0, 2**32, dtype=np.uint32))  # noqa: NPY002 - the global state, on purpose


def drawn(request: LayerRequest, stream: Stream | None) -> dict[str, Any]:
    """Draw kernel and bias by the policy, as JAX arrays in Flax's axes; without a stream from a fresh seed."""
    packed = layout_of(request).pack(request.draw(NumpyStream(fresh_seed()) if stream is None else stream), request.spec.groups)
    return {name: jnp.asarray(value, DTYPES[request.dtype]) for name, value in packed.items()}


def learned(request: LayerRequest) -> Any:
    """Return the initial value of the learned constant, () or (in_channels,), as a JAX array; None if no constant is learned."""
    initial = request.learned()
    return None if initial is None else jnp.asarray(rounded(initial, request.dtype), DTYPES[request.dtype])


def placed(values: Any, device: Any) -> Any:
    """Move JAX arrays to a device.

    Args:
        values: a pytree of arrays.
        device: a ``jax.Device``, a ``Sharding``, a platform such as ``"cpu"`` or ``"gpu:1"``, or None to move nothing.

    Raises:
        InvalidValueError: JAX has no such device; the message contains it.
    """
    if device is None:
        return values
    try:
        if isinstance(device, str):
            platform, _, number = device.partition(":")
            device = jax.devices(platform)[int(number or 0)]
        return jax.device_put(values, device)
    except (RuntimeError, ValueError, IndexError, TypeError) as error:
        platforms = ", ".join(sorted({available.platform for available in jax.devices()}))
        raise InvalidValueError(
            f"device must be a jax.Device, a Sharding or a platform such as {platforms}, got {shown(device)}; see jax.devices()."
        ) from error


def zeros(_key: Any, shape: tuple[int, ...], dtype: Any) -> Any:
    """Return zeros, as an initializer of Flax does; JAX compiles its own zeros anew for each shape."""
    return jnp.asarray(np.zeros(shape, dtype))


def as_numpy(array: Any) -> Any:
    """Return a JAX array as a NumPy array; bfloat16 becomes float32, since NumPy has no bfloat16."""
    array = np.asarray(array)
    return array.astype(np.float32) if array.dtype == jnp.bfloat16 else array


def unpacked(weights: Mapping[str, Any], layout: Layout) -> dict[str, Any]:
    """Convert Flax's ``kernel`` and ``bias`` to ``{"weight": array, "bias": (out,) or None}`` in the axes of the NumPy layer.

    A learned constant keeps its name.
    """
    arrays = {name: as_numpy(value) for name, value in weights.items()}
    return layout.unpack(arrays) | {name: array for name, array in arrays.items() if name == LEARNED}


def rewritten(weights: Mapping[str, Any], values: Mapping[str, Any], layout: Layout) -> dict[str, Any]:
    """Convert new values to Flax's parameters, in the dtype and on the device of the old ones.

    Args:
        weights: Flax's old parameters.
        values: arrays of ``"weight"``, in the axes of the NumPy layer, ``"bias"`` and ``"padding_value"``; None is left out.
        layout: the layout of the old kernel.

    Raises:
        InvalidValueError: another shape, or a bias or a learned constant for a layer without one.
    """
    arrays = {} if values.get("weight") is None else {layout.weight: layout.stored(values["weight"])}
    arrays |= {name: np.asarray(values[name]) for name in ("bias", LEARNED) if values.get(name) is not None}
    for name, value in arrays.items():
        shape = weights[name].shape if name in weights else None
        if value.shape != shape:
            raise InvalidValueError(f"{name} must have shape {shape}, like the layer's, got {value.shape}; build another layer.")
    return {
        name: jax.device_put(jnp.asarray(value, weights[name].dtype), getattr(weights[name], "sharding", None))
        for name, value in arrays.items()
    }


def as_input(data: Any, dtype: Any) -> Any:
    """Convert a NumPy array (batch, channels, length) to a JAX array (batch, length, channels) for a layer of ``dtype``."""
    data = np.asarray(data)
    require_dtype("data", data.dtype)
    is_bfloat16 = dtype == jnp.bfloat16 and data.dtype == np.float32  # bfloat16 numbers come as float32
    return jnp.asarray(registry.current().get("layout", "NWC").from_ncw(data), dtype if is_bfloat16 else data.dtype)


def as_output(output: Any) -> Any:
    """Convert a JAX array (batch, length, channels) to a NumPy array (batch, channels, length)."""
    return registry.current().get("layout", "NWC").to_ncw(as_numpy(output))


def gradients_of(call: Callable[..., Any], layer: tuple[Any, Any, Any], data: Any, upstream: Any, dtype: Any) -> tuple[Any, Any]:
    """Return the gradients of ``sum(call(*layer, input) * upstream)``.

    They are one program, compiled once for each shape, unless the layer contains what is not hashable, such as a mask of ``linen``.

    Args:
        call: a function of what follows and of an input (batch, length, channels).
        layer: the layer without its arrays; its weights, a pytree; and its other arrays, a pytree.
        data, upstream: NumPy arrays (batch, channels, length).
        dtype: dtype of the layer.

    Returns:
        The gradients of the weights, a pytree like them, and of the input, a NumPy array (batch, channels, length).
    """
    try:
        hash(layer[0])
    except TypeError:
        pulled = _pulled
    else:
        pulled = _compiled
    to_weights, to_input = pulled(call, *layer, as_input(data, dtype), as_input(upstream, dtype))
    return to_weights, as_output(to_input)


def _pulled(call: Callable[..., Any], structure: Any, weights: Any, others: Any, inputs: Any, upstream: Any) -> Any:
    output, pull = jax.vjp(lambda weights, inputs: call(structure, weights, others, inputs), weights, inputs)
    return pull(upstream.astype(output.dtype))


_compiled = jax.jit(_pulled, static_argnums=(0, 1))
