"""The layers keep the conventions of Flax: state, transformations, devices, copies; and refuse in one sentence."""

from __future__ import annotations

import copy
import pickle
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen, nnx, serialization
from helpers.flax_layers import LAYERS, NAMES, NATIVE, PADDED, Choice, assert_near, built, random, same, weights
from jax import export

import convpolicy as cp
from convpolicy import reference
from convpolicy.frameworks.flax.linen_layer import LinenConv1d


@pytest.mark.grid(every=3)
@pytest.mark.parametrize("name", LAYERS)
def test_nnx_transformations(name):
    """nnx.jit, split and merge, nnx.grad and vmap: the layer as it stands."""
    layer, data = built(LAYERS[name]), random(2, 9, 4)
    assert (type(layer) is nnx.Conv) == (name in NATIVE)
    expected = layer(data)
    jitted = nnx.jit(lambda layer, data: layer(data))
    for cut in (0, 3) if name in PADDED else (0,):  # another length is another plan
        assert_near(jitted(layer, data[:, cut:]), layer(data[:, cut:]), layer, data)
    graph, state = nnx.split(layer)
    assert np.array_equal(nnx.merge(graph, state)(data), expected)
    assert set(nnx.to_pure_dict(state)) == {"kernel", "bias"}
    found = nnx.grad(lambda layer: (layer(data) ** 2).sum())(layer)
    assert found["bias"].value.shape == (8,)
    assert_near(jax.vmap(layer)(data), expected, layer, data)


@pytest.mark.parametrize("name", ["native", "constant"])
def test_batch_axes(name):
    """None, one, several, or an empty one, as Flax takes them."""
    layer, data = built(LAYERS[name]), random(2, 9, 4)
    expected = layer(data)
    assert_near(jnp.stack([layer(item) for item in data]), expected, layer, data)
    assert_near(layer(data[None])[0], expected, layer, data)
    assert layer(data[:0]).shape == (0, *expected.shape[1:])


@pytest.mark.parametrize("name", LAYERS)
def test_nnx_state_goes_in_and_out(name):
    """The state of an ``nnx.Conv`` made without convpolicy can be written into the layer; clones and deep copies compute the same."""
    own, layer, data = nnx.Conv(4, 8, (3,), rngs=nnx.Rngs(1)), built(LAYERS[name]), random(2, 9, 4)
    nnx.update(layer, nnx.state(own))
    assert same(weights(layer), weights(own))
    for other in (copy.deepcopy(layer), nnx.clone(layer)):
        assert np.array_equal(other(data), layer(data))
    if name in PADDED:
        assert copy.deepcopy(layer).plan(9) == layer.plan(9)
        assert layer.policy.name == "flax"


@pytest.mark.grid(every=3)
@pytest.mark.parametrize("name", LAYERS)
def test_linen_is_a_function_of_a_tree(name):
    """The layer is a pytree of its variables: jit, grad and a step of descent; the module alone does the same."""
    layer, data = built(LAYERS[name], "flax-linen"), random(2, 9, 4)
    assert (type(layer.module) is linen.Conv) == (name in NATIVE)
    expected = layer(data)
    assert np.array_equal(layer.module.apply(layer.variables, data), expected)
    assert np.array_equal(layer.module.bind(layer.variables)(data), expected)
    assert_near(jax.jit(lambda layer, data: layer(data))(layer, data), expected, layer, data)
    assert_near(jax.vmap(layer)(data), expected, layer, data)

    def loss(layer):
        return (layer(data) ** 2).mean()

    step = jax.tree.map(lambda value, slope: value - 0.01 * slope, layer, jax.grad(loss)(layer))
    assert isinstance(step, LinenConv1d)
    assert loss(step) < loss(layer)
    assert np.array_equal(copy.deepcopy(layer)(data), expected)
    again = serialization.from_bytes(layer.variables, serialization.to_bytes(layer.variables))
    assert same(again["params"], layer.variables["params"])


@pytest.mark.parametrize("backend", NAMES)
def test_pickles(backend):
    """As far as Flax's own layers do, whose default initializer is a local function: state and variables, always."""
    layer = built(LAYERS["reflect, pair"], backend, policy="torch")
    kept = nnx.to_pure_dict(nnx.state(layer)) if backend == "flax" else layer.variables["params"]
    assert same(pickle.loads(pickle.dumps(kept)), weights(layer))
    if backend == "flax-linen":
        assert np.array_equal(pickle.loads(pickle.dumps(layer))(random(1, 9, 4)), layer(random(1, 9, 4)))
    with pytest.raises(AttributeError, match="pickle"):
        pickle.dumps(nnx.Conv(4, 8, (3,), rngs=nnx.Rngs(0)))


@pytest.mark.parametrize("backend", NAMES)
def test_a_constant_is_rounded_in_the_dtype_computed_in(backend):
    """Integers and narrow numbers are promoted as Flax promotes them, before the constant stands beside them."""
    layer = built({"padding": 2, "padding_mode": Choice("constant", value=0.1)}, backend)
    part = cp.backends()[backend]
    for dtype in ("int32", "float16"):
        data = np.random.default_rng(1).integers(-9, 9, (1, 4, 6)).astype(dtype)
        found, values = part.run(layer, data), part.parameters(layer)
        ideal = reference.conv1d(data, values["weight"], values["bias"], left=2, right=2, mode="constant", value=0.1)
        assert found.dtype == np.float32
        assert (np.abs(found - ideal.output) <= 2 * reference.tolerance("float32", ideal.terms, ideal.magnitude)).all()


class Stranger:
    """Someone else's plugin: a mode that is nothing but an index map, with and without the constant."""

    @cp.hookimpl
    def convpolicy_padding_modes(self):
        return [cp.PaddingMode("dotted", lambda positions, length: np.where(positions % 2, positions % length, -1))]


@pytest.mark.parametrize("backend", NAMES)
def test_a_strangers_mode_under_jit_and_grad(backend):
    """An index map is traced forward and backward; the gradient to the input counts how often each sample is read."""
    cp.register(Stranger(), "stranger")
    try:
        layer = built({"padding": (3, 2), "padding_mode": "dotted"}, backend, weight_init=1.0, policy="torch")
        found = jax.grad(jax.jit(lambda data: layer(data).sum()))(random(1, 5, 4))
        plan = cp.policy("torch").evolve(padding=(3, 2), padding_mode="dotted").plan(3, length=5)
        read = np.zeros(5)
        padded = [*plan.left_sources, *range(5), *plan.right_sources]
        for start in range(plan.length_out):
            for source in padded[start : start + 3]:
                if source >= 0:
                    read[source] += 8  # outputs
        assert np.array_equal(found[0], np.tile(read[:, None], 4))
    finally:
        cp.unregister("stranger")


# -- devices, export and refusals -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", NAMES)
def test_each_shape_is_compiled_once_and_as_few_programs(backend, caplog):
    """Padding by copies is one program, and so are all gradients; the next call compiles nothing."""

    def compiled(call):
        caplog.clear()
        with jax.log_compiles():
            call()
        found = re.findall(
            r"Finished XLA compilation of jit\((\w+)\)", "\n".join(record.getMessage() for record in caplog.records)
        )
        return sorted(found)

    layer, numbers = built({"padding": (5, 3), "padding_mode": "reflect"}, backend), np.random.default_rng(1)
    length = 23 + NAMES.index(backend)  # each backend compiles anew
    data, upstream = (numbers.standard_normal(shape, dtype=np.float32) for shape in ((2, 4, length), (2, 8, length + 6)))
    run, gradients = cp.backends()[backend].run, cp.backends()[backend].gradients
    programs = [name for name in compiled(lambda: run(layer, data)) if name != "reshape"]  # that of the bias may be there
    assert programs == ["_copied", "add", "conv_general_dilated"]
    assert len(compiled(lambda: gradients(layer, data, upstream))) == 1
    assert compiled(lambda: (run(layer, data), gradients(layer, data, upstream))) == []


def test_gradients_of_a_layer_that_is_not_hashable():
    """A mask of ``linen`` is an array within the module: the gradients are those without it where it is one everywhere."""
    data, upstream = (np.asarray(random(2, channels, length)) for channels, length in ((4, 9), (8, 7)))
    plain, gradients = linen.Conv(8, (3,), padding="VALID"), cp.backends()["flax-linen"].gradients
    variables = plain.init(jax.random.key(0), jnp.ones((1, 9, 4)))
    masked = LinenConv1d(plain.clone(mask=np.ones((3, 4, 8), "float32")), variables)
    found, expected = gradients(masked, data, upstream), gradients(LinenConv1d(plain, variables), data, upstream)
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("backend", NAMES)
def test_devices(backend):
    """A device, a sharding or a platform's name is passed on."""
    cpu = jax.devices("cpu")[0]
    for device in ("cpu", "cpu:0", cpu, jax.sharding.SingleDeviceSharding(cpu)):
        layer = built({}, backend, device=device)
        assert {place for value in weights(layer).values() for place in value.devices()} == {cpu}


@pytest.mark.parametrize("backend", NAMES)
def test_exported_for_any_length_or_for_one(backend):
    """jax.export keeps the length symbolic where Flax's own layer pads; a padded layer says that it needs one."""
    shape = export.symbolic_shape("batch, length, 4")
    wanted = jax.ShapeDtypeStruct(shape, jnp.float32)
    layer = built(LAYERS["pair"], backend)
    exported = export.export(jax.jit(layer))(wanted)
    data = random(2, 7, 4)
    assert_near(exported.call(data), layer(data), layer, data)
    padded = built(LAYERS["reflect, pair"], backend)
    with pytest.raises(
        cp.InvalidValueError, match=r"length must be a number for padding .* with mode reflect, got the symbolic shape"
    ):
        export.export(jax.jit(padded))(wanted)


def shaped(backend, weight):
    """Write a weight."""
    cp.backends()[backend].assign(built({}, backend), {"weight": weight, "bias": None})


REFUSED = {
    "float64": (lambda name: built({}, name, dtype="float64"), "dtype must not be float64 while JAX's 64-bit mode is off, .* call jax.config.update"),
    "float64 data": (lambda name: cp.backends()[name].run(built({}, name), np.ones((1, 4, 9))), "data must not be float64 while JAX's"),
    "dtype": (lambda name: built({}, name, dtype="int8"), "dtype must be one of float32, float64, float16, bfloat16 for backend"),
    "device": (lambda name: built({}, name, device="abacus"), "device must be a jax.Device, a Sharding or a platform such as cpu, got 'abacus'"),
    "no device": (lambda name: built({}, name, device=3), "device must be a jax.Device, .* got 3; see jax.devices"),
    "channels": (lambda name: built(LAYERS["constant"], name)(random(1, 4, 9)), r"input must have shape \(\.\.\., length, 4\), got \(1, 4, 9\); put the channels last"),
    "axes": (lambda name: built(LAYERS["constant"], name)(random(4)), r"input must have shape \(\.\.\., length, 4\), got \(4,\)"),
    "too wide": (lambda name: built(LAYERS["reflect, pair"], name)(random(1, 2, 4)), "padding mode 'reflect' reaches at most 1 for length 2"),
    "short": (lambda name: built({"padding": (1, 0), "padding_mode": "replicate"}, name)(random(1, 1, 4)), "input of length 1 is too short"),
    "weight of another shape": (lambda name: shaped(name, np.ones((8, 4, 2), "float32")), r"kernel must have shape \(3, 4, 8\), like the layer's, got \(2, 4, 8\)"),
}  # fmt: skip


@pytest.mark.parametrize("backend", NAMES)
@pytest.mark.parametrize("fault", REFUSED)
def test_refusals(backend, fault):
    """Each is a ConvPolicyError, says what came, and stands before any work."""
    call, says = REFUSED[fault]
    with pytest.raises(cp.ConvPolicyError, match=says):
        call(backend)
