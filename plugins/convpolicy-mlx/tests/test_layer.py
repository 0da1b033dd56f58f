"""The layer keeps the conventions of a ``mlx.nn.Module``: parameters, files, random state, compile, copies; and refuses in one sentence."""

from __future__ import annotations

import copy
import itertools
import pickle

import mlx.core as mx
import numpy as np
import pytest
from mlx import nn, optimizers

import convpolicy as cp
from convpolicy_mlx.arrays import as_numpy

BACKEND = cp.backends()["mlx"]
Choice = cp.Choice
LAYERS = {
    "native": {},
    "both sides": {"padding": 2},
    "cut": {"padding": Choice("crop", left=1, right=1)},
    "pair": {"padding": (3, 1)},
    "causal": {"padding": "causal", "dilation": 2},
    "cut left": {"padding": Choice("crop", left=1, right=0)},
    "reflect": {"padding": 2, "padding_mode": "reflect"},
    "constant": {"padding": "causal", "padding_mode": Choice("constant", value=1.5), "dilation": 2},
    "circular": {"padding": 2, "padding_mode": "circular"},
    "by length": {"padding": "same_upper", "stride": 2},
    "zero-extended": {"padding": (20, 1), "padding_mode": Choice("reflect", overflow="zero-extend")},
}
NATIVE = ("native", "both sides", "cut")
SHAPELESS = ("native", "both sides", "pair", "causal")  # zeros whose pads do not depend on the length


def built(options, **more):
    """A layer of 4 → 8 channels, kernel 3."""
    return cp.Conv1d(4, 8, 3, **({"policy": "mlx", "backend": "mlx"} | options | more))


def random(*shape):
    """Random data, the same at every call."""
    return mx.array(np.random.default_rng(0).standard_normal(shape).astype("float32"))


def same(first, second):
    """True when every bit is equal."""
    return first.shape == second.shape and as_numpy(first).tobytes() == as_numpy(second).tobytes()


@pytest.mark.parametrize("dtype", BACKEND.dtypes)
@pytest.mark.parametrize("name", LAYERS)
def test_without_a_seed_mlxs_own_key_decides(name, dtype):
    """After mx.random.seed the bits are those of mlx.nn.Conv1d, and the key behind is the same."""
    for seed, (groups, bias) in enumerate(itertools.product((1, 2, 4), (True, False))):
        mx.random.seed(seed)
        own = nn.Conv1d(4, 8, 3, groups=groups, bias=bias)
        own.set_dtype(getattr(mx, dtype))
        after = mx.random.uniform(shape=(4,))
        mx.random.seed(seed)
        ours = built(LAYERS[name], groups=groups, bias=bias, dtype=dtype)
        assert same(mx.random.uniform(shape=(4,)), after)
        assert (type(ours) is nn.Conv1d) == (name in NATIVE)
        assert list(ours.parameters()) == list(own.parameters()) == ["weight", "bias"][: 1 + bias]
        for key, value in own.parameters().items():
            assert ours[key].dtype == value.dtype
            assert same(ours[key], value), key


def test_other_distributions_draw_from_mlxs_own_key():
    """Without a seed, a distribution that is not the default is drawn as MLX's initializer draws it, layer after layer."""
    mx.random.seed(3)
    expected = [nn.init.normal(0.0, 0.3)(mx.zeros((8, 3, 4))) for _layer in range(2)]
    after = mx.random.uniform(shape=(4,))
    mx.random.seed(3)
    layers = [built({}, weight_init=Choice("normal", std=0.3)) for _layer in range(2)]
    assert same(mx.random.uniform(shape=(4,)), after)
    assert all(same(layer.weight, weight) for layer, weight in zip(layers, expected))


@pytest.mark.parametrize("name", LAYERS)
def test_a_seed_gives_the_policys_bits_and_leaves_mlxs_key(name):
    """Every policy's own initial weights; those of mlx after seed(s) are those of mlx.nn.Conv1d."""
    for policy in ("mlx", "mlx@0.32.3", "torch", "flax", "mindspore"):
        mx.random.seed(2**63 + 5)
        before = mx.random.state[0].tolist()
        layer = built(LAYERS[name], policy=policy, seed=5, bias=True, groups=2)
        assert mx.random.state[0].tolist() == before
        expected = cp.policy(policy).evolve(bias=True).initial(4, 8, 3, 2, seed=5)
        assert all(np.array_equal(values, expected[key]) for key, values in BACKEND.parameters(layer).items())


@pytest.mark.parametrize("name", LAYERS)
def test_copies_pickles_and_files(name, tmp_path):
    """A copy, a pickle and a file of weights compute the same; a file of mlx.nn.Conv1d loads."""
    layer, data = built(LAYERS[name]), random(2, 9, 4)
    for other in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert same(other(data), layer(data))
    own = nn.Conv1d(4, 8, 3)
    for file in ("weights.safetensors", "weights.npz"):
        own.save_weights(str(tmp_path / file))
        layer.load_weights(str(tmp_path / file))
        assert same(layer.weight, own.weight)
    assert ("policy='mlx'" in repr(layer)) == (name not in NATIVE)


@pytest.mark.parametrize("name", LAYERS)
def test_compile(name):
    """Alone and within a model, for every length that comes."""
    layer = built(LAYERS[name])
    model = nn.Sequential(nn.Conv1d(4, 4, 3, padding=1), nn.ReLU(), layer, nn.Conv1d(8, 2, 1))
    for module in (layer, model):
        compiled = mx.compile(module)
        for length in (9, 14, 20):
            data = random(2, length, 4)
            assert compiled(data).shape == module(data).shape
            assert mx.allclose(compiled(data), module(data), rtol=1e-5, atol=1e-6)  # fused, so that a sum may differ


@pytest.mark.parametrize("name", LAYERS)
def test_compile_without_shapes(name):
    """With shapeless=True the pads of the first length are never used for another: the same output, or MLX refuses."""
    layer = built(LAYERS[name])
    mx.eval(layer.parameters())  # else the draw of its weights is compiled too, which MLX refuses
    shapeless = mx.compile(layer, shapeless=True)
    if name in SHAPELESS:
        for length in (9, 14, 20):
            assert same(shapeless(random(2, length, 4)), layer(random(2, length, 4)))
    else:
        with pytest.raises(ValueError, match=r"(Pad|Slice) cannot infer output shapes"):
            mx.eval([shapeless(random(2, length, 4)) for length in (9, 14)])


@pytest.mark.parametrize("name", LAYERS)
def test_training(name):
    """One step of an optimizer changes weight and bias; a frozen layer keeps them."""
    layer, data = built(LAYERS[name], seed=0), random(2, 9, 4)
    before = BACKEND.parameters(layer)
    loss, gradients = nn.value_and_grad(layer, lambda x: (layer(x) ** 2).sum())(data)
    optimizers.SGD(0.1).update(layer, gradients)
    assert loss.item() > 0
    assert all((BACKEND.parameters(layer)[key] != value).any() for key, value in before.items())
    layer.freeze()
    assert not layer.trainable_parameters()


def test_a_layer_of_another_backend_is_ported():
    """`convpolicy.port` writes its weights, to the bit."""
    other = cp.Conv1d(4, 8, 3, policy="torch", seed=0)
    values = BACKEND.parameters(cp.port(other, to="mlx"))
    assert all(np.array_equal(values[name], getattr(other, name)) for name in ("weight", "bias"))


def test_an_empty_batch():
    """No items give no outputs."""
    for options in LAYERS.values():
        assert built(options)(mx.zeros((0, 9, 4))).shape[0] == 0


REFUSED = {
    "dtype": (lambda: built({}, dtype="float64"), "dtype must be one of float32, float16, bfloat16 for backend 'mlx', got 'float64'"),
    "device": (lambda: built({}, device="gpu"), "device must be None for backend 'mlx', got 'gpu'; MLX's arrays have no device"),
    "channels": (lambda: built(LAYERS["by length"])(random(1, 4, 9)), r"input must have shape \(batch, length, 4\), got \(1, 4, 9\); put"),
    "axes": (lambda: built(LAYERS["by length"])(random(9, 4)), r"input must have shape \(batch, length, 4\), got \(9, 4\); put"),
    "too wide": (lambda: built(LAYERS["circular"])(random(1, 1, 4)), "padding mode 'circular' reaches at most 1 for length 1"),
    "short": (lambda: built(LAYERS["cut left"])(random(1, 3, 4)), "input of length 3 is too short"),
    "data": (lambda: BACKEND.run(built({}), np.zeros((1, 4, 9))), "data must be of dtype float32 or float16, got float64; convert it"),
}  # fmt: skip


@pytest.mark.parametrize("fault", REFUSED)
def test_refusals(fault):
    """Each is a ConvPolicyError and says what came."""
    call, says = REFUSED[fault]
    with pytest.raises(cp.InvalidValueError, match=says):
        call()
