"""The backend ``flax-linen``, for convolutions: a ``flax.linen.Conv``, or a subclass that pads by a plan, together with its variables."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen

from convpolicy.errors import InvalidValueError
from convpolicy.frameworks.flax import values
from convpolicy.frameworks.flax.padding import native_padding, padded
from convpolicy.frameworks.numpy.stream import NumpyStream
from convpolicy.layers.backend import LEARNED, LayerRequest
from convpolicy.layers.following import Following
from convpolicy.parts.stream import Stream


class PaddedConv(Following, linen.Conv):
    """A ``flax.linen.Conv`` that pads by a policy's plan, which is resolved for each length while tracing.

    Its variables are those of ``flax.linen.Conv``, and ``padding_value``, () or (in_channels,), when the padding constant is learned.
    """

    request: LayerRequest | None = None  # the dataclass fields before it have defaults, so this one needs a default too

    @property
    def _request(self) -> LayerRequest:
        assert self.request is not None
        return self.request

    @linen.compact  # type: ignore[untyped-decorator]
    def __call__(self, inputs: Any) -> Any:
        """Convolve an input (..., length, channels)."""
        initial = values.learned(self._request)
        # self.param would change the key of the kernel
        value = None if initial is None else self.variable("params", LEARNED, lambda: initial).value
        return super().__call__(padded(self._request, inputs, value))


@dataclasses.dataclass(frozen=True)
class PolicyInit:
    """A Flax initializer of one parameter by a policy, for a module inside another one.

    The key is the seed of the random stream ``numpy``, which draws outside the traced function.

    Attributes:
        request: the layer's request.
        name: ``"kernel"`` or ``"bias"``.
    """

    request: LayerRequest
    name: str

    def __call__(self, key: Any, shape: tuple[int, ...], dtype: Any = jnp.float32) -> Any:
        """Draw ``kernel`` or ``bias``, also while tracing.

        Raises:
            InvalidValueError: the shape does not fit the layer, as for an input with other channels; the message contains both.
        """
        spec = self.request.spec
        expected = values.kernel_shape(self.request) if self.name == "kernel" else (spec.out_channels,)
        if tuple(shape) != expected:
            raise InvalidValueError(
                f"{self.name} must have shape {expected} for a layer of {spec.in_channels} channels, got {tuple(shape)}; pass "
                f"an input (..., length, {spec.in_channels})."
            )
        output = jax.ShapeDtypeStruct(shape, dtype)
        key_data = key if jnp.issubdtype(key.dtype, jnp.integer) else jax.random.key_data(key)
        return jax.pure_callback(self._drawn, output, key_data, vmap_method="sequential")

    def _drawn(self, key_data: Any) -> Any:
        seed = int.from_bytes(np.asarray(key_data).tobytes(), "little")
        packed = values.layout_of(self.request).pack(self.request.draw(NumpyStream(seed)), self.request.spec.groups)
        return packed[self.name].astype(values.DTYPES[self.request.dtype])


@dataclasses.dataclass(eq=False)
class LinenConv1d:
    """A ``flax.linen.Conv`` or ``flax.linen.ConvTranspose`` together with its variables.

    Call it with an input. It is a pytree whose leaves are the variables.

    Attributes:
        module: the linen module, which you can use as a part of another module.
        variables: ``{"params": {"kernel": …, "bias": (out,)}}``, the variables of that module. The kernel of a Conv is
            (kernel, in/groups, out).
    """

    module: linen.Conv | linen.ConvTranspose
    variables: dict[str, Any]

    def __call__(self, inputs: Any) -> Any:
        """Convolve an input (..., length, channels)."""
        return self.module.apply(self.variables, inputs)


jax.tree_util.register_dataclass(LinenConv1d, data_fields=["variables"], meta_fields=["module"])


def build(request: LayerRequest, stream: Stream | None, device: Any) -> LinenConv1d:
    """Build the layer; see `filled`."""
    values.require_dtype("dtype", request.dtype)
    padding = native_padding(request)
    arguments = {
        **arguments_of(request),
        "strides": request.spec.stride,
        "padding": "VALID" if padding is None else padding,
        "kernel_dilation": request.spec.dilation,
        "feature_group_count": request.spec.groups,
    }
    module = linen.Conv(**arguments) if padding is not None else PaddedConv(**arguments, request=request)
    return filled(module, linen.Conv(**arguments | {"padding": "VALID"}), request, stream, device)


def arguments_of(request: LayerRequest) -> dict[str, Any]:
    """Return the arguments that ``linen.Conv`` and ``linen.ConvTranspose`` have in common."""
    arguments = {
        "features": request.spec.out_channels,
        "kernel_size": (request.spec.kernel_size,),
        "use_bias": request.policy.bias,
        "param_dtype": values.DTYPES[request.dtype],
    }
    if not values.has_native_init(request):
        arguments |= {"kernel_init": PolicyInit(request, "kernel"), "bias_init": PolicyInit(request, "bias")}
    return arguments


def filled(module: Any, plain: Any, request: LayerRequest, stream: Stream | None, device: Any) -> LinenConv1d:
    """Return a module together with its initial weights.

    Without a stream, NumPy's global random state yields the seed of its key, since JAX has no global random state.

    Args:
        module: the module.
        plain: Flax's own module of the same sizes. It draws the weights if it has the policy's initializers.
        request: the layer's request.
        stream: random stream, or None.
        device: a device, or None.
    """
    spec = request.spec
    if stream is None and values.has_native_init(request):
        example = jnp.zeros((1, spec.effective_kernel, spec.in_channels), values.DTYPES[request.dtype])
        params = plain.init(jax.random.key(values.fresh_seed()), example)["params"]
    else:
        params = values.drawn(request, stream)
    if (initial := values.learned(request)) is not None:
        params = {**params, LEARNED: initial}
    return LinenConv1d(module, {"params": values.placed(params, device)})


def run(layer: LinenConv1d, data: Any) -> Any:
    """Run the layer on a NumPy array (batch, channels, length) and return its output as one."""
    return values.as_output(layer(values.as_input(data, layer.variables["params"]["kernel"].dtype)))


def parameters(layer: LinenConv1d) -> dict[str, Any]:
    """Return weight, bias and the learned constant, if any, as NumPy arrays; bfloat16 as float32."""
    return values.unpacked(layer.variables["params"], values.layout_in(layer.module))


def assign(layer: LinenConv1d, new: Mapping[str, Any]) -> None:
    """Write NumPy arrays to weight, bias and the learned constant."""
    params = layer.variables["params"]
    changed = values.rewritten(params, new, values.layout_in(layer.module))
    layer.variables = {**layer.variables, "params": {**params, **changed}}


def gradients(layer: LinenConv1d, data: Any, upstream: Any) -> dict[str, Any]:
    """Return the gradients of ``sum(output * upstream)`` as NumPy arrays."""
    params = layer.variables["params"]
    to_weights, to_input = values.gradients_of(_call, (layer.module, params, None), data, upstream, params["kernel"].dtype)
    return {"input": to_input, **values.unpacked(to_weights, values.layout_in(layer.module))}


def _call(module: Any, params: Mapping[str, Any], _others: Any, inputs: Any) -> Any:
    return module.apply({"params": params}, inputs)
