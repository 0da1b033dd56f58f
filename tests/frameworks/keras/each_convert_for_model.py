"""Checkpoints of torch models for Keras models: they load whole, both models give the same outputs, and the way back gives the same file."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import torch
from helpers import torch_nets
from keras import layers, ops
from safetensors.torch import save_file

import convpolicy as cp
from convpolicy.frameworks.keras import tensor_names
from convpolicy.frameworks.keras.plugin import RUNS_ON

BACKEND = next(name for name, runs in RUNS_ON.items() if runs == keras.config.backend())
FILE = "b.weights.h5"


def convs():
    """The twin of `torch_nets.Convs`, with Keras's own names, so that shapes and order match the layers."""
    return keras.Sequential(
        [
            keras.Input((4, 12)),
            layers.Permute((2, 1)),
            layers.Conv1D(6, 3, groups=2),
            layers.BatchNormalization(epsilon=1e-5),
            layers.Activation(lambda x: keras.activations.gelu(x, approximate=False)),
            layers.Conv1D(6, 3, use_bias=False),
            layers.BatchNormalization(epsilon=1e-5),
            layers.GlobalAveragePooling1D(),
            layers.Dense(5),
        ]
    )


class Block(layers.Layer):
    """The twin of `torch_nets.Block`."""

    def __init__(self, width, **words):
        super().__init__(**words)
        self.ln1, self.ln2 = layers.LayerNormalization(epsilon=1e-5), layers.LayerNormalization(epsilon=1e-5)
        self.attn = layers.MultiHeadAttention(2, width // 2)
        self.fc1, self.fc2 = layers.Dense(2 * width, activation="relu"), layers.Dense(width)

    def call(self, x):
        y = self.ln1(x)
        x = x + self.attn(y, y)
        return x + self.fc2(self.fc1(self.ln2(x)))


class Encoder(keras.Model):
    """The twin of `torch_nets.Encoder`."""

    def __init__(self):
        super().__init__()
        self.embed, self.place = layers.Embedding(11, 8), layers.Embedding(7, 8)
        self.blocks = [Block(8) for _ in range(3)]
        self.ln, self.head = layers.LayerNormalization(epsilon=1e-5), layers.Dense(11)

    def call(self, x):
        x = self.embed(x) + self.place(ops.arange(x.shape[1]))
        for block in self.blocks:
            x = block(x)
        return self.head(self.ln(x))


def recurrent():
    """The twin of `torch_nets.Recurrent`."""
    lstm = layers.Bidirectional(layers.LSTM(5, return_sequences=True))
    return keras.Sequential([keras.Input((7, 4)), lstm, layers.GRU(6, return_sequences=True), layers.Dense(3)])


def images():
    """The twin of `torch_nets.Images`."""
    return keras.Sequential(
        [
            keras.Input((3, 9, 9)),
            layers.Permute((2, 3, 1)),
            layers.Conv2D(6, 3),
            layers.BatchNormalization(epsilon=1e-5),
            layers.ReLU(),
            layers.DepthwiseConv2D(3),
            layers.GroupNormalization(2, epsilon=1e-5),
            layers.GlobalAveragePooling2D(),
            layers.Dense(6),
        ]
    )


def decoder():
    """The twin of `torch_nets.Decoder`."""
    ups = [layers.Conv1DTranspose(4, 3, 2, activation="relu"), layers.Conv1DTranspose(5, 4, 2, activation="relu")]
    return keras.Sequential([keras.Input((4, 6)), layers.Permute((2, 1)), *ups, layers.Conv1D(2, 3), layers.Permute((2, 1))])


TWINS = {"convs": convs, "encoder": Encoder, "recurrent": recurrent, "images": images, "decoder": decoder}


def build(name):
    """Return a model and its twin, whose numbers are random, and an input."""
    model, x, twin = torch_nets.net(name), torch_nets.example(name), TWINS[name]()
    twin(x)
    random = np.random.default_rng(1)
    for value in twin.weights:
        value.assign(random.random(value.shape).astype("f4") + 2)
    return model, x, twin


def run(twin, x):
    """Return the output of a Keras model."""
    return keras.ops.convert_to_numpy(twin(x, training=False))


def load(twin, path):
    """Load a file as a user does."""
    twin.load_weights(path)


def values(twin):
    """Return the numbers of a model."""
    return twin.get_weights()


@pytest.mark.parametrize("name", TWINS)
def test_there_and_back(name, tmp_path, monkeypatch):
    """The file loads whole, the outputs agree, the twin was as it was, and the way back gives the bytes of the first file."""
    monkeypatch.chdir(tmp_path)
    model, x, twin = build(name)
    if name == "convs":  # the path of no module agrees
        with torch.no_grad():
            model.bn2.num_batches_tracked.fill_(7)
    if keras.config.backend() == "torch":
        x = torch.as_tensor(x)
    torch_nets.check_there_and_back(model, x, twin, run, load, values, target=BACKEND, middle=FILE)


WRONG = {  # a change of a table -> the model whose outputs must show it
    "gates of the LSTM": (
        "recurrent",
        "lstm",
        lambda row: (row[0], row[1].replace("f", "x").replace("g", "f").replace("x", "g"), row[2]),
    ),
    "gates of the GRU": ("recurrent", "gru", lambda row: (row[0], " ".join(_swapped(row[1].split())), row[2])),
    "Linear not transposed": ("images", "dense", lambda row: (row[0], row[1], "O I" if row[2] == "I O" else row[2])),
    "ConvTranspose as Conv": ("decoder", "transposed", lambda row: (row[0], row[1], "K I O" if row[2] == "K O I" else row[2])),
    "gamma and beta": ("encoder", "layer norm", lambda row: (row[0], {"scale": "shift", "shift": "scale"}[row[1]], row[2])),
    "mean and variance": (
        "convs",
        "batch norm",
        lambda row: (row[0], {"mean": "variance", "variance": "mean"}.get(row[1], row[1]), row[2]),
    ),
}


def _swapped(pieces):
    return [
        piece.translate(str.maketrans("rz", "zr"))
        if "." not in piece
        else piece[:-1] + {"r": "z", "z": "r"}.get(piece[-1], piece[-1])
        for piece in pieces
    ]


@pytest.mark.parametrize("fault", WRONG)
def test_a_wrong_table_shows(fault, tmp_path, monkeypatch):
    """The comparison of outputs fails where a table is wrong and the shapes still fit."""
    monkeypatch.chdir(tmp_path)
    name, kind, change = WRONG[fault]
    title, rows = tensor_names.LAYERS[kind]
    changed = tuple(map(change, rows))
    assert changed != rows
    monkeypatch.setitem(tensor_names.LAYERS, kind, (title, changed))
    model, x, twin = build(name)
    if keras.config.backend() == "torch":
        x = torch.as_tensor(x)
    if torch_nets.converted(model, twin, load, target=BACKEND, middle=FILE):
        assert torch_nets.differ(run(twin, x), torch_nets.output(model, x))


def test_names_in_other_files(tmp_path, monkeypatch):
    """A file that is not Keras's own has the names of the variables."""
    monkeypatch.chdir(tmp_path)
    model, _x, twin = build("images")
    save_file(model.state_dict(), "a.safetensors")
    report = cp.convert("a.safetensors", "b.npz", source="torch", target=BACKEND, model=twin)
    with np.load("b.npz") as file:
        assert np.array_equal(
            file["layers.depthwise_conv2d.kernel"][..., 0], model.depthwise.weight.detach().numpy()[:, 0].transpose(1, 2, 0)
        )
    assert report.loading.complete
    cp.convert("b.npz", "c.safetensors", source=BACKEND, target="torch", model=model)
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "c.safetensors").read_bytes()


def test_a_model_that_is_not_built(tmp_path, monkeypatch):
    """It has no tensors yet, which the error says."""
    monkeypatch.chdir(tmp_path)
    save_file(torch_nets.net("encoder").state_dict(), "a.safetensors")
    with pytest.raises(cp.InvalidValueError, match="model must be built"):
        cp.convert("a.safetensors", FILE, source="torch", target=BACKEND, model=Encoder())


def test_whole_models_in_hdf5(tmp_path, monkeypatch):
    """What model.save writes as .h5, as Keras 2 does too, becomes torch's file and another Keras model's."""
    monkeypatch.chdir(tmp_path)
    model, x, twin = build("recurrent")
    twin.save("m.h5")
    report = cp.convert("m.h5", "t.safetensors", source=BACKEND, target="torch", model=model)
    assert report.loading.complete, str(report)
    model.load_state_dict(torch_nets.load_file("t.safetensors"))
    if keras.config.backend() == "torch":
        x = torch.as_tensor(x)
    torch_nets.assert_near(run(twin, x), torch_nets.output(model, x))


if keras.config.backend() == "tensorflow":  # which alone writes its checkpoints

    def test_checkpoints_of_tensorflow(tmp_path, monkeypatch):
        """Every variable of a checkpoint is found by its path."""
        monkeypatch.chdir(tmp_path)
        import tensorflow as tf

        model, x, twin = build("decoder")
        tf.train.Checkpoint(model=twin).save("ck")
        report = cp.convert("ck-1.index", "t.safetensors", source=BACKEND, target="torch", model=model)
        assert not report.missing, str(report)
        model.load_state_dict(torch_nets.load_file("t.safetensors"))
        torch_nets.assert_near(run(twin, x), torch_nets.output(model, x))
