"""Transposed layers refuse in one sentence, before any work; devices, export and assignment."""

from __future__ import annotations

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.flax_layers import NAMES, weights
from helpers.flax_transposed import KERNELS, built, data_of, layer_of
from jax import export

import convpolicy as cp

each_backend = pytest.mark.parametrize("backend", NAMES)


@each_backend
def test_devices(backend):
    """A device or the name of a platform is passed on."""
    cpu = jax.devices("cpu")[0]
    for device, name in itertools.product(("cpu", cpu), ("default", "groups")):
        layer = layer_of(name, backend, device=device)
        assert {place for value in weights(layer).values() for place in value.devices()} == {cpu}


@each_backend
def test_exported_for_any_length_or_for_one(backend):
    """jax.export keeps the length symbolic where Flax's own layer cuts; a layer that cuts by a plan says that it needs one."""
    shape = export.symbolic_shape("batch, length, 4")
    wanted = jax.ShapeDtypeStruct(shape, jnp.float32)
    layer, data = layer_of("numbers", backend), data_of(2, 7, 4)
    np.testing.assert_allclose(export.export(jax.jit(layer))(wanted).call(data), layer(data), rtol=1e-5, atol=1e-5)
    with pytest.raises(cp.InvalidValueError, match=r"length must be a number for padding .*, got the symbolic shape"):
        export.export(jax.jit(layer_of("groups", backend)))(wanted)


def assigned(backend, weight):
    """Write a weight into a layer with groups."""
    cp.backends()[backend].assign(layer_of("groups", backend), {"weight": weight, "bias": None})


REFUSED = {
    "CAUSAL": (lambda name: built(name, padding="CAUSAL"), "unknown crop rule 'CAUSAL'"),
    "REFLECT": (lambda name: built(name, padding="REFLECT"), "unknown crop rule 'REFLECT'"),
    "reflect": (lambda name: built(name, padding_mode="reflect"), "padding_mode of a transposed convolution must be one of zeros, circular, got 'reflect'"),
    "same in small letters": (lambda name: built(name, padding="same"), "stride must be 1, got 2, as in Flax, which passes this name on to jax.lax; pass 'SAME'"),
    "SAME_LOWER": (lambda name: built(name, padding="SAME_LOWER"), "stride must be 1, got 2, as in Flax"),
    "valid in small letters": (lambda name: built(name, padding="valid"), "stride must be 1, got 2, .* pass 'VALID'"),
    "output_padding": (lambda name: built(name, output_padding=1), "crop rule 'same_upper' has no parameter 'output_padding'"),
    "output_padding too large": (lambda name: built(name, padding=1, output_padding=2), "output_padding must be below max"),
    "dtype": (lambda name: built(name, dtype="int8"), "dtype must be one of float32, float64, float16, bfloat16 for backend"),
    "channels": (lambda name: layer_of("groups", name)(data_of(1, 4, 9)), r"input must have shape \(\.\.\., length, 4\), got \(1, 4, 9\); put the channels last"),
    "axes": (lambda name: layer_of("groups", name)(data_of(4)), r"input must have shape \(\.\.\., length, 4\), got \(4,\)"),
    "nothing left": (lambda name: built(name, padding=(3, 3), groups=2)(data_of(1, 2, 4)), "input of length 2 is too short: 3 and 3 samples are cut"),
    "weight of another shape": (lambda name: assigned(name, np.ones((4, 6, 3), "float32")), r"kernel must have shape \(3, 4, 3\), like the layer's, got \(3, 4, 6\)"),
}  # fmt: skip


@each_backend
@pytest.mark.parametrize("fault", REFUSED)
def test_refusals(backend, fault):
    """Each is a ConvPolicyError, says what came, and stands before any work."""
    call, says = REFUSED[fault]
    with pytest.raises(cp.ConvPolicyError, match=says):
        call(backend)


@each_backend
def test_assign(backend):
    """Weight or bias alone, in the axes of the NumPy layer; the kernel keeps its direction."""
    part = cp.backends()[backend]
    for transpose_kernel, name in itertools.product(KERNELS, ("default", "groups")):
        layer = layer_of(name, backend, transpose_kernel)
        before = part.parameters(layer)
        part.assign(layer, {"weight": 2 * before["weight"], "bias": None})
        after = part.parameters(layer)
        assert np.array_equal(after["weight"], 2 * before["weight"])
        assert np.array_equal(after["bias"], before["bias"])
