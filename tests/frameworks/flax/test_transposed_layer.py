"""Transposed layers that Flax's own class cannot express: every plan of any policy, gradients and transformations."""

from __future__ import annotations

import copy
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx, serialization
from helpers.flax_layers import NAMES, same, weights
from helpers.flax_transposed import CROPPED, KERNELS, LAYERS, PLAIN, data_of, is_plain, layer_of, own, policy_of

import convpolicy as cp
from convpolicy import reference
from convpolicy.frameworks.flax import crops
from convpolicy.frameworks.flax.linen_layer import LinenConv1d

each_backend = pytest.mark.parametrize("backend", NAMES)
each_kernel = pytest.mark.parametrize("transpose_kernel", KERNELS)
each_layer = pytest.mark.parametrize("name", LAYERS)


class Stranger:
    """Someone else's crop rule, which depends on the length."""

    @cp.hookimpl
    def convpolicy_crop_rules(self):
        return [cp.CropRule("halves", lambda kernel, stride, dilation, length: (length % 3, 1 - length % 2), needs_length=True)]


@pytest.fixture(autouse=True)
def crop_rule_by_length():
    cp.register(Stranger(), "stranger")
    yield
    cp.unregister("stranger")


def ideal_of(layer, backend, name, data, transpose_kernel=False, length=None, **changes):
    """The float64 reference of a layer for data (batch, channels, length), with its parameters or other ones."""
    options = {"kernel_size": 3, "stride": 2, "dilation": 1, "groups": 1} | LAYERS[name]
    changed = {field: options[field] for field in ("padding", "padding_mode") if field in options}
    half = cp.policy(policy_of(backend, transpose_kernel)).half().evolve(**changed)
    plan = half.plan(options["kernel_size"], options["stride"], options["dilation"], length=length or data.shape[2])
    values = cp.backends()[backend].parameters(layer) | changes
    return reference.conv_transpose1d(
        data, values["weight"], values["bias"], left=plan.left, right=plan.right, mode=plan.mode, stride=plan.stride,
        dilation=plan.dilation, groups=options["groups"],
    )  # fmt: skip


def random(channels, length, dtype="float32"):
    return np.random.default_rng(length).standard_normal((2, channels, length)).astype(dtype)


@pytest.mark.grid(every=3)
@each_kernel
@each_layer
@each_backend
def test_every_plan_against_float64(backend, name, transpose_kernel):
    """Outputs of three lengths within the tolerance; Flax's own class is used where it can cut by the plan, and only there."""
    layer = layer_of(name, backend, transpose_kernel)
    assert is_plain(layer, backend) == (name in PLAIN)
    channels = LAYERS[name].get("in_channels", 4)
    for length in (2, 5, 6):
        data = random(channels, length)
        ideal = ideal_of(layer, backend, name, data, transpose_kernel)
        found = cp.backends()[backend].run(layer, data)
        assert found.shape == ideal.output.shape
        assert (np.abs(found - ideal.output) <= 2 * reference.tolerance("float32", ideal.terms, ideal.magnitude)).all(), length


FAULTS = {
    "kernel in reverse": lambda weight: weight[..., ::-1],
    "input channels exchanged": lambda weight: weight[::-1],
    "output channels exchanged": lambda weight: weight[:, ::-1],
    "weight rounded": lambda weight: weight.astype("float16").astype("float32"),
}


@pytest.mark.grid(every=1)
@each_kernel
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("name", ["default", "groups", "circular, groups"])
@each_backend
def test_a_fault_is_not_within_the_tolerance(backend, name, fault, transpose_kernel):
    """The comparison above tells a layer whose weights are stored in another order, or in fewer bits."""
    layer, data = layer_of(name, backend, transpose_kernel), random(4, 5)
    ideal = ideal_of(layer, backend, name, data, transpose_kernel)
    part = cp.backends()[backend]
    part.assign(layer, {"weight": FAULTS[fault](part.parameters(layer)["weight"]), "bias": None})
    error = np.abs(part.run(layer, data) - ideal.output)
    assert (error > 2 * reference.tolerance("float32", ideal.terms, ideal.magnitude)).any()


@pytest.mark.grid(every=3)
@each_kernel
@pytest.mark.parametrize("name", ["default", "CIRCULAR", *CROPPED])
@each_backend
def test_gradients_against_float64(backend, name, transpose_kernel):
    """Gradients to input, weight and bias are the float64 ones, element by element, in the axes of the NumPy layer."""
    layer, channels, length = layer_of(name, backend, transpose_kernel), LAYERS[name].get("in_channels", 4), 5
    data = random(channels, length)[:1]
    upstream = np.random.default_rng(1).standard_normal(ideal_of(layer, backend, name, data).output.shape).astype("float32")
    found = cp.backends()[backend].gradients(layer, data, upstream)
    values = cp.backends()[backend].parameters(layer)
    terms = upstream.size * 3 + 1  # at least the products that one gradient sums

    def check(gradient, units, expected):
        """Compare with the outputs of units: the layer is linear in its input and in its weight."""
        for index, unit in units:
            signed, absolute = expected(unit), expected(np.abs(unit))
            ideal = (signed.output * upstream).sum()
            bound = reference.tolerance("float32", terms, (absolute.magnitude * np.abs(upstream)).sum())
            assert abs(gradient[index] - ideal) <= 2 * bound, index

    def units(shape):
        for index in np.ndindex(shape):
            unit = np.zeros(shape)
            unit[index] = 1
            yield index, unit

    assert found["weight"].shape == values["weight"].shape
    check(found["input"], units(data.shape), lambda unit: ideal_of(layer, backend, name, unit, transpose_kernel, bias=None))
    check(
        found["weight"],
        units(values["weight"].shape),
        lambda unit: ideal_of(layer, backend, name, data, transpose_kernel, weight=unit, bias=None),
    )
    np.testing.assert_allclose(found["bias"], upstream.sum((0, 2)), rtol=1e-5, atol=1e-5)


@pytest.mark.grid(every=5)
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
@pytest.mark.parametrize("name", ["groups", "circular, other sides"])
@each_backend
def test_dtypes(backend, name, dtype):
    """Outputs keep the dtype and are within its tolerance; gradients are finite."""
    with jax.experimental.enable_x64():
        half = cp.policy(backend).half().evolve(random_stream="numpy")
        layer = layer_of(name, backend, policy=half, dtype=dtype)
        given = random(4, 5, "float64" if dtype == "float64" else "float16")
        data = given.astype("float32") if dtype == "bfloat16" else given
        found = cp.backends()[backend].run(layer, data)
        used = np.asarray(jnp.asarray(data, dtype), "float64")
        ideal = ideal_of(layer, backend, name, used)
        assert (np.abs(found - ideal.output) <= 2 * reference.tolerance(dtype, ideal.terms, ideal.magnitude)).all()
        assert layer(jnp.ones((1, 5, 4), dtype)).dtype == jnp.dtype(dtype)
        gradients = cp.backends()[backend].gradients(layer, data, np.ones_like(found))
        assert all(np.isfinite(value).all() for value in gradients.values())


# -- Flax's conventions ---------------------------------------------------------------------------------------------------


def near(a, b):
    np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)


@pytest.mark.grid(every=5)  # three programs are compiled for each
@each_layer
@each_backend
def test_transformations(backend, name):
    """jit, vmap and grad of the layer, several batch axes, none and an empty one; another length is another plan."""
    layer, data = layer_of(name, backend), data_of(2, 6, LAYERS[name].get("in_channels", 4))
    call = (nnx.jit if backend == "flax" else jax.jit)(lambda layer, data: layer(data))
    for cut in (0, 3):
        near(call(layer, data[:, cut:]), layer(data[:, cut:]))
    expected = layer(data)
    near(jax.vmap(layer)(data), expected)
    near(layer(data[0]), expected[0])
    near(layer(data[None])[0], expected)
    if name != "CIRCULAR":  # Flax's own CIRCULAR refuses an empty batch
        assert layer(data[:0]).shape == (0, *expected.shape[1:])
    gradient = (nnx.grad if backend == "flax" else jax.grad)(lambda layer: (layer(data) ** 2).sum())(layer)
    found = nnx.to_pure_dict(gradient) if backend == "flax" else gradient.variables["params"]
    assert {name: value.shape for name, value in found.items()} == {n: v.shape for n, v in weights(layer).items()}


@each_layer
def test_nnx_state(name):
    """split, merge, clone and copy; the state of an ``nnx.ConvTranspose`` fits without groups."""
    layer, data = layer_of(name, "flax"), data_of(2, 6, LAYERS[name].get("in_channels", 4))
    graph, state = nnx.split(layer)
    assert set(nnx.to_pure_dict(state)) == {"kernel", "bias"}
    for other in (nnx.merge(graph, state), nnx.clone(layer), copy.deepcopy(layer)):
        assert np.array_equal(other(data), layer(data))
    if "groups" not in LAYERS[name]:
        kernel = LAYERS[name].get("kernel_size", 3)
        theirs = nnx.ConvTranspose(4, 6, (kernel,), rngs=nnx.Rngs(1))
        nnx.update(layer, nnx.state(theirs))
        assert same(weights(layer), weights(theirs))
    if name in CROPPED:
        assert layer.plan(6) == copy.deepcopy(layer).plan(6)
        assert layer.policy.name == "flax"


@each_layer
def test_linen_is_a_function_of_a_tree(name):
    """The layer is a pytree of its variables: a step of descent lowers the loss; the module alone computes the same."""
    layer, data = layer_of(name, "flax-linen"), data_of(2, 6, LAYERS[name].get("in_channels", 4))
    expected = layer(data)
    assert np.array_equal(layer.module.apply(layer.variables, data), expected)
    assert np.array_equal(layer.module.bind(layer.variables)(data), expected)

    def loss(layer):
        return (layer(data) ** 2).mean()

    step = jax.tree.map(lambda value, slope: value - 0.01 * slope, layer, jax.grad(loss)(layer))
    assert isinstance(step, LinenConv1d)
    assert loss(step) < loss(layer)
    again = serialization.from_bytes(layer.variables, serialization.to_bytes(layer.variables))
    assert same(again["params"], layer.variables["params"])
    if name in CROPPED:
        assert layer.module.plan(6).length == 6
        assert layer.module.policy.name == "flax-linen"


@each_kernel
@each_backend
def test_a_mask_and_promotion_as_in_flax(backend, transpose_kernel):
    """A layer that cuts by the plan multiplies its mask, and promotes integers and narrow numbers as Flax's own does."""
    draw = np.random.default_rng(0)
    weight, bias = draw.standard_normal((4, 6, 3)), draw.standard_normal(6)
    layer = layer_of("circular, other sides", backend, transpose_kernel, weight_init=weight, bias_init=bias)
    shape = (3, 6, 4) if transpose_kernel else (3, 4, 6)
    mask = jnp.asarray(draw.integers(0, 2, shape), "float32")
    theirs = own(backend, weight, bias, transpose_kernel, padding=[(2, 2)], strides=(2,), mask=mask)  # nothing is cut
    if backend == "flax":
        layer.mask = nnx.data(mask)
    else:
        layer = LinenConv1d(layer.module.clone(mask=mask), layer.variables)
    for dtype in ("float32", "int32", "float16"):
        data = jnp.asarray(draw.integers(-4, 5, (2, 5, 4)), dtype)
        full = np.asarray(theirs(data) - bias.astype("float32"))  # 11 samples, of which 2 and 1 go to the other end
        wrapped = full[:, 2:10].copy()
        wrapped[:, -2:] += full[:, :2]
        wrapped[:, :1] += full[:, 10:]
        found = layer(data)
        assert found.dtype == np.float32
        near(found, wrapped + bias)


def test_wrapping_of_any_width():
    """The sum over turns equals the plan's own: cuts wider than the output, on each side, and what is appended."""
    draw = np.random.default_rng(0)
    for kernel, stride, length, left, right in itertools.product((1, 9), (3,), (1, 4), (-4, 0, 2, 7), (-3, 0, 6)):
        half = cp.policy("flax").half().evolve(padding=(left, right), padding_mode="circular")
        plan = half.plan(kernel, stride, length=length)
        full = draw.standard_normal((2, 3, plan.full_length))
        if plan.length_out:
            found = crops._wrapped(plan, jnp.asarray(full.transpose(0, 2, 1)))
            near(np.asarray(found).transpose(0, 2, 1), plan.cropped(full))
