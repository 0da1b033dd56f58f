"""One seed, the same weights on NumPy, PyTorch and MindSpore; without a seed, the framework's own random state."""

from __future__ import annotations

import mindspore
import numpy as np
import pytest
import torch

import convpolicy as cp

pytestmark = pytest.mark.needs("torch", "mindspore")

SIZES = (4, 6, 3)
DEPTHWISE = (4, 8, 3)
BACKENDS = ("numpy", "torch", "mindspore")
RANDOM = sorted(set(cp.initializers()) - {"zeros", "ones", "constant", "dirac", "array"})
FRESH = {"numpy": np.random.seed, "torch": torch.manual_seed, "mindspore": mindspore.set_seed}


def values(layer):
    """Return weight, axes OIW, and bias of any backend's layer as arrays."""
    arrays = []
    for name in ("weight", "bias"):
        parameter = getattr(layer, name)
        if isinstance(parameter, torch.Tensor):
            parameter = parameter.detach()
            parameter = parameter.float().numpy() if parameter.dtype == torch.bfloat16 else parameter.numpy()
        elif isinstance(parameter, mindspore.Tensor):
            parameter = parameter.asnumpy()
        arrays.append(np.asarray(parameter))
    weight, bias = arrays
    return weight.reshape(weight.shape[0], weight.shape[1], -1), bias


def build(backend, **changes):
    """Build a layer with a bias and two groups, or as many as channels where the policy or the initializer is depthwise."""
    depthwise = any("depthwise" in str(changes.get(word)) for word in ("policy", "weight_init"))
    sizes, groups = (DEPTHWISE, 4) if depthwise else (SIZES, 2)
    return cp.Conv1d(*sizes, groups=groups, bias=True, backend=backend, **changes)


def same_bits(a, b):
    """Return whether weights and biases agree in dtype, shape and every bit."""
    return [(x.dtype, x.shape, x.tobytes()) for x in a] == [(x.dtype, x.shape, x.tobytes()) for x in b]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("init", RANDOM)
def test_a_seed_gives_the_same_weights_everywhere(init, dtype):
    """Every random initializer: the three backends hold the bits that ``Policy.initial`` gives for the seed."""
    depthwise = "depthwise" in init
    bias_init = "uniform" if init == "orthogonal" or depthwise else init
    changes = {"weight_init": init, "bias_init": bias_init, "dtype": dtype, "seed": 11}
    policy = cp.policy("torch").evolve(weight_init=init, bias_init=bias_init)
    sizes, groups = (DEPTHWISE, 4) if depthwise else (SIZES, 2)
    drawn = policy.initial(*sizes, groups=groups, seed=11, dtype=dtype)
    expected = drawn["weight"], drawn["bias"]
    assert all(np.unique(part).size > 1 for part in expected)
    for backend in BACKENDS:
        assert same_bits(values(build(backend, **changes)), expected), backend
    assert not same_bits(values(build("numpy", **changes | {"seed": 12})), expected)


@pytest.mark.parametrize("policy", [name for name in cp.policies() if cp.policy(name).framework])
def test_every_policy_starts_the_same_everywhere(policy):
    """Every built-in policy, padded natively or not, holds the same first weights on each backend."""
    for padding in (None, "causal"):
        numpy, torch_, mindspore_ = (values(build(b, policy=policy, padding=padding, seed=3)) for b in BACKENDS)
        assert same_bits(numpy, torch_)
        assert same_bits(numpy, mindspore_)


def to_bfloat16(values):
    """Keep the upper half of each float32's bits, ties to even."""
    bits = values.view(np.uint32)
    tie_to_even = (bits >> np.uint32(16)) & np.uint32(1)
    return ((bits + np.uint32(0x7FFF) + tie_to_even) & np.uint32(0xFFFF0000)).view(np.float32)


def to_float16(values):
    """Round to float16."""
    return values.astype("float16")


NARROW = [("torch", "float16", to_float16), ("mindspore", "float16", to_float16), ("torch", "bfloat16", to_bfloat16)]


@pytest.mark.parametrize(("backend", "dtype", "rounded"), NARROW)
def test_narrow_dtypes_hold_the_rounded_float32_draw(backend, dtype, rounded):
    """Float16 and bfloat16 weights are the float32 ones of that seed, rounded to nearest once."""
    drawn = cp.policy("torch").initial(*SIZES, groups=2, seed=4)
    for got, exact in zip(values(build(backend, dtype=dtype, seed=4)), (drawn["weight"], drawn["bias"])):
        assert got.tolist() == rounded(exact).tolist()


@pytest.mark.parametrize("init", ["uniform", "normal", "he_truncated_normal"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_without_a_seed_the_framework_decides(backend, init):
    """The framework's own seed repeats the weights of an unseeded layer, and the next layer differs."""
    FRESH[backend](21)
    first, second = (values(build(backend, weight_init=init)) for _ in range(2))
    FRESH[backend](21)
    assert same_bits(values(build(backend, weight_init=init)), first)
    assert not (first[0] == second[0]).any()


@pytest.mark.parametrize("init", ["uniform", "normal", "orthogonal"])
@pytest.mark.parametrize("padding", [0, "causal"])
def test_a_seed_leaves_every_random_state_alone(padding, init):
    """Building with a seed takes no number from NumPy's, hence MindSpore's, nor from torch's global state."""
    FRESH["numpy"](5)
    FRESH["torch"](5)
    untouched = np.random.get_state()[1].tolist(), np.random.get_state()[2], torch.get_rng_state().tolist()
    for backend in BACKENDS:
        build(backend, padding=padding, weight_init=init, seed=1)
    assert (np.random.get_state()[1].tolist(), np.random.get_state()[2], torch.get_rng_state().tolist()) == untouched
