"""The backend ``flax-linen``, for transposed convolutions: a ``flax.linen.ConvTranspose``, or a subclass that cuts by a plan."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
from flax import linen

from convpolicy.frameworks.flax import crops, linen_layer, values
from convpolicy.layers.backend import LayerRequest
from convpolicy.layers.following import Following
from convpolicy.parts.stream import Stream


class CroppedConvTranspose(Following, linen.ConvTranspose):
    """A ``flax.linen.ConvTranspose`` that cuts by a policy's plan, which is resolved for each length while tracing.

    Its variables are those of ``flax.linen.ConvTranspose``. With groups, ``kernel`` is (kernel, in, out/groups), or with
    ``transpose_kernel`` (kernel, out/groups, in).
    """

    request: LayerRequest | None = None  # the dataclass fields before it have defaults, so this one needs a default too

    @property
    def _request(self) -> LayerRequest:
        assert self.request is not None
        return self.request

    @linen.compact  # type: ignore[untyped-decorator]
    def __call__(self, inputs: Any) -> Any:
        """Convolve an input (..., length, channels)."""
        request = self._request
        kernel = self.param("kernel", self.kernel_init, values.kernel_shape(request), self.param_dtype)
        kernel = kernel if self.mask is None else kernel * self.mask
        bias = self.param("bias", self.bias_init, (self.features,), self.param_dtype) if self.use_bias else None
        inputs, kernel, bias = self.promote_dtype(jnp.asarray(inputs), kernel, bias, dtype=self.dtype)
        return crops.transposed(
            request, inputs, kernel, bias, precision=self.precision, preferred_element_type=self.preferred_element_type
        )


def build(request: LayerRequest, stream: Stream | None, device: Any) -> linen_layer.LinenConv1d:
    """Build the layer; see `linen_layer.filled`."""
    values.require_dtype("dtype", request.dtype)
    padding = crops.native_crop(request)
    arguments = {**linen_layer.arguments_of(request), **crops.arguments_of(request, padding)}
    module = linen.ConvTranspose(**arguments) if padding is not None else CroppedConvTranspose(**arguments, request=request)
    return linen_layer.filled(module, linen.ConvTranspose(**arguments | {"padding": "VALID"}), request, stream, device)
