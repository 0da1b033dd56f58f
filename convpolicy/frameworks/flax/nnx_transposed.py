"""The backend ``flax``, for transposed convolutions: a plain ``flax.nnx.ConvTranspose`` where it can express the policy."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
from flax import nnx

from convpolicy.frameworks.flax import crops, nnx_layer, values
from convpolicy.layers.backend import LayerRequest
from convpolicy.layers.following import Following
from convpolicy.parts.stream import Stream


class CroppedConvTranspose(Following, nnx.ConvTranspose):
    """A ``flax.nnx.ConvTranspose`` that cuts by a policy's plan, which is resolved for each length while tracing.

    Its state is that of ``flax.nnx.ConvTranspose``. With groups, ``kernel`` is (kernel, in, out/groups), or with
    ``transpose_kernel`` (kernel, out/groups, in).
    """

    def __init__(self, request: LayerRequest, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._request = request
        if request.spec.groups > 1:
            self.kernel_shape = values.kernel_shape(request)
            self.kernel = nnx.Param(jnp.zeros(self.kernel_shape, self.param_dtype))

    def __call__(self, inputs: Any) -> Any:
        """Convolve an input (..., length, channels)."""
        kernel = self.kernel.value if self.mask is None else self.kernel.value * self.mask
        bias = None if self.bias is None else self.bias.value
        inputs, kernel, bias = self.promote_dtype((jnp.asarray(inputs), kernel, bias), dtype=self.dtype)
        return crops.transposed(
            self._request, inputs, kernel, bias, precision=self.precision, preferred_element_type=self.preferred_element_type
        )


def build(request: LayerRequest, stream: Stream | None, device: Any) -> nnx.ConvTranspose:
    """Build the layer; see `nnx_layer.filled`."""
    values.require_dtype("dtype", request.dtype)
    padding = crops.native_crop(request)
    arguments = {**nnx_layer.arguments_of(request, stream), **crops.arguments_of(request, padding)}
    layer = nnx.ConvTranspose(**arguments) if padding is not None else CroppedConvTranspose(request, **arguments)
    return nnx_layer.filled(layer, request, stream, device)
