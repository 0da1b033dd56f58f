"""The backend ``flax-linen``: a ``flax.linen.Conv``, or a subclass that pads by the plan, together with its variables."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen

from convpolicy import registry
from convpolicy.core.plan import Plan
from convpolicy.core.policy import Policy
from convpolicy.errors import InvalidValueError
from convpolicy.frameworks.flax import values
from convpolicy.frameworks.flax.padding import native_padding, padded
from convpolicy.frameworks.numpy.stream import NumpyStream
from convpolicy.layers.backend import LEARNED, LayerRequest
from convpolicy.parts.stream import Stream


class PaddedConv(linen.Conv):
    """A ``flax.linen.Conv`` that pads by a policy's plan, which is resolved for each length while tracing.

    Its variables are Flax's, and ``padding_value``, () or (in_channels,), where the constant is learned.
    """

    request: LayerRequest | None = None  # a dataclass whose fields before have defaults needs one here too

    @property
    def policy(self) -> Policy:
        """The policy this layer follows."""
        return self._request.policy

    def plan(self, length: int) -> Plan:
        """Return the plan for one input length in samples."""
        return self._request.plan(length)

    @property
    def _request(self) -> LayerRequest:
        assert self.request is not None
        return self.request

    @linen.compact  # type: ignore[untyped-decorator]
    def __call__(self, inputs: Any) -> Any:
        """Convolve (..., length, channels)."""
        start = values.learned(self._request)
        # not self.param, which would draw the kernel with another key
        value = None if start is None else self.variable("params", LEARNED, lambda: start).value
        return super().__call__(padded(self._request, inputs, value))


@dataclasses.dataclass(frozen=True)
class PolicyInit:
    """An initializer of one parameter by the policy's own law, for a module that is initialised within another.

    The key seeds the stream ``numpy``, which draws outside of what is traced.
    """

    request: LayerRequest
    name: str

    def __call__(self, key: Any, shape: tuple[int, ...], dtype: Any = jnp.float32) -> Any:
        """Draw ``kernel`` or ``bias``, while tracing too.

        Raises:
            InvalidValueError: a shape of other sizes, as for an input of other channels; holds both.
        """
        spec = self.request.spec
        expected = spec.weight_shape[::-1] if self.name == "kernel" else (spec.out_channels,)
        if tuple(shape) != expected:
            raise InvalidValueError(
                f"{self.name} must have shape {expected} for a layer of {spec.in_channels} channels, got {tuple(shape)}; give it an "
                f"input (..., length, {spec.in_channels})."
            )
        wanted = jax.ShapeDtypeStruct(shape, dtype)
        words = key if jnp.issubdtype(key.dtype, jnp.integer) else jax.random.key_data(key)
        return jax.pure_callback(self._drawn, wanted, words, vmap_method="sequential")

    def _drawn(self, words: Any) -> Any:
        seed = int.from_bytes(np.asarray(words).tobytes(), "little")
        packed = registry.current().get("layout", "WIO").pack(self.request.draw(NumpyStream(seed)), self.request.spec.groups)
        return packed[self.name].astype(values.DTYPES[self.request.dtype])


@dataclasses.dataclass(eq=False)
class LinenConv1d:
    """A ``flax.linen`` module and its variables: a function of the input, and a pytree whose leaves are the variables.

    Attributes:
        module: a ``linen.Conv``, to be put into other modules.
        variables: ``{"params": {"kernel": (kernel, in/groups, out), "bias": (out,)}}``, to be put into their tree.
    """

    module: linen.Conv
    variables: dict[str, Any]

    def __call__(self, inputs: Any) -> Any:
        """Convolve (..., length, channels)."""
        return self.module.apply(self.variables, inputs)


jax.tree_util.register_dataclass(LinenConv1d, data_fields=["variables"], meta_fields=["module"])


def build(request: LayerRequest, stream: Stream | None, device: Any) -> LinenConv1d:
    """Build the layer; without a stream its key is seeded from NumPy's global random state, as JAX has none."""
    values.require_dtype("dtype", request.dtype)
    spec, padding = request.spec, native_padding(request)
    arguments = {
        "features": spec.out_channels,
        "kernel_size": (spec.kernel_size,),
        "strides": spec.stride,
        "padding": "VALID" if padding is None else padding,
        "kernel_dilation": spec.dilation,
        "feature_group_count": spec.groups,
        "use_bias": request.policy.bias,
        "param_dtype": values.DTYPES[request.dtype],
    }
    native_init = values.has_native_init(request)
    if not native_init:
        arguments |= {"kernel_init": PolicyInit(request, "kernel"), "bias_init": PolicyInit(request, "bias")}
    module = linen.Conv(**arguments) if padding is not None else PaddedConv(**arguments, request=request)
    if stream is None and native_init:
        plain = linen.Conv(**arguments | {"padding": "VALID"})
        example = jnp.zeros((1, spec.effective_kernel, spec.in_channels), values.DTYPES[request.dtype])
        params = plain.init(jax.random.key(values.fresh_seed()), example)["params"]
    else:
        params = values.drawn(request, stream)
    if (start := values.learned(request)) is not None:
        params = {**params, LEARNED: start}
    return LinenConv1d(module, {"params": values.placed(params, device)})


def run(layer: LinenConv1d, data: Any) -> Any:
    """Return the output for (batch, channels, length), all NumPy."""
    return values.as_output(layer(values.as_input(data, layer.variables["params"]["kernel"].dtype)))


def parameters(layer: LinenConv1d) -> dict[str, Any]:
    """Return weight (out, in/groups, kernel), bias and a learned constant as NumPy arrays; bfloat16 as float32."""
    return values.unpacked(layer.variables["params"])


def assign(layer: LinenConv1d, new: Mapping[str, Any]) -> None:
    """Write weight (out, in/groups, kernel), bias and a learned constant, given as NumPy arrays."""
    params = layer.variables["params"]
    layer.variables = {**layer.variables, "params": {**params, **values.rewritten(params, new)}}


def gradients(layer: LinenConv1d, data: Any, upstream: Any) -> dict[str, Any]:
    """Return the gradients of ``sum(output * upstream)``, all NumPy."""

    def call(weights: Mapping[str, Any], inputs: Any) -> Any:
        return layer.module.apply({"params": weights}, inputs)

    params = layer.variables["params"]
    found, to_input = values.gradients_of(call, params, data, upstream, params["kernel"].dtype)
    return {"input": to_input, **values.unpacked(found)}
