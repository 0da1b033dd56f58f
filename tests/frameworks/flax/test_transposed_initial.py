"""What transposed layers start with: Flax's own bits after a seed, in every dtype, and those of other policies."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen, nnx
from helpers.flax_layers import same, weights
from helpers.flax_transposed import APIS, KERNELS, built, data_of, policy_of, stored

import convpolicy as cp

SHAPES = [(1, 1, 1), (3, 4, 5), (8, 12, 4), (7, 40, 4), (33, 16, 9), (1, 8, 2), (20, 7, 1)]  # in, out, kernel
SEEDS = (0, -7, 2**40 + 17)
each_kernel = pytest.mark.parametrize("transpose_kernel", KERNELS)
each_backend = pytest.mark.parametrize("backend", APIS)
each_dtype = pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])


def drawn_by_flax(backend, shape, seed, dtype, transpose_kernel):
    """Kernel and bias that Flax's own layer starts with."""
    in_features, features, kernel = shape
    arguments = {"kernel_size": (kernel,), "transpose_kernel": transpose_kernel, "param_dtype": jnp.dtype(dtype)}
    if backend == "flax-linen":
        module = linen.ConvTranspose(features, **arguments)
        return module.init(jax.random.key(seed), jnp.zeros((1, kernel, in_features), dtype))["params"]
    return weights(nnx.ConvTranspose(in_features, features, **arguments, rngs=nnx.Rngs(seed)))


def in_flaxs_axes(policy, drawn):
    """Kernel and bias that a policy draws, as Flax stores them."""
    kernel = stored(drawn["weight"], policy.endswith(KERNELS[True]))
    return {"kernel": kernel, "bias": drawn["bias"]}


def equal(theirs, ours):
    """Whether the numbers are the same to the bit; those of bfloat16 come as float32."""
    return all(np.array_equal(np.asarray(value, "float32"), np.asarray(ours[name], "float32")) for name, value in theirs.items())


@pytest.mark.grid(every=5)
@each_kernel
@each_dtype
@each_backend
def test_bits_after_a_seed(backend, dtype, transpose_kernel):
    """Every bit of seven kernels after three seeds, drawn by NumPy; another fan, another direction or another seed is noticed."""
    policy = policy_of(backend, transpose_kernel)
    half = cp.policy(policy).half()
    swapped = half.evolve(layout="IOW" if not transpose_kernel else "WIO-flipped")
    for shape in SHAPES:
        for seed in SEEDS:
            theirs = drawn_by_flax(backend, shape, seed, dtype, transpose_kernel)
            assert equal(theirs, in_flaxs_axes(policy, half.initial(*shape, seed=seed, dtype=dtype))), (shape, seed)
        if shape[2] > 1:
            drawn = in_flaxs_axes(policy, half.initial(*shape, seed=seed, dtype=dtype))
            assert not equal(theirs, drawn | {"kernel": drawn["kernel"][::-1]})
            assert not equal(theirs, in_flaxs_axes(policy, half.initial(*shape, seed=seed + 1, dtype=dtype)))
        if shape[0] != shape[1]:
            assert not equal(theirs, in_flaxs_axes(policy, swapped.initial(*shape, seed=seed, dtype=dtype)))


@pytest.mark.parametrize(("transpose_kernel", "fan_in"), [(False, 64 * 5), (True, 256 * 5)])
def test_the_fan_in_is_that_of_the_stored_axes(transpose_kernel, fan_in):
    """Flax counts the last axis but one of the stored kernel: the input channels, with ``transpose_kernel`` the output channels."""
    half = cp.policy(policy_of("flax", transpose_kernel)).half()
    ours = half.initial(64, 256, 5, seed=0)["weight"].std()
    theirs = np.asarray(drawn_by_flax("flax", (64, 256, 5), 1, "float32", transpose_kernel)["kernel"]).std()
    for deviation in (ours, theirs):
        assert deviation == pytest.approx(fan_in**-0.5, rel=0.02)


def test_layers_in_a_row():
    """One ``nnx.Rngs`` for a Conv and two transposed layers: a bias of zeros takes a number of the counter, no bias takes none."""
    rngs, stream = nnx.Rngs(11), cp.random_stream("flax", 11)
    conv = nnx.Conv(3, 4, (3,), rngs=rngs)
    plain = nnx.ConvTranspose(4, 6, (5,), use_bias=False, rngs=rngs)
    transposed = nnx.ConvTranspose(6, 2, (2,), transpose_kernel=True, rngs=rngs)
    first = cp.policy("flax").initial(3, 4, 3, stream=stream)
    assert np.array_equal(conv.kernel.value, first["weight"].transpose(2, 1, 0))
    second = cp.policy("flax").half().evolve(bias=False).initial(4, 6, 5, stream=stream)
    assert np.array_equal(plain.kernel.value, stored(second["weight"], False))
    third = cp.policy("flax-transpose-kernel").initial(6, 2, 2, stream=stream, transposed=True)
    assert np.array_equal(transposed.kernel.value, stored(third["weight"], True))


class Net(linen.Module):
    """Transposed layers below a parent: their keys depend on their paths."""

    @linen.compact
    def __call__(self, data):
        data = linen.ConvTranspose(6, (5,))(data)
        return linen.ConvTranspose(7, (2,), transpose_kernel=True)(data)


@pytest.mark.parametrize(
    ("number", "sizes", "transpose_kernel"), [(0, (4, 6, 5), False), (1, (6, 7, 2), True)], ids=["first", "second"]
)
def test_linen_modules_in_a_parent(number, sizes, transpose_kernel):
    """Flax calls them ConvTranspose_0 and ConvTranspose_1; that path gives every bit, and no path gives other numbers."""
    params = Net().init(jax.random.key(11), data_of(1, 9, 4))["params"][f"ConvTranspose_{number}"]
    half = cp.policy(policy_of("flax-linen", transpose_kernel)).half()
    stream = cp.random_stream("flax-linen", 11)
    drawn = half.initial(*sizes, stream=stream.at(f"ConvTranspose_{number}"))
    assert np.array_equal(params["kernel"], stored(drawn["weight"], transpose_kernel))
    named = half.evolve(random_stream=cp.Choice("flax-linen", path=f"ConvTranspose_{number}"))
    assert np.array_equal(named.initial(*sizes, seed=11)["weight"], drawn["weight"])
    assert not np.array_equal(half.initial(*sizes, seed=11)["weight"], drawn["weight"])


# -- layers ---------------------------------------------------------------------------------------------------------------


@each_kernel
@each_backend
def test_a_seeded_layer_is_flaxs_own(backend, transpose_kernel):
    """Kernel and bias of a layer after a seed have the bits, the names and the shapes of Flax's own; NumPy's state is not used."""
    np.random.seed(1)
    after = np.random.rand()
    np.random.seed(1)
    layer = built(backend, policy=policy_of(backend, transpose_kernel), seed=5)
    assert np.random.rand() == after
    assert same(weights(layer), drawn_by_flax(backend, (4, 6, 3), 5, "float32", transpose_kernel))


@each_kernel
@each_backend
def test_without_a_seed_numpys_state_decides(backend, transpose_kernel):
    """Flax's own draw after a seed from ``np.random``; two layers in a row differ. With groups, it is the policy's draw."""
    np.random.seed(7)
    seeds = [int(np.random.randint(0, 2**32, dtype=np.uint32)) for _ in range(2)]
    np.random.seed(7)
    layers = [
        built(backend, policy=policy_of(backend, transpose_kernel), seed=None, padding=padding) for padding in (None, (1, 1))
    ]
    for seed, layer in zip(seeds, layers):
        assert same(weights(layer), drawn_by_flax(backend, (4, 6, 3), seed, "float32", transpose_kernel))
    np.random.seed(7)
    grouped = [built(backend, policy=policy_of(backend, transpose_kernel), seed=None, groups=2) for _ in range(2)]
    kernels = [np.asarray(weights(layer)["kernel"]) for layer in grouped]
    assert kernels[0].shape == ((3, 3, 4) if transpose_kernel else (3, 4, 3))
    assert not np.array_equal(*kernels)
    assert 0 < np.abs(kernels[0]).max() < 2.3 / np.sqrt(6)  # LeCun: fan_in is at least 2 · 3, and 2σ / 0.88 the largest value


@each_backend
def test_other_policies(backend):
    """Each policy's own initial weights after a seed, on both backends, whatever its layout; also without a seed."""
    halves = {name: policy.transposed for name in cp.policies() if (policy := cp.policy(name)).transposed is not None}
    assert {"torch", *map("flax".__add__, KERNELS.values())} <= set(halves)
    for name, half in halves.items():
        for padding in (None, cp.Choice("causal")):
            layer = built(backend, policy=name, padding=padding, seed=5, bias=True)
            found = cp.backends()[backend].parameters(layer)
            expected = half.evolve(bias=True).initial(4, 6, 3, seed=5)
            assert all(found[role].tobytes() == values.tobytes() for role, values in expected.items()), name
        unseeded = cp.backends()[backend].parameters(built(backend, policy=name, seed=None))["weight"]
        assert unseeded.shape == (4, 6, 3)
        assert np.ptp(unseeded) > 0


@each_kernel
def test_linen_within_a_module(transpose_kernel):
    """A module of another policy draws by this policy inside its parent, also when compiled, and refuses other channels."""
    policy = cp.policy("torch").half().evolve(layout="WOI" if transpose_kernel else "IOW")
    layer = cp.ConvTranspose1d(4, 6, 3, groups=2, policy=policy, backend="flax-linen", seed=0)

    class Block(linen.Module):
        conv: linen.Module

        def __call__(self, data):
            return self.conv(data)

    block, data = Block(layer.module), data_of(1, 9, 4)
    drawn = [jax.jit(block.init)(jax.random.key(key), data)["params"]["conv"] for key in (0, 1, 0)]
    assert {name: value.shape for name, value in drawn[0].items()} == {
        "kernel": (3, 3, 4) if transpose_kernel else (3, 4, 3), "bias": (6,)
    }  # fmt: skip
    assert same(drawn[0], drawn[2])
    assert not np.array_equal(drawn[0]["kernel"], drawn[1]["kernel"])
    bound = 1 / np.sqrt(9)  # torch's ±√(1/fan_in), where fan_in is 3 output channels of a group · 3
    assert 0.5 * bound < np.abs(drawn[0]["kernel"]).max() <= bound
    with pytest.raises(cp.ConvPolicyError, match=r"input must have shape \(\.\.\., length, 4\)"):
        block.init(jax.random.key(0), data_of(1, 9, 6))


@each_backend
def test_float64_needs_another_stream(backend):
    """Flax's streams draw no float64; the stream ``numpy`` does, in JAX's 64-bit mode."""
    with jax.experimental.enable_x64():
        with pytest.raises(cp.ConvPolicyError, match=f"stream '{backend}' draws float32, float16, bfloat16, got dtype 'float64'"):
            built(backend, dtype="float64")
        half = cp.policy(backend).half().evolve(random_stream="numpy")
        layer = built(backend, policy=half, dtype="float64")
        expected = half.initial(4, 6, 3, seed=3, dtype="float64")["weight"]
        assert np.array_equal(cp.backends()[backend].parameters(layer)["weight"], expected)
    with pytest.raises(cp.ConvPolicyError, match="dtype must not be float64 while JAX's 64-bit mode is off"):
        built(backend, policy=half, dtype="float64")
