"""Padding by sums, per side and per channel, and learned constants: parameters, training, compile, files, and other backends."""

from __future__ import annotations

import copy
import pickle

import mlx.core as mx
import numpy as np
import pytest
from mlx import nn, optimizers

import convpolicy as cp
from convpolicy import reference
from convpolicy_mlx.arrays import as_numpy
from convpolicy_mlx.layer import PaddedConv1d

BACKEND = cp.backends()["mlx"]
Choice = cp.Choice
NAME = "padding_value"
PER_CHANNEL = np.array([0.5, -1.0, 2.0, 3.0])
SUMS = {
    "odd": "odd",
    "extrapolate": "extrapolate",
    "ramp": Choice("linear_ramp", value=PER_CHANNEL, right=-1.0),
    "per channel": Choice("constant", value=PER_CHANNEL),
    "two constants": Choice("constant", left=1.5, right=-2.0),
    "per side": ("odd", Choice("constant", value=PER_CHANNEL)),
}
LEARNED = {
    "a number": Choice("constant", value=0.5, learned=True),
    "one per channel": Choice("constant", value=PER_CHANNEL, learned=True),
    "one side": ("reflect", Choice("constant", value=PER_CHANNEL, learned=True)),
}
each = pytest.mark.parametrize("mode", [*SUMS.values(), *LEARNED.values()], ids=[*SUMS, *LEARNED])
each_learned = pytest.mark.parametrize("mode", LEARNED.values(), ids=LEARNED)


def built(mode, **more):
    """A layer of 4 → 8 channels, kernel 3, that pads 3 on the left and 2 on the right."""
    return cp.Conv1d(4, 8, 3, padding_mode=mode, **({"policy": "mlx", "backend": "mlx", "padding": (3, 2), "seed": 0} | more))


def random(*shape):
    """Random data, the same at every call."""
    return mx.array(np.random.default_rng(0).standard_normal(shape).astype("float32"))


def same(first, second):
    """True when every bit is equal."""
    return first.shape == second.shape and as_numpy(first).tobytes() == as_numpy(second).tobytes()


@each_learned
@pytest.mark.parametrize("dtype", BACKEND.dtypes)
def test_the_parameter(mode, dtype):
    """It is in parameters() by its name, of the layer's dtype, trainable, and starts from the policy's value."""
    layer = built(mode, dtype=dtype)
    assert set(layer.parameters()) == set(layer.trainable_parameters()) == {"weight", "bias", NAME}
    assert layer.padding_value.dtype == layer.weight.dtype
    assert np.array_equal(as_numpy(layer.padding_value), layer._request.learned())
    layer.freeze(keys=NAME)
    assert set(layer.trainable_parameters()) == {"weight", "bias"}


@pytest.mark.parametrize("mode", [*SUMS.values(), "zeros", "reflect", Choice("constant", value=1.5)], ids=str)
def test_no_other_layer_has_it(mode):
    """Nor does MLX's own, which a learned constant without pads is not."""
    assert set(built(mode).parameters()) == {"weight", "bias"}
    without = built(LEARNED["a number"], padding=0)
    assert isinstance(without, PaddedConv1d)
    assert NAME in without.parameters()
    assert same(without(random(1, 9, 4)), built("zeros", padding=0)(random(1, 9, 4)))


@each_learned
@pytest.mark.parametrize("compiled", [False, True], ids=["plain", "compiled"])
def test_training_finds_the_constant(mode, compiled):
    """A layer whose constant alone is trained moves towards that of another one, also where the step is compiled."""
    target, layer = built(mode), built(mode)
    hidden = mx.full(target.padding_value.shape, 1.25)
    target.padding_value = hidden
    layer.freeze(keys=["weight", "bias"])
    data = random(8, 9, 4)
    wanted = target(data)
    optimizer = optimizers.Adam(0.2)

    def loss_of(x):
        return ((layer(x) - wanted) ** 2).mean()

    call = nn.value_and_grad(layer, loss_of)

    def step():
        loss, gradients = call(data)
        optimizer.update(layer, gradients)
        return loss

    state = [layer.state, optimizer.state]
    step = mx.compile(step, inputs=state, outputs=state) if compiled else step
    losses = []
    for _ in range(20):
        losses.append(step().item())
        mx.eval(state)
    assert losses[-1] < losses[0] / 4
    assert (np.abs(as_numpy(layer.padding_value) - 1.25) < np.abs(layer._request.learned() - 1.25)).all()


@each
def test_compile(mode):
    """For every length that comes; without shapes MLX refuses, so that no length gets the sums of another."""
    layer = built(mode)
    compiled = mx.compile(layer)
    for length in (9, 14, 20):
        assert mx.allclose(compiled(random(2, length, 4)), layer(random(2, length, 4)), rtol=1e-5, atol=1e-6)
    mx.eval(layer.parameters())
    shapeless = mx.compile(layer, shapeless=True)
    with pytest.raises(ValueError, match=r"(Pad|Slice) cannot infer output shapes"):
        mx.eval([shapeless(random(2, length, 4)) for length in (9, 14)])


@each_learned
def test_copies_pickles_and_files(mode, tmp_path):
    """A copy, a pickle and a file keep the trained value; a file with it and a layer without it are told apart by MLX."""
    layer = built(mode)
    layer.padding_value = layer.padding_value * 3 + 1
    data = random(2, 9, 4)
    for other in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert same(other.padding_value, layer.padding_value)
        assert same(other(data), layer(data))
    own = nn.Conv1d(4, 8, 3)
    for file in ("weights.safetensors", "weights.npz"):
        layer.save_weights(str(tmp_path / file))
        other = built(mode, seed=1)
        other.load_weights(str(tmp_path / file))
        assert same(other.padding_value, layer.padding_value)
        assert same(other(data), layer(data))
        with pytest.raises(ValueError, match=NAME):
            own.load_weights(str(tmp_path / file))
        own.save_weights(str(tmp_path / f"own-{file}"))
        with pytest.raises(ValueError, match=NAME):
            other.load_weights(str(tmp_path / f"own-{file}"))


@each_learned
@pytest.mark.parametrize("dtype", BACKEND.dtypes)
@pytest.mark.parametrize("suffix", ["npz", "safetensors"])
def test_converted_files_keep_it(mode, dtype, suffix, tmp_path):
    """To torch's axes and back: name, shape and bits, and no sentence calls it a tensor of another layer."""
    model = nn.Sequential(built(mode, dtype=dtype), nn.ReLU())
    own, there, back = (tmp_path / name for name in (f"a.{suffix}", "b.safetensors", f"c.{suffix}"))
    model.save_weights(str(own))
    done = cp.convert(own, there, source="mlx", target="torch", layers=model)
    assert f"layers.0.{NAME}" in [row.name for row in done.tensors]
    assert not any("other layers" in note for note in done.notes)
    cp.convert(there, back, source="torch", target="mlx", layers=model)
    expected, found = mx.load(str(own)), mx.load(str(back))
    assert expected.keys() == found.keys()
    for name, value in expected.items():
        assert found[name].dtype == value.dtype
        assert same(found[name], value), name


@each_learned
def test_capture_keeps_the_trained_value(mode):
    """It is built again with the value that it has now; a backend that does not learn refuses it in one sentence."""
    layer = built(mode)
    layer.padding_value = layer.padding_value * 3 + 1
    again = cp.port(layer, to="mlx")
    assert same(again.padding_value, layer.padding_value)
    assert same(again(random(2, 9, 4)), layer(random(2, 9, 4)))
    with pytest.raises(cp.InvalidValueError, match=r"must not be learned on backend 'numpy'.*pick one of: .*mlx.*, or leave"):
        cp.port(layer, to="numpy")
    layer.padding_value = layer.padding_value.astype(mx.float16)
    with pytest.raises(cp.InvalidValueError, match="are float16, float32; convert"):
        cp.capture(layer)
    layer.padding_value = mx.zeros((2, 2))
    with pytest.raises(cp.InvalidValueError, match=r"its padding_value no longer has shape \((4,)?\); replace it"):
        cp.capture(layer)


@pytest.mark.parametrize("mode", SUMS.values(), ids=SUMS)
@pytest.mark.parametrize("padding", [(3, 2), "same_lower", Choice("crop", left=-2, right=1)], ids=str)
def test_sums_run_on_numpy(mode, padding):
    """Captured and built there, a layer gives the same within the roundings of both, and back the same bits."""
    layer = built(mode, padding=padding, stride=2, policy="torch")
    data = np.random.default_rng(1).standard_normal((2, 4, 10)).astype("float32")
    other = cp.port(layer, to="numpy")
    expected, output = BACKEND.run(layer, data), other(data)
    wide = 8 * (np.abs(data).max() + np.abs(PER_CHANNEL).max()) * np.abs(other.weight).sum((1, 2)).max()
    assert expected.shape == output.shape
    assert np.abs(expected - output).max() <= 2 * reference.tolerance("float32", 13 + reference.SUM_ROUNDINGS, wide)
    assert BACKEND.run(cp.port(other, to="mlx"), data).tobytes() == expected.tobytes()


def test_an_empty_batch():
    """No items give no outputs."""
    for mode in (*SUMS.values(), *LEARNED.values()):
        assert built(mode)(mx.zeros((0, 9, 4))).shape == (0, 12, 8)
