"""What streaming needs from a layer of ``flax.nnx`` or ``flax.linen``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen, nnx
from flax.linen.dtypes import promote_dtype
from jax import lax

from convpolicy.chunks.arrays import Arrays
from convpolicy.core.spec import ConvSpec
from convpolicy.frameworks.flax.crops import dilated, forward
from convpolicy.frameworks.flax.linen_layer import LinenConv1d
from convpolicy.frameworks.flax.padding import AXES, arithmetic_of
from convpolicy.layers.backend import LEARNED
from convpolicy.parts.side import Arithmetic


class FlaxArrays(Arrays):
    """The arrays of a ``Conv`` or ``ConvTranspose`` of Flax, which keeps its weights.

    All methods but ``numbers`` can be traced.
    """

    name = "JAX or NumPy array of floats"

    def __init__(self, layer: Any, spec: ConvSpec) -> None:
        super().__init__(channels_last=True)
        self._layer = layer
        self._spec = spec

    @property
    def _module(self) -> Any:
        return self._layer.module if isinstance(self._layer, LinenConv1d) else self._layer

    def _weight(self, name: str) -> Any:
        if isinstance(self._layer, nnx.Module):
            variable = getattr(self._layer, name, None)
            return None if variable is None else variable.value
        return linen.meta.unbox(self._layer.variables["params"]).get(name)

    @property
    def _kernel(self) -> Any:
        kernel, mask = self._weight("kernel"), self._module.mask
        return kernel if mask is None else kernel * mask

    @property
    def learned(self) -> Any:
        """The learned constant as (1, channels), or None."""
        value = self._weight(LEARNED)
        return None if value is None else value.reshape(1, -1)

    def zeros(self, shape: Sequence[int]) -> Any:
        """Return zeros in the dtype of the layer."""
        return jnp.zeros(shape, self._weight("kernel").dtype)

    def counter(self, batch: int) -> Any:
        """Return zeros (batch,) as a NumPy array, which has a value also while JAX traces a whole stream."""
        return np.zeros(batch, np.int64)

    def of_numpy(self, data: Any) -> Any:
        """Return data in the axes and the dtype of the layer."""
        return jnp.asarray(data.transpose(0, 2, 1), self._weight("kernel").dtype)

    def joined(self, parts: Sequence[Any], axis: int) -> Any:
        """Concatenate arrays."""
        return jnp.concatenate(parts, axis)

    def arithmetic(self, data: Any) -> Arithmetic:
        """Return the functions of JAX."""
        return arithmetic_of(data)

    def owned(self, data: Any) -> Any:
        """Return a JAX array: a part of one is already a copy."""
        return data if isinstance(data, jax.Array) else jnp.array(data)

    def gradient(self, function: Callable[[Any], Any], data: Any, upstream: Any) -> Any:
        """Return the gradient of ``sum(function(data) * upstream)`` to data."""
        return jax.vjp(function, data)[1](upstream)[0]

    def is_array(self, value: Any) -> bool:
        """Return True for an array of floats, also while JAX traces."""
        return isinstance(value, (jax.Array, np.ndarray)) and jnp.issubdtype(value.dtype, jnp.floating)

    def convolved(self, data: Any) -> Any:
        """Convolve padded data."""
        spec, module = self._spec, self._module
        data, kernel = promote_dtype(data, self._kernel, dtype=module.dtype)
        output = lax.conv_general_dilated(
            data,
            kernel,
            window_strides=(spec.stride,),
            padding="VALID",
            rhs_dilation=(spec.dilation,),
            dimension_numbers=AXES,
            feature_group_count=spec.groups,
            precision=module.precision,
        )
        return self.biased(output)

    def scattered(self, data: Any) -> Any:
        """Return the full result of a transposed convolution."""
        spec, module = self._spec, self._module
        data, kernel = promote_dtype(data, self._kernel, dtype=module.dtype)
        kernel = forward(spec, kernel, transpose_kernel=module.transpose_kernel)
        return dilated(spec, data, kernel, (0, 0), precision=module.precision)

    def biased(self, data: Any) -> Any:
        """Add the bias."""
        bias = self._weight("bias")
        return data if bias is None else data + bias
