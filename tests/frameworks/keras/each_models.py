"""Whole Keras models: every 1-D convolution ported, with its new names, and files converted or read elsewhere."""

from __future__ import annotations

import subprocess
import sys

import keras
import numpy as np
import pytest
from helpers import targets
from helpers.keras_layers import LAYERS, built, computed
from helpers.whole_models import check, check_names
from safetensors.numpy import load_file

import convpolicy as cp
from convpolicy.frameworks.keras.plugin import RUNS_ON
from convpolicy.layers.whole_models import convolutions

BACKEND = next(name for name, runs in RUNS_ON.items() if runs == keras.config.backend())


class Block(keras.layers.Layer):
    """Convolutions as attributes and in a list, one of them in two places."""

    def __init__(self, **words):
        super().__init__(**words)
        self.conv1 = keras.layers.Conv1D(6, 3, padding="same", groups=2, name="conv1")
        self.many = [keras.layers.Conv1D(4, 1, use_bias=False, name="many0"), keras.layers.DepthwiseConv1D(3, name="many1")]
        self.again = self.conv1

    def call(self, data):
        """Convolve three times."""
        data = self.conv1(data)
        for layer in self.many:
            data = layer(data)
        return data


def model():
    """A functional model with a Sequential one and a subclassed layer in it."""
    keras.utils.set_random_seed(0)
    data = keras.Input((20, 3))
    hidden = keras.layers.Conv1D(4, 4, padding="causal", name="stem", bias_initializer="normal")(data)
    inner = keras.Sequential(
        [keras.Input((20, 4)), keras.layers.Conv1D(4, 2, name="a"), keras.layers.Dense(4),
         keras.layers.Conv1D(4, 2, activation="relu", name="b")], name="inner",
    )  # fmt: skip
    return keras.Model(data, keras.layers.Conv1DTranspose(2, 3, name="up")(Block(name="block")(inner(hidden))))


PATHS = ("stem", "inner/a", "inner/b", "block/conv1", "block/many0", "block/many1", "up")
NOTED = ("inner/b",)  # an activation


def linear(layer):
    """A layer with the weights of another, and no activation."""
    other = keras.layers.Conv1D(layer.filters, layer.kernel_size)
    other.build((None, None, 4))
    other.set_weights(layer.get_weights())
    return other


def modules(own):
    block = own.get_layer("block")
    return {
        "stem": own.get_layer("stem"),
        "inner/a": own.get_layer("inner").get_layer("a"),
        "inner/b": linear(own.get_layer("inner").get_layer("b")),
        "block/conv1": block.conv1,
        "block/many0": block.many[0],
        "block/many1": block.many[1],
        "up": own.get_layer("up"),
    }


def array(variable):
    return np.asarray(keras.ops.convert_to_numpy(variable))


@pytest.mark.parametrize("to", ["numpy", pytest.param("torch", marks=pytest.mark.needs("torch"))])
def test_layer_by_layer(to):
    """Outputs within rounding, weights to the bit, names and axes right; what is not ported is reported."""
    own = model()
    ported = cp.port_model(own, to=to)
    check(modules(own), BACKEND, ported, to)
    assert [row.path for row in ported.report] == list(PATHS)
    assert not ported.refused
    assert [row.path for row in ported.noted] == list(NOTED)
    assert ported.noted[0].state == "ported, but Conv1D also applies the activation 'relu'"
    names = {f"{path}/{weight.name}": array(weight) for path, layer in modules(own).items() for weight in layer.weights}
    check_names(ported, names, to)
    assert ported.parameters["block/many1/kernel"].axes == "WIM -> OIW"
    assert ported.parameters["inner/a/kernel"].name == "inner/a/weight"
    assert ported.parameters["up/kernel"].axes == "WOI -> IOW"


class Causal(keras.Model):
    """A model that pads in its call."""

    def __init__(self):
        super().__init__()
        self.one, self.two = (keras.layers.Conv1D(4, 3, name=name) for name in ("one", "two"))

    def call(self, data):
        return self.two(self.one(keras.ops.pad(data, ((0, 0), (2, 0), (0, 0)))))[:, :-1]


def padded():
    """A functional model with layers that pad and cut, some of them not next to a convolution."""
    data = keras.Input((20, 4))
    hidden = keras.layers.ReLU()(keras.layers.ZeroPadding1D((2, 0))(data))
    hidden = keras.layers.Conv1D(4, 3, name="one")(hidden)
    hidden = keras.layers.Softmax()(keras.layers.Conv1D(4, 3, padding="same", name="two")(hidden))
    return keras.Model(data, keras.layers.Cropping1D(1)(keras.layers.Conv1D(4, 1, name="three")(hidden)))


def test_parents_that_pad():
    """Layers beside a convolution are named, along the graph of a functional model, and what a subclassed model's call pads and cuts."""
    own = Causal()
    own(np.zeros((1, 9, 4), "float32"))
    sequential = keras.Sequential(
        [
            keras.Input((20, 4)),
            keras.layers.ZeroPadding1D(2),
            keras.layers.Conv1D(4, 3, name="a"),
            keras.layers.Conv1D(4, 3, name="b"),
        ]
    )
    states = {row.path: row.state for part in (padded(), sequential) for row in cp.port_model(part, to="numpy").report[::-1]}
    assert states == {
        "one": "ported, but its parent pads: ZeroPadding1D before it",
        "two": "ported",
        "three": "ported, but its parent pads: Cropping1D after it",
        "a": "ported, but its parent pads: Sequential (ZeroPadding1D before it)",
        "b": "ported",
    }
    assert [row.state for row in cp.port_model(own, to="numpy").report] == [
        "ported, but its parent pads: Causal (keras.ops.pad in call)", "ported, but its parent pads: Causal ([:, :-1] in call)",
    ]  # fmt: skip


def test_every_path():
    """A layer that a model calls twice has one path."""
    assert [row.path for row, _ in convolutions(model(), every_path=True)] == list(PATHS)


def test_two_layers_with_one_name():
    """In a model that does not refuse it, it is refused here: their layers could not be told apart."""

    class Twice(keras.layers.Layer):
        def __init__(self):
            super().__init__()
            self.one, self.two = (keras.layers.Conv1D(2, 3, name="same") for _ in range(2))

    with pytest.raises(cp.InvalidValueError, match=r"the model has two layers with the path 'same'; give them different names"):
        cp.port_model(Twice(), to="numpy")


@pytest.mark.parametrize("suffix", [".weights.h5", ".keras"])
def test_convert(suffix, tmp_path):
    """Its files call layers by class and number: each is found there, also with an activation, and the transposed one."""
    own = model()
    path = tmp_path / f"a{suffix}"
    if suffix == ".keras":
        own.save(path)
    else:
        own.save_weights(path)
    done = cp.convert(path, tmp_path / "b.safetensors", source="keras", target="torch", layers=own)
    layers = modules(own)
    names = {
        "stem": "layers.conv1d", "inner/a": "layers.sequential.layers.conv1d", "inner/b": "layers.sequential.layers.conv1d_1",
        "block/conv1": "layers.block.again", "block/many0": "layers.block.many.conv1d",
        "block/many1": "layers.block.many.depthwise_conv1d", "up": "layers.conv1d_transpose",
    }  # fmt: skip
    assert sorted(row.name for row in done.weights) == sorted(f"{name}.weight" for name in names.values())
    found = load_file(tmp_path / "b.safetensors")
    for path_of, name in names.items():
        kernel = array(layers[path_of].kernel)
        expected = (
            kernel.transpose(1, 2, 0)[:, :, None].reshape(4, 1, 3) if path_of == "block/many1" else kernel.transpose(2, 1, 0)
        )  # of the transposed one (in, out, kernel)
        assert np.array_equal(found[f"{name}.weight"], expected), path_of
    cp.convert(tmp_path / "b.safetensors", tmp_path / "c.weights.h5", source="torch", target="keras")
    other = model()
    for weight in other.weights:
        weight.assign(np.zeros(weight.shape, "float32"))
    other.load_weights(tmp_path / "c.weights.h5")
    assert all(np.array_equal(array(one), array(two)) for one, two in zip(own.weights, other.weights))
    ported = cp.port_model(own, to="numpy")
    again = cp.convert(path, tmp_path / "d.safetensors", source="keras", target="torch", layers=ported)
    assert len(again.weights) == len(PATHS)


def state(own):
    """Weights, and the mode of each layer."""
    return [np.array(value) for value in own.get_weights()], [layer.trainable for layer in own._flatten_layers()]


def test_targets_that_do_not_fit(tmp_path):
    """They are refused in one sentence, and the model is as before, after Ctrl-C too."""
    own = model()
    own.get_layer("stem").trainable = False
    targets.check_port_model(own, state)
    single = keras.Sequential([keras.Input((20, 3)), keras.layers.Conv1D(4, 5, name="conv")])
    targets.check_convert(single, state, BACKEND, tmp_path)


READS = """
import sys, numpy as np, keras
import convpolicy.frameworks.keras.layer
model = keras.saving.load_model(sys.argv[1])
print(np.asarray(keras.ops.convert_to_numpy(model(np.ones((1, 9, 4), "float32")))).tobytes().hex())
"""


def test_a_file_read_by_another_process(tmp_path):
    """After ``import convpolicy.frameworks.keras.layer``, which registers the layers, and nothing else."""
    model = keras.Sequential([keras.Input((None, 4)), built(LAYERS["reflect"][0], policy="torch", seed=3)])
    model.save(tmp_path / "model.keras")
    words = [sys.executable, "-c", READS, str(tmp_path / "model.keras")]
    found = subprocess.run(words, capture_output=True, text=True, check=True).stdout.split()[-1]
    assert bytes.fromhex(found) == computed(model, np.ones((1, 9, 4), "float32")).tobytes()
