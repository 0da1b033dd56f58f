"""Whole models of flax.nnx: every 1-D convolution ported, with its new names; flax.linen models are refused."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen, nnx
from helpers import targets
from helpers.whole_models import check, check_names
from safetensors.numpy import load_file, save_file

import convpolicy as cp
from convpolicy.layers.whole_models import convolutions


class Block(nnx.Module):
    """Convolutions in containers, one of them in two places, and some of other dimensions."""

    def __init__(self, rngs):
        self.first = nnx.Conv(4, 6, 3, feature_group_count=2, rngs=rngs)
        self.list = nnx.List([nnx.Conv(6, 4, (5,), strides=2, use_bias=False, rngs=rngs), nnx.Conv(4, 4, (3, 3), rngs=rngs)])
        self.dict = nnx.Dict(a=nnx.Conv(4, 4, 3, padding="CAUSAL", rngs=rngs))
        self.second = self.first
        self.transposed = nnx.ConvTranspose(4, 4, (3,), rngs=rngs)
        self.dense = nnx.Linear(4, 2, rngs=rngs)


class Model(nnx.Module):
    """A sequence and a block."""

    def __init__(self):
        rngs = nnx.Rngs(0)
        self.block = Block(rngs)
        self.stem = nnx.Sequential(nnx.Conv(3, 4, 4, rngs=rngs), nnx.relu)


PATHS = ("block.dict.a", "block.first", "block.list.0", "block.transposed", "stem.layers.0")


def modules(own):
    return {
        "block.dict.a": own.block.dict["a"],
        "block.first": own.block.first,
        "block.list.0": own.block.list[0],
        "block.transposed": own.block.transposed,
        "stem.layers.0": own.stem.layers[0],
    }


def state(own):
    return {".".join(map(str, path)): np.asarray(value.value) for path, value in nnx.to_flat_state(nnx.state(own, nnx.Param))}


@pytest.mark.parametrize("to", ["numpy", pytest.param("torch", marks=pytest.mark.needs("torch"))])
def test_layer_by_layer(to):
    """Outputs within rounding, weights to the bit, names and axes right; what is no convolution is reported."""
    own = Model()
    own.block.first.bias.value = jnp.linspace(-1, 1, 6)
    ported = cp.port_model(own, to=to)
    check(modules(own), "flax", ported, to)
    assert [row.path for row in ported.report] == list(PATHS)
    assert not ported.refused
    check_names(ported, state(own), to)
    assert ported.parameters["block.first.kernel"].name == "block.first.weight"
    assert ported.parameters["block.first.kernel"].axes == "WIO -> OIW"


def test_every_path():
    """A module in two places is listed once, where the model's state has it, and twice when asked."""
    assert [row.path for row, _ in convolutions(Model())] == list(PATHS)
    every = [row.path for row, _ in convolutions(Model(), every_path=True)]
    assert every == ["block.dict.a", "block.first", "block.list.0", "block.second", "block.transposed", "stem.layers.0"]


def test_a_layer_alone_and_plain_containers():
    """A convolution is a model of one layer; lists and dicts that hold modules are searched too."""
    layer = nnx.Conv(3, 4, 3, rngs=nnx.Rngs(0))
    assert list(cp.port_model(layer, to="numpy").layers) == [""]

    class Plain(nnx.Module):
        def __init__(self):
            self.parts = nnx.data([{"a": layer}])

    assert list(cp.port_model(Plain(), to="numpy").layers) == ["parts.0.a"]


@pytest.mark.parametrize("separator", [".", "/"])
def test_convert(separator, tmp_path):
    """A file of the model's state, each module once in it, and the model: the weights are found and moved."""
    own = Model()
    save_file({name.replace(".", separator): value for name, value in state(own).items()}, tmp_path / "a.safetensors")
    done = cp.convert(tmp_path / "a.safetensors", tmp_path / "b.safetensors", source="flax", target="torch", layers=own)
    assert sorted(row.old.replace("/", ".") for row in done.weights) == sorted(f"{path}.kernel" for path in PATHS)
    found = load_file(tmp_path / "b.safetensors")
    for path, module in modules(own).items():
        name = f"{path.replace('.', separator)}{separator}weight"
        kernel = np.asarray(module.kernel.value)  # that of the transposed layer is (kernel, in, out), in reverse
        assert np.array_equal(found[name], kernel[::-1].transpose(1, 2, 0) if "transposed" in path else kernel.transpose(2, 1, 0))
    assert found[f"block{separator}list{separator}1{separator}kernel"].shape == (3, 3, 4, 4)


def test_linen_models_are_refused():
    """In one sentence that says where the weights are; a layer that convpolicy built is a model of one layer."""

    class Net(linen.Module):
        @linen.compact
        def __call__(self, data):
            return linen.Conv(4, (3,))(data)

    net = Net()
    for model in (net, net.bind(net.init(jax.random.key(0), jnp.zeros((1, 9, 3))))):
        with pytest.raises(
            cp.InvalidTypeError, match=r"model .*Net is a flax.linen module, whose weights are in its variables; port each"
        ):
            cp.port_model(model, to="numpy")
    layer = cp.Conv1d(3, 4, 3, policy="flax-linen", backend="flax-linen", seed=0)
    assert list(cp.port_model(layer, to="numpy").layers) == [""]


class Padded(nnx.Module):
    """A model that pads before its first convolution and cuts after its second; a list, and a slice of channels."""

    def __init__(self):
        self.one, self.two = (nnx.Conv(4, 4, (3,), padding="VALID", rngs=nnx.Rngs(0)) for _ in range(2))
        self.many = nnx.List([nnx.Conv(4, 4, (3,), rngs=nnx.Rngs(0)) for _ in range(2)])

    def __call__(self, data):
        data = jax.numpy.pad(data, ((0, 0), (2, 0), (0, 0)))
        hidden = self.two(self.one(data))[:, :-2, :]
        for layer in self.many:
            hidden = nnx.relu(layer(hidden))
        return hidden[:, :, :2]


def test_parents_that_pad():
    """What a call pads and cuts along the length is in the report; a slice of channels is not."""
    states = {row.path: row.state for row in cp.port_model(Padded(), to="numpy").report}
    assert states["one"] == "ported, but its parent pads: Padded (jax.numpy.pad in __call__)"
    assert states["two"] == "ported, but its parent pads: Padded ([:, :-2, :] in __call__)"
    assert "[:, :, :2]" not in " ".join(states.values())


class Single(nnx.Module):
    """A convolution."""

    def __init__(self):
        self.conv = nnx.Conv(3, 4, 5, rngs=nnx.Rngs(0))


def test_targets_that_do_not_fit(tmp_path):
    """They are refused in one sentence, and the model is as before, after Ctrl-C too."""
    targets.check_port_model(Model(), state)
    targets.check_convert(Single(), state, "flax", tmp_path)
