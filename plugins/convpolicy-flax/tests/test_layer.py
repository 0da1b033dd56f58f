"""The layers keep the conventions of Flax: state, transformations, modules within modules; and refuse in one sentence."""

from __future__ import annotations

import copy
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen, nnx, serialization
from jax import export

import convpolicy as cp
from convpolicy import reference
from convpolicy_flax import LinenConv1d

Choice = cp.Choice
NAMES = ("flax", "flax-linen")
LAYERS = {
    "native": {},
    "pair": {"padding": (3, 1)},
    "CIRCULAR": {"padding": "CIRCULAR", "stride": 2},
    "reflect, pair": {"padding": (2, 1), "padding_mode": "reflect"},
    "constant": {"padding": "causal", "padding_mode": Choice("constant", value=1.5), "dilation": 2},
    "symmetric by length": {"padding": "same_lower", "stride": 2, "padding_mode": "symmetric"},
    "zero-extended": {"padding": (20, 1), "padding_mode": Choice("reflect", overflow="zero-extend")},
}
NATIVE = ("native", "pair", "CIRCULAR")
PADDED = tuple(name for name in LAYERS if name not in NATIVE)


def built(options, backend="flax", **more):
    """A layer of 4 → 8 channels, kernel 3."""
    return cp.Conv1d(4, 8, 3, **({"policy": backend, "backend": backend, "seed": 3} | options | more))


def random(*shape):
    """Random data, the same at every call."""
    return jnp.asarray(np.random.default_rng(0).standard_normal(shape), "float32")


def weights(layer):
    """Kernel and bias as Flax has them."""
    if isinstance(layer, LinenConv1d):
        return dict(layer.variables["params"])
    return {"kernel": layer.kernel.value, "bias": layer.bias.value}


def same(a, b):
    """Whether two dictionaries of arrays hold the same bits."""
    return {n: (v.dtype, np.asarray(v).tobytes()) for n, v in a.items()} == {
        n: (v.dtype, np.asarray(v).tobytes()) for n, v in b.items()
    }


def assert_near(found, expected, layer, data):
    """Assert that two computations of the layer's output on this data differ by rounding only."""
    kernel = np.abs(weights(layer)["kernel"])
    magnitude = kernel.sum((0, 1)).max() * max(float(jnp.abs(data).max()), 1.5) + 1  # 1.5: the constant
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= 2 * reference.tolerance("float32", kernel[..., 0].size + 1, magnitude)


# -- initial weights ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", LAYERS)
def test_without_a_seed_numpys_state_decides(name):
    """Flax's own draw after a seed that comes of np.random, so np.random.seed repeats it; two layers in a row differ."""
    np.random.seed(7)
    first, second = (int(np.random.randint(0, 2**32, dtype=np.uint32)) for _ in range(2))
    np.random.seed(7)
    ours = [built(LAYERS[name], seed=None) for _ in range(2)]
    for seed, layer in zip((first, second), ours):
        assert same(weights(layer), weights(nnx.Conv(4, 8, (3,), rngs=nnx.Rngs(seed))))
    np.random.seed(7)
    bound = built(LAYERS[name], "flax-linen", seed=None)
    expected = linen.Conv(8, (3,)).init(jax.random.key(first), random(1, 9, 4))
    assert same(weights(bound), expected["params"])
    assert not same(weights(ours[0]), weights(ours[1]))


@pytest.mark.parametrize("backend", NAMES)
def test_other_laws_without_a_seed(backend):
    """They come of convpolicy's stream 'numpy', started from NumPy's global state; never the same twice."""
    np.random.seed(7)
    seed = int(np.random.randint(0, 2**32, dtype=np.uint32))
    np.random.seed(7)
    layers = [built({}, backend, weight_init="normal", seed=None) for _ in range(2)]
    expected = cp.policy(backend).evolve(weight_init="normal", stream="numpy").initial(4, 8, 3, seed=seed)["weight"]
    assert np.array_equal(weights(layers[0])["kernel"], expected.transpose(2, 1, 0))
    assert not np.array_equal(weights(layers[0])["kernel"], weights(layers[1])["kernel"])


@pytest.mark.parametrize("backend", NAMES)
def test_a_seed_gives_the_policys_bits_and_leaves_numpys_state(backend):
    """Every policy's own initial weights, through a layer of each kind; those of the two policies are Flax's own."""
    np.random.seed(1)
    after = np.random.rand()
    for policy in cp.policies():
        for options in (LAYERS["native"], LAYERS["reflect, pair"]):
            np.random.seed(1)
            layer = built(options, backend, policy=policy, seed=5, bias=True)
            assert np.random.rand() == after
            expected = cp.policy(policy).evolve(bias=True).initial(4, 8, 3, seed=5)
            found = cp.backends()[backend].parameters(layer)
            assert all(found[name].tobytes() == values.tobytes() for name, values in expected.items()), policy
    assert same(weights(built({}, seed=5)), weights(nnx.Conv(4, 8, (3,), rngs=nnx.Rngs(5))))
    own = linen.Conv(8, (3,)).init(jax.random.key(5), random(1, 9, 4))
    assert same(weights(built({}, "flax-linen", seed=5)), own["params"])


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
@pytest.mark.parametrize("backend", NAMES)
def test_dtypes(backend, dtype):
    """Weights are drawn in the dtype, by the stream that has it, or by Flax itself; a stream that was not measured in it refuses."""
    with jax.experimental.enable_x64():
        policy = cp.policy("torch").evolve(stream="numpy")
        layer = built({}, backend, policy=policy, dtype=dtype)
        values = policy.initial(4, 8, 3, seed=3, dtype=dtype)
        found = cp.backends()[backend].parameters(layer)
        assert {value.dtype for value in weights(layer).values()} == {jnp.dtype(dtype)}
        assert np.array_equal(found["weight"], values["weight"])
        unseeded = built({}, backend, dtype=dtype, seed=None)
        assert {value.dtype for value in weights(unseeded).values()} == {jnp.dtype(dtype)}
        assert unseeded(random(1, 9, 4).astype(dtype)).dtype == jnp.dtype(dtype)
        with pytest.raises(cp.ConvPolicyError, match=f"stream '{backend}' draws float32, got dtype '{dtype}'"):
            built({}, backend, dtype=dtype)


# -- transformations ------------------------------------------------------------------------------------------------------


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


class Block(linen.Module):
    """A Conv among other modules."""

    conv: linen.Module

    @linen.compact
    def __call__(self, data):
        return linen.Dense(3)(self.conv(data))


@pytest.mark.parametrize("padding_mode", ["zeros", "symmetric"])
def test_linen_within_a_module(padding_mode):
    """The module is initialised with its parent, by the policy's own law, also when that is compiled; its variables go into the tree."""
    layer = built({"padding": 2, "padding_mode": padding_mode}, "flax-linen", policy="torch", seed=0)
    block, data = Block(layer.module), random(2, 9, 4)
    variables = [jax.jit(block.init)(jax.random.key(key), data) for key in (0, 1, 0)]
    drawn = [found["params"]["conv"] for found in variables]
    bound = 1 / np.sqrt(12)  # torch's ±√(1/fan_in)
    for found in drawn:
        for value in found.values():
            assert 0.5 * bound < np.abs(value).max() <= bound
    assert same(drawn[0], drawn[2])
    assert same(drawn[0], block.init(jax.random.key(0), data)["params"]["conv"])
    assert not np.array_equal(drawn[0]["kernel"], drawn[1]["kernel"])
    variables[0]["params"]["conv"] = layer.variables["params"]
    expected = linen.Dense(3).apply({"params": variables[0]["params"]["Dense_0"]}, layer(data))
    assert np.array_equal(block.apply(variables[0], data), expected)


def test_linen_initialised_on_other_channels():
    """A law is for the sizes that the layer was built with."""
    layer = built({}, "flax-linen", policy="torch")
    with pytest.raises(
        cp.InvalidValueError, match=r"kernel must have shape \(3, 4, 8\) for a layer of 4 channels, got \(3, 6, 8\)"
    ):
        layer.module.init(jax.random.key(0), random(1, 9, 6))


def test_linen_with_flaxs_law_within_a_module():
    """The policy flax-linen within a parent starts with the bits of an own ``linen.Conv`` at that place."""
    data = random(2, 9, 4)
    ours = Block(built({}, "flax-linen").module).init(jax.random.key(2), data)
    own = Block(linen.Conv(8, (3,))).init(jax.random.key(2), data)
    assert same(ours["params"]["conv"], own["params"]["conv"])


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
    "weight of another shape": (lambda name: shaped(name, np.ones((8, 4, 2), "float32")), r"kernel must have shape \(3, 4, 8\), as the layer's, got \(2, 4, 8\)"),
}  # fmt: skip


@pytest.mark.parametrize("backend", NAMES)
@pytest.mark.parametrize("fault", REFUSED)
def test_refusals(backend, fault):
    """Each is a ConvPolicyError, says what came, and stands before any work."""
    call, says = REFUSED[fault]
    with pytest.raises(cp.ConvPolicyError, match=says):
        call(backend)
