"""Flax's own transposed convolutions with given weights, for the tests that compare with them."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from flax import linen, nnx

import convpolicy as cp

APIS = {"flax": nnx.ConvTranspose, "flax-linen": linen.ConvTranspose}
KERNELS = {False: "", True: "-transpose-kernel"}  # transpose_kernel -> end of the policy's name
IN, OUT = 2, 3


def policy_of(backend, transpose_kernel):
    """Name of the policy that describes Flax's own layer."""
    return backend + KERNELS[transpose_kernel]


def stored(weight, transpose_kernel):
    """Return a weight (in, out, kernel) as Flax stores it, written out by hand."""
    return weight.transpose(2, 1, 0) if transpose_kernel else weight[..., ::-1].transpose(2, 0, 1)


def own(backend, weight, bias, transpose_kernel, dtype="float32", **arguments):
    """Flax's own layer with a weight (in, out, kernel) and a bias (out,) or None; of linen, bound to its variables."""
    params = {"kernel": jnp.asarray(stored(weight, transpose_kernel), dtype)}
    params |= {} if bias is None else {"bias": jnp.asarray(bias, dtype)}
    arguments |= {
        "kernel_size": (weight.shape[2],),
        "use_bias": bias is not None,
        "transpose_kernel": transpose_kernel,
        "param_dtype": jnp.dtype(dtype),
    }
    if backend == "flax-linen":
        return linen.ConvTranspose(weight.shape[1], **arguments).bind({"params": params})
    layer = nnx.ConvTranspose(weight.shape[0], weight.shape[1], **arguments, rngs=nnx.Rngs(0))
    layer.kernel.value = params["kernel"]
    if bias is not None:
        layer.bias.value = params["bias"]
    return layer


def is_plain(layer, backend):
    """Whether a layer is Flax's own class."""
    return type(layer if backend == "flax" else layer.module) is APIS[backend]


def built(backend="flax", **options):
    """A layer of 4 → 6 channels, kernel 3, stride 2."""
    return cp.ConvTranspose1d(**({"in_channels": 4, "out_channels": 6, "kernel_size": 3, "stride": 2, "policy": backend,
                                  "backend": backend, "seed": 3} | options))  # fmt: skip


def data_of(*shape, seed=0):
    """Random data."""
    return jnp.asarray(np.random.default_rng(seed).standard_normal(shape), "float32")
