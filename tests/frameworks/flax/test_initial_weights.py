"""What the layers start with: with a seed, without, in every dtype, and as a linen module within another."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen, nnx
from helpers.flax_layers import LAYERS, NAMES, built, random, same, weights

import convpolicy as cp


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
    expected = cp.policy(backend).evolve(weight_init="normal", random_stream="numpy").initial(4, 8, 3, seed=seed)["weight"]
    assert np.array_equal(weights(layers[0])["kernel"], expected.transpose(2, 1, 0))
    assert not np.array_equal(weights(layers[0])["kernel"], weights(layers[1])["kernel"])


@pytest.mark.parametrize("backend", NAMES)
def test_a_seed_gives_the_policys_bits_and_leaves_numpys_state(backend):
    """Every policy's own initial weights, through a layer of each kind; those of the two policies are Flax's own."""
    np.random.seed(1)
    after = np.random.rand()
    for policy in (name for name in cp.policies() if "depthwise" not in name):  # another plugin's, for groups alone
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
        policy = cp.policy("torch").evolve(random_stream="numpy")
        layer = built({}, backend, policy=policy, dtype=dtype)
        values = policy.initial(4, 8, 3, seed=3, dtype=dtype)
        found = cp.backends()[backend].parameters(layer)
        assert {value.dtype for value in weights(layer).values()} == {jnp.dtype(dtype)}
        assert np.array_equal(found["weight"], values["weight"])
        unseeded = built({}, backend, dtype=dtype, seed=None)
        assert {value.dtype for value in weights(unseeded).values()} == {jnp.dtype(dtype)}
        assert unseeded(random(1, 9, 4).astype(dtype)).dtype == jnp.dtype(dtype)
        if dtype == "float64":
            with pytest.raises(
                cp.ConvPolicyError, match=f"stream '{backend}' draws float32, float16, bfloat16, got dtype '{dtype}'"
            ):
                built({}, backend, dtype=dtype)
            return
        seeded, own = built({}, backend, dtype=dtype), cp.policy(backend).initial(4, 8, 3, seed=3, dtype=dtype)
        assert np.array_equal(cp.backends()[backend].parameters(seeded)["weight"], own["weight"])


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
