"""Flax's own transposed convolutions with given weights, for the tests that compare with them."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from flax import linen, nnx

import convpolicy as cp

APIS = {"flax": nnx.ConvTranspose, "flax-linen": linen.ConvTranspose}
Choice = cp.Choice
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


# what Flax's own layer cuts, and what it cannot cut
PLAIN = {
    "default": {},
    "numbers": {"padding": (1, 0)},
    "appended": {"padding": (-1, -4), "bias": True},
    "output_padding": {"padding": Choice("explicit", left=2, right=2, output_padding=1)},
    "more than the kernel": {"padding": (4, -1)},
    "CIRCULAR": {"padding": "CIRCULAR"},
    "circular, appended": {"padding": (0, -2), "padding_mode": "circular", "kernel_size": 1},
    "causal": {"padding": "causal", "dilation": 2},
}
CROPPED = {
    "groups": {"groups": 2},
    "depthwise": {"groups": 2, "in_channels": 2, "dilation": 2, "padding": (2, -1)},
    "circular, other sides": {"padding": (2, 1), "padding_mode": "circular"},
    "circular, left cut, right appended": {"padding": (2, -1), "padding_mode": "circular"},
    "circular, groups": {"padding": "CIRCULAR", "groups": 2, "dilation": 2},
    "by length": {"padding": "halves"},
}
LAYERS = PLAIN | CROPPED


def layer_of(name, backend, transpose_kernel=False, **more):
    """A layer, with a bias of normal numbers."""
    return built(backend, **({"policy": policy_of(backend, transpose_kernel), "bias_init": "normal"} | LAYERS[name] | more))
