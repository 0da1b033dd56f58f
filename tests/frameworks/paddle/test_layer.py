"""The layer keeps the conventions of a ``paddle.nn.Layer``: state dict, random state, to_static, copies; and refuses in one sentence."""

from __future__ import annotations

import copy
import itertools
import pickle
import subprocess
import sys

import attrs
import numpy as np
import paddle
import pytest
from paddle import nn

import convpolicy as cp

Choice = cp.Choice
CHANNELS = np.array([0.5, -1.0, 2.0, 3.0])
LAYERS = {
    "native": {},
    "pair": {"padding": (3, 1)},
    "SAME": {"padding": "SAME", "stride": 2},
    "reflect": {"padding": 2, "padding_mode": "reflect"},
    "reflect, pair": {"padding": (2, 1), "padding_mode": "reflect"},
    "constant": {"padding": "causal", "padding_mode": Choice("constant", value=1.5), "dilation": 2},
    "circular": {"padding": 2, "padding_mode": "circular"},
    "by length": {"padding": "same_lower", "stride": 2},
    "symmetric": {"padding": 2, "padding_mode": "symmetric"},
    "cut": {"padding": Choice("crop", left=1, right=1)},
    "zero-extended": {"padding": (20, 1), "padding_mode": Choice("reflect", overflow="zero-extend")},
    "per side": {"padding": (2, 1), "padding_mode": ("reflect", Choice("constant", value=2.5))},
    "per channel": {"padding": (2, 1), "padding_mode": Choice("constant", value=CHANNELS, left=-2.0)},
    "odd": {"padding": (2, 1), "padding_mode": "odd"},
    "ramp by length": {"padding": "same_lower", "stride": 2, "padding_mode": Choice("linear_ramp", value=CHANNELS)},
    "sum, cut": {"padding": Choice("crop", left=-1, right=2), "padding_mode": "extrapolate"},
}
SUMS = ("per channel", "odd", "ramp by length", "sum, cut")
ONE_LENGTH = ("by length", "symmetric", "cut", "zero-extended", "per side", *SUMS)
NATIVE = ("native", "pair", "SAME", "reflect")


def built(options, **more):
    """A layer of 4 → 8 channels, kernel 3."""
    return cp.Conv1d(4, 8, 3, **({"policy": "paddle", "backend": "paddle"} | options | more))


def random(*shape):
    """Random data, the same at every call."""
    return paddle.to_tensor(np.random.default_rng(0).standard_normal(shape).astype("float32"))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", LAYERS)
def test_without_a_seed_paddles_own_state_decides(name, dtype):
    """After paddle.seed the bits are those of paddle.nn.Conv1D, and the random state behind is the same."""
    for seed, (groups, bias) in enumerate(itertools.product((1, 2, 4), (True, False))):
        paddle.seed(seed)
        own = nn.Conv1D(4, 8, 3, groups=groups, bias_attr=None if bias else False, dtype=dtype)
        after = paddle.rand([4]).numpy()
        paddle.seed(seed)
        ours = built(LAYERS[name], groups=groups, bias=bias, dtype=dtype)
        assert np.array_equal(paddle.rand([4]).numpy(), after)
        assert (type(ours) is nn.Conv1D) == (name in NATIVE)
        assert list(ours.state_dict()) == list(own.state_dict())
        for key, value in own.state_dict().items():
            assert ours.state_dict()[key].dtype == value.dtype
            assert np.array_equal(ours.state_dict()[key].numpy(), value.numpy()), key


@pytest.mark.parametrize("name", LAYERS)
def test_a_seed_gives_the_policys_bits_and_leaves_paddles_state(name):
    """Every policy's own initial weights; Paddle's with paddle.seed(s) are those of paddle.nn.Conv1D."""
    for policy in ("paddle", "torch", "flax", "mindspore"):
        paddle.seed(1)
        layer = built(LAYERS[name], policy=policy, seed=5, bias=True, padding=0)
        after = paddle.rand([4]).numpy()
        paddle.seed(1)
        assert np.array_equal(paddle.rand([4]).numpy(), after)
        expected = cp.policy(policy).evolve(bias=True).initial(4, 8, 3, seed=5)
        assert all(np.array_equal(values, expected[key]) for key, values in cp.backends()["paddle"].parameters(layer).items())
    paddle.seed(5)
    assert np.array_equal(nn.Conv1D(4, 8, 3).weight.numpy(), built({}, seed=5).weight.numpy())


@pytest.mark.parametrize(
    ("initializer", "own"),
    [
        (Choice("uniform"), nn.initializer.Uniform(-np.sqrt(1 / 12), np.sqrt(1 / 12))),
        (Choice("normal", std=0.3), nn.initializer.Normal(0.0, 0.3)),
        (Choice("truncated_normal", std=0.3), nn.initializer.TruncatedNormal(0.0, 0.3, -0.6, 0.6)),
    ],
    ids=str,
)
def test_other_laws_draw_from_paddles_own_state(initializer, own):
    """Without a seed, a law that is not the default's is drawn by Paddle's initializer of that name."""
    paddle.seed(3)
    expected = nn.Conv1D(4, 8, 3, weight_attr=paddle.ParamAttr(initializer=own)).weight.numpy()
    paddle.seed(3)
    assert np.array_equal(built({}, weight_init=initializer).weight.numpy(), expected)


def test_paddles_default_dtype_decides():
    """As in Paddle's own layer, without dtype= and with dtype=None."""
    paddle.set_default_dtype("float64")
    try:
        for more in ({}, {"dtype": None}, {"seed": 0}):
            assert str(cp.Conv1d(2, 3, 3, backend="paddle", **more).weight.dtype).endswith("float64")
        assert str(cp.Conv1d(2, 3, 3, backend="paddle", dtype="float32").weight.dtype).endswith("float32")
    finally:
        paddle.set_default_dtype("float32")


def test_a_truncated_law_is_cut_at_two_standard_deviations():
    """Paddle's bounds are values, the policy's are standard deviations: nothing beyond 2 σ, and enough between 1.9 σ and there."""
    paddle.seed(0)
    weight = cp.Conv1d(
        64, 64, 9, policy="paddle", backend="paddle", weight_init=Choice("truncated_normal", std=0.3)
    ).weight.numpy()
    assert np.abs(weight).max() <= np.float32(0.6)
    assert 300 < (np.abs(weight) > 0.57).sum() < 600  # 1.25 % of 36 864, give or take 7 standard deviations


@pytest.mark.parametrize("name", LAYERS)
def test_state_dicts_copies_and_pickles(name):
    """A native state dict loads; a deep copy and a pickle compute the same; weights are trainable."""
    own, layer, data = nn.Conv1D(4, 8, 3), built(LAYERS[name]), random(2, 4, 9)
    layer.set_state_dict(own.state_dict())
    assert np.array_equal(layer.weight.numpy(), own.weight.numpy())
    for other in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert np.array_equal(other(data).numpy(), layer(data).numpy())
    assert [p.stop_gradient for p in layer.parameters()] == [False, False]
    assert ("policy='paddle'" in repr(layer)) == (name not in NATIVE)


@pytest.mark.grid(every=3)
@pytest.mark.filterwarnings("ignore:Tensor do not have 'place' interface:UserWarning")  # paddle's own, while it traces
@pytest.mark.parametrize("name", LAYERS)
def test_to_static(name):
    """As paddle.jit.to_static does it by default: alone and within a model, for every length that comes."""
    layer = built(LAYERS[name])
    model = nn.Sequential(nn.Conv1D(4, 4, 3, padding=1), nn.ReLU(), layer, nn.Conv1D(8, 2, 1))
    for module in (layer, model):
        static = paddle.jit.to_static(copy.deepcopy(module))
        for length in (9, 14, 20):
            data = random(2, 4, length)
            assert np.array_equal(static(data).numpy(), module(data).numpy()), length


@pytest.mark.grid(every=3)
@pytest.mark.filterwarnings("ignore:Tensor do not have 'place' interface:UserWarning")
@pytest.mark.parametrize("name", LAYERS)
def test_to_static_as_one_graph(name):
    """With full_graph=True: for any length where the pads do not depend on it and Paddle has the mode, else for one."""
    layer = built(LAYERS[name])
    static = paddle.jit.to_static(
        copy.deepcopy(layer), input_spec=[paddle.static.InputSpec([None, 4, 9 if name in ONE_LENGTH else None], "float32")], full_graph=True
    )  # fmt: skip
    for length in (9,) if name in ONE_LENGTH else (9, 14, 20):
        data = random(2, 4, length)
        assert np.array_equal(static(data).numpy(), layer(data).numpy())


DYNAMIC = """
import paddle
import convpolicy as cp
layer = cp.Conv1d(4, 8, 3, 2, "same_lower", policy="paddle", backend="paddle")
static = paddle.jit.to_static(layer, input_spec=[paddle.static.InputSpec([None, 4, None], "float32")], full_graph=True)
try:
    static(paddle.ones([2, 4, 9]))
except cp.InvalidValueError as error:
    print(error)
"""


def test_to_static_without_the_length_it_needs():
    """Refused in a sentence; in a process of its own, as a translation that raised may break those after it."""
    result = subprocess.run([sys.executable, "-c", DYNAMIC], capture_output=True, text=True, check=True)
    assert (
        "length must be a number to translate padding same_lower with mode zeros, got None; set a length in the InputSpec"
        in result.stdout
    )


def test_saved_for_inference(tmp_path):
    """paddle.jit.save of a layer that pads by the plan, loaded again, computes the same."""
    layer, data = built(LAYERS["reflect, pair"]), random(2, 4, 9)
    paddle.jit.save(layer, str(tmp_path / "layer"), input_spec=[paddle.static.InputSpec([None, 4, None], "float32")])
    assert np.array_equal(paddle.jit.load(str(tmp_path / "layer"))(data).numpy(), layer(data).numpy())


@pytest.mark.parametrize("name", ["per side", *SUMS])
@pytest.mark.parametrize("full_graph", [False, True])
@pytest.mark.filterwarnings("ignore:Tensor do not have 'place' interface:UserWarning")
def test_gradients_of_sums_in_a_graph(name, full_graph):
    """Through paddle.jit.to_static they are those of a call."""
    layer, found = built(LAYERS[name]), []
    for call in (layer, paddle.jit.to_static(copy.deepcopy(layer), full_graph=full_graph)):
        data = random(2, 4, 9)
        data.stop_gradient = False
        (call(data) ** 2).sum().backward()
        found.append(data.grad.numpy())
    np.testing.assert_allclose(*found, rtol=1e-4, atol=1e-5)


def test_a_learned_constant_is_refused():
    """A layer of Paddle has no parameter for it: by Conv1d and by a capture that is built here, with the backends that have one."""
    mode = Choice("constant", value=CHANNELS, learned=True)
    says = r"padding_mode must not be learned on backend 'paddle', whose layers have no parameter for it, got .*; pick one of: .*keras"
    with pytest.raises(cp.InvalidValueError, match=says):
        built({"padding": 2, "padding_mode": mode})
    taken = cp.capture(built({}))
    with pytest.raises(cp.InvalidValueError, match=says):
        attrs.evolve(taken, policy=taken.policy.evolve(padding=2, padding_mode=mode)).build("paddle")


def test_a_layer_of_another_backend_is_ported():
    """`convpolicy.port` writes its weights, to the bit, and the layer stays trainable."""
    other = cp.Conv1d(4, 8, 3, policy="torch", seed=0)
    layer = cp.port(other, to="paddle")
    found = cp.backends()["paddle"].parameters(layer)
    assert all(np.array_equal(found[name], getattr(other, name)) for name in ("weight", "bias"))
    assert [parameter.stop_gradient for parameter in layer.parameters()] == [False, False]


def test_an_empty_batch_and_the_device():
    """No items give no outputs; a device is passed on."""
    for options in LAYERS.values():
        assert built(options)(paddle.zeros([0, 4, 9])).shape[0] == 0
    assert str(built({}, device="cpu", seed=0).weight.place) == "Place(cpu)"


REFUSED = {
    "dtype": (lambda: built({}, dtype="float16"), ValueError, "dtype must be one of float32, float64 for backend 'paddle', got 'float16'"),
    "channels": (lambda: built(LAYERS["by length"])(random(1, 9, 4)), ValueError, r"input must have shape \(batch, 4, length\), got \(1, 9, 4\); put"),
    "axes": (lambda: built(LAYERS["by length"])(random(4, 9)), ValueError, r"input must have shape \(batch, 4, length\), got \(4, 9\); put"),
    "too wide": (lambda: built(LAYERS["circular"])(random(1, 4, 1)), ValueError, "padding mode 'circular' reaches at most 1 for length 1"),
    "short": (lambda: built({"padding": (1, 0), "padding_mode": "replicate"})(random(1, 4, 1)), ValueError, "input of length 1 is too short"),
}  # fmt: skip


@pytest.mark.parametrize("fault", REFUSED)
def test_refusals(fault):
    """Each is a ConvPolicyError, says what came, and stands before any work."""
    call, kind, says = REFUSED[fault]
    with pytest.raises(kind, match=says) as raised:
        call()
    assert isinstance(raised.value, cp.ConvPolicyError)
