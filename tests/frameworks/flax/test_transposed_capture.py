"""Flax's own transposed layers captured and built elsewhere: every bit of the weights, the same outputs, or a refusal."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen, nnx
from helpers.flax_transposed import KERNELS, data_of, layer_of, own, policy_of, stored

import convpolicy as cp
from convpolicy import reference
from convpolicy.frameworks.flax.linen_layer import LinenConv1d
from convpolicy.layers.whole_models import convolutions

BACKENDS = ("flax", "flax-linen")
each_backend = pytest.mark.parametrize("backend", BACKENDS)
each_kernel = pytest.mark.parametrize("transpose_kernel", KERNELS)
# arguments of Flax's own layer of kernel 4 -> what its policy cuts
NATIVE = {
    "default": ({}, "same_upper"),
    "SAME": ({"padding": "SAME", "strides": (2,), "kernel_dilation": 2}, "same_upper"),
    "VALID": ({"padding": "VALID", "strides": 6}, "at_least_stride"),
    "same": ({"padding": "same"}, "lax_same"),
    "same_lower": ({"padding": "same_lower"}, "lax_same_lower"),
    "SAME_LOWER": ({"padding": "SAME_LOWER", "kernel_dilation": (3,)}, "lax_same_lower"),
    "valid": ({"padding": "valid"}, "lax_valid"),
    "number": ({"padding": 2}, cp.Choice("explicit", left=1, right=1)),
    "list of a number": ({"padding": [1], "strides": [3]}, cp.Choice("explicit", left=2, right=2)),
    "pair": ({"padding": [(3, 5)]}, cp.Choice("explicit", left=0, right=-2)),
    "negative": ({"padding": [(-1, 2)], "strides": 2}, cp.Choice("explicit", left=4, right=1)),
    "arguments that change nothing": ({"precision": "default", "dtype": jnp.float32}, "same_upper"),
}


def weights_of(kernel=4, bias=True):
    draw = np.random.default_rng(1)
    return draw.standard_normal((4, 6, kernel)), draw.standard_normal(6) if bias else None


def layer(backend, transpose_kernel=False, *, bias=True, **arguments):
    """Flax's own layer, 4 → 6 channels, kernel 4."""
    return own(backend, *weights_of(bias=bias), transpose_kernel, **arguments)


def check(native, backend):
    """Capture, build on NumPy, capture that, build on both backends: every bit stays, and the outputs are the layer's."""
    taken = cp.capture(native)
    assert taken.backend == backend
    assert taken.spec.transposed
    on_numpy = taken.build("numpy")
    data = np.asarray(data_of(2, 8, 4))
    expected = np.asarray(native(jnp.asarray(data))).transpose(0, 2, 1)
    found = on_numpy(data.transpose(0, 2, 1))
    magnitude = np.abs(data).max() * np.abs(taken.weight).sum((0, 2)).max() + 8
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= 2 * reference.tolerance("float32", taken.weight[:, 0].size + 1, magnitude)
    for name in BACKENDS:
        for again in (taken.build(name), cp.port(on_numpy, to=name)):
            back = cp.capture(again)
            assert (back.spec, back.dtype, back.policy.padding, back.policy.padding_mode, back.policy.bias) == (
                taken.spec, taken.dtype, taken.policy.padding, taken.policy.padding_mode, taken.policy.bias,
            )  # fmt: skip
            assert back.weight.tobytes() == taken.weight.tobytes()
            assert (back.bias is None) == (taken.bias is None) == (not taken.policy.bias)
            assert taken.bias is None or back.bias.tobytes() == taken.bias.tobytes()
            assert np.array_equal(cp.backends()[name].run(again, data.transpose(0, 2, 1)), expected)
    return taken


@pytest.mark.grid(every=3)
@each_kernel
@pytest.mark.parametrize("name", NATIVE)
@each_backend
def test_flaxs_own_layers(backend, name, transpose_kernel):
    """Every form of padding and of sizes; numbers become cuts; built on both backends again, the outputs have the layer's bits."""
    arguments, rule = NATIVE[name]
    taken = check(layer(backend, transpose_kernel, **arguments), backend)
    assert taken.policy.name == policy_of(backend, transpose_kernel)
    assert taken.policy.padding == cp.Choice.of("padding", rule)
    assert np.array_equal(taken.weight, weights_of()[0].astype("float32"))


@pytest.mark.parametrize(("transpose_kernel", "rule"), [(False, "same_upper"), (True, "same_lower")])
@each_backend
def test_circular(backend, transpose_kernel, rule):
    """Flax cuts the extra sample right, with ``transpose_kernel`` left, and adds what is cut to the other end."""
    taken = check(layer(backend, transpose_kernel, padding="CIRCULAR", kernel_dilation=2, bias=False), backend)
    assert (taken.policy.padding, taken.policy.padding_mode) == (cp.Choice(rule), cp.Choice("circular"))


@pytest.mark.grid(every=5)
@each_kernel
@pytest.mark.parametrize("name", ["groups", "circular, other sides", "circular, groups"])
@each_backend
def test_own_subclasses(backend, name, transpose_kernel):
    """Layers that cut by a plan keep their policy, their groups and their mask."""
    built = layer_of(name, backend, transpose_kernel)
    taken = check(built, backend)
    assert taken.policy.name == policy_of(backend, transpose_kernel)
    part, values = cp.backends()[backend], cp.backends()[backend].parameters(built)
    mask = np.random.default_rng(0).integers(0, 2, values["weight"].shape).astype("float32")
    shown = jnp.asarray(stored(mask, transpose_kernel))
    if backend == "flax":
        built.mask = nnx.data(shown)
    else:
        built = LinenConv1d(built.module.clone(mask=shown), built.variables)
    assert np.array_equal(cp.capture(built).weight, values["weight"] * mask)
    masked = cp.capture(built).build(backend)
    data = np.asarray(data_of(1, 4, 6))
    assert np.array_equal(part.run(masked, data), part.run(built, data))


@each_kernel
@each_backend
def test_masks(backend, transpose_kernel):
    """The captured weight is the product with the mask."""
    mask = np.random.default_rng(0).integers(0, 2, (4, 6, 4)).astype("float32")
    taken = check(layer(backend, transpose_kernel, mask=jnp.asarray(stored(mask, transpose_kernel))), backend)
    assert np.array_equal(taken.weight, weights_of()[0].astype("float32") * mask)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
@each_backend
def test_dtypes(backend, dtype):
    """Kept; bfloat16 as the float32 numbers that it holds; written back to the bit."""
    with jax.experimental.enable_x64():
        native = layer(backend, dtype=dtype)
        taken = cp.capture(native)
        assert (taken.dtype, str(taken.weight.dtype)) == (dtype, "float32" if dtype == "bfloat16" else dtype)
        again = cp.port(native, to="flax")
        assert again.kernel.value.dtype == jnp.dtype(dtype)
        assert np.array_equal(again.kernel.value, layer("flax", dtype=dtype).kernel.value)


# -- refusals -------------------------------------------------------------------------------------------------------------


class Doubled(nnx.ConvTranspose):
    """Another function under the same name."""

    def __call__(self, inputs):
        return 2 * super().__call__(inputs)


class DoubledLinen(linen.ConvTranspose):
    """The same in linen."""

    def __call__(self, inputs):
        return 2 * super().__call__(inputs)


def rewritten(name, value, **options):
    """A layer, one of whose attributes was written over."""
    built = layer_of("groups", "flax", **options)
    setattr(built, name, value)
    return built


def two_dimensional(backend):
    arguments = {"kernel_size": (3, 3), "padding": "VALID"}
    if backend == "flax":
        return nnx.ConvTranspose(4, 6, **arguments, rngs=nnx.Rngs(0))
    return linen.ConvTranspose(6, **arguments).bind({"params": {"kernel": jnp.ones((3, 3, 4, 6)), "bias": jnp.ones(6)}})


EVERYWHERE = {
    "CAUSAL": ({"padding": "CAUSAL"}, "Flax has no padding 'CAUSAL' for it; correct its padding"),
    "REFLECT": ({"padding": "REFLECT"}, "Flax has no padding 'REFLECT' for it"),
    "circular in small letters": ({"padding": "circular"}, "Flax has no padding 'circular' for it"),
    "a rule of convpolicy": ({"padding": "at_least_stride"}, "Flax has no padding 'at_least_stride' for it"),
    "same with a stride": ({"padding": "same", "strides": 2}, "stride must be 1, got 2, as in Flax, .* pass 'SAME'; correct its padding"),
    "SAME_LOWER with a stride": ({"padding": "SAME_LOWER", "strides": 3}, "stride must be 1, got 3, as in Flax"),
    "two pairs": ({"padding": [(1, 2), (1, 2)]}, "Invalid padding format"),
    "precision": ({"precision": "highest"}, "its precision is not the default; set precision to None"),
    "element type": ({"preferred_element_type": jnp.float32}, "its output has another dtype than its input"),
    "promotion": ({"promote_dtype": lambda *arrays, dtype: arrays}, "it has another promote_dtype; use Flax's own"),
    "strides": ({"strides": (1, 2)}, r"its strides are \(1, 2\) and its kernel_dilation \(1,\); pass one number for each"),
    "mask": ({"mask": jnp.ones((4, 1, 6))}, r"its mask has shape \(4, 1, 6\); replace it with one of shape \(4, 4, 6\)"),
}  # fmt: skip
REFUSED = {
    **{f"{backend}: {name}": ((lambda backend=backend, words=words: layer(backend, **words)), says) for name, (words, says) in EVERYWHERE.items() for backend in BACKENDS},
    **{f"{backend}: 2-D": ((lambda backend=backend: two_dimensional(backend)), r"its kernel has shape \(3, 3, 4, 6\) and not 3 axes") for backend in BACKENDS},
    "subclass": (lambda: Doubled(4, 6, (3,), rngs=nnx.Rngs(0)), "layer Doubled cannot be captured exactly: its class overrides __call__"),
    "linen subclass": (lambda: LinenConv1d(DoubledLinen(6, (4,)), layer("flax-linen").variables), "its class overrides __call__"),
    "unbound": (lambda: linen.ConvTranspose(6, (3,)), r"an unbound linen module has no weights; pass module.bind\(variables\)"),
    "no bias": (lambda: linen.ConvTranspose(6, (4,)).bind({"params": {"kernel": jnp.ones((4, 4, 6))}}), "its variables have no bias"),
    "exchanged channels": (
        lambda: nnx.merge(*nnx.split(rewritten("transpose_kernel", value=True))), r"its kernel has shape \(3, 4, 3\), but its sizes need \(3, 3, 4\)"
    ),
    "resized": (lambda: rewritten("strides", 3), "its sizes or padding were changed after it was built; build a new layer"),
    "cut twice": (lambda: rewritten("padding", "SAME"), "its sizes or padding were changed after it was built"),
    "other direction": (
        lambda: rewritten("transpose_kernel", value=True, in_channels=2, out_channels=4), "its sizes or padding were changed after it was built"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_exact_is_refused(name):
    """Each with the reason and the fix."""
    build, says = REFUSED[name]
    native = build()
    with pytest.raises(cp.InvalidValueError, match=says):
        cp.capture(native)


# -- models ---------------------------------------------------------------------------------------------------------------


class Decoder(nnx.Module):
    """Both kinds of layer, one with each value of ``transpose_kernel``."""

    def __init__(self):
        rngs = nnx.Rngs(0)
        self.conv = nnx.Conv(3, 4, (3,), rngs=rngs)
        self.up = nnx.List([nnx.ConvTranspose(4, 6, (4,), strides=2, rngs=rngs), layer_of("groups", "flax")])
        self.last = nnx.ConvTranspose(6, 2, (5,), transpose_kernel=True, padding="CIRCULAR", rngs=rngs)
        self.image = nnx.ConvTranspose(4, 4, (3, 3), rngs=rngs)


def test_models():
    """Transposed layers are listed with their parameters and layouts, and each is ported; those of two dimensions are not listed."""
    model = Decoder()
    listed = {row.path: row for row, _ in convolutions(model)}
    assert {path: row.layout for path, row in listed.items()} == {
        "conv": "", "last": "WOI", "up.0": "WIO-flipped", "up.1": "WIO-flipped"
    }  # fmt: skip
    assert all(set(row.parameters) == {"kernel", "bias"} for row in listed.values())
    ported, data = cp.port_model(model, to="numpy"), np.asarray(data_of(2, 6, 7))
    assert sorted(ported.layers) == sorted(listed)
    assert not ported.refused
    for path, row in listed.items():
        found = ported.layers[path](data[:, : row.module.in_features])
        expected = cp.backends()["flax"].run(row.module, data[:, : row.module.in_features])
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@each_kernel
def test_a_linen_layer_is_a_model_of_one_layer(transpose_kernel):
    """It is listed with the layout of its kernel."""
    built = layer_of("default", "flax-linen", transpose_kernel)
    ((row, taken),) = convolutions(built)
    assert (row.path, row.layout) == ("", "WOI" if transpose_kernel else "WIO-flipped")
    assert np.array_equal(taken.weight, cp.backends()["flax-linen"].parameters(built)["weight"])
