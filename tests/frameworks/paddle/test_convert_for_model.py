"""Checkpoints of torch models for Paddle layers: they load whole, both compute the same, and the way back gives the same file."""

from __future__ import annotations

import numpy as np
import paddle
import pytest
from helpers import torch_nets
from paddle import nn
from safetensors.numpy import load_file

import convpolicy as cp
from convpolicy.frameworks.paddle import tensors

pytestmark = pytest.mark.needs("torch")
FILE = "b.safetensors"


class Convs(nn.Layer):
    """The twin of `torch_nets.Convs`."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv1D(4, 6, 3, groups=2)
        self.bn1 = nn.BatchNorm1D(6)
        self.conv2 = nn.Conv1D(6, 6, 3, bias_attr=False)
        self.bn2 = nn.BatchNorm1D(6)
        self.head = nn.Linear(6, 5)

    def forward(self, x):
        x = nn.functional.gelu(self.bn1(self.conv1(x)))
        return self.head(self.bn2(self.conv2(x)).mean(2))


class Block(nn.Layer):
    """The twin of `torch_nets.Block`."""

    def __init__(self, width):
        super().__init__()
        self.ln1 = nn.LayerNorm((width,), epsilon=1e-5)
        self.attn = nn.MultiHeadAttention(width, 2)
        self.ln2 = nn.LayerNorm((width,), epsilon=1e-5)
        self.fc1, self.fc2 = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)

    def forward(self, x):
        y = self.ln1(x)
        x = x + self.attn(y, y, y)
        return x + self.fc2(nn.functional.relu(self.fc1(self.ln2(x))))


class Encoder(nn.Layer):
    """The twin of `torch_nets.Encoder`."""

    def __init__(self):
        super().__init__()
        self.embed, self.place = nn.Embedding(11, 8), nn.Embedding(7, 8)
        self.blocks = nn.LayerList([Block(8) for _ in range(3)])
        self.ln, self.head = nn.LayerNorm((8,), epsilon=1e-5), nn.Linear(8, 11)

    def forward(self, x):
        x = self.embed(x) + self.place(paddle.arange(x.shape[1]))
        for block in self.blocks:
            x = block(x)
        return self.head(self.ln(x))


class Recurrent(nn.Layer):
    """The twin of `torch_nets.Recurrent`."""

    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(4, 5, direction="bidirect")
        self.gru = nn.GRU(10, 6)
        self.fc = nn.Linear(6, 3)

    def forward(self, x):
        return self.fc(self.gru(self.lstm(x)[0])[0])


class Images(nn.Layer):
    """The twin of `torch_nets.Images`."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2D(3, 6, 3)
        self.bn = nn.BatchNorm2D(6)
        self.depthwise = nn.Conv2D(6, 6, 3, groups=6)
        self.norm = nn.GroupNorm(2, 6)
        self.fc = nn.Linear(6, 6)

    def forward(self, x):
        return self.fc(self.norm(self.depthwise(nn.functional.relu(self.bn(self.stem(x))))).mean((2, 3)))


class Decoder(nn.Layer):
    """The twin of `torch_nets.Decoder`."""

    def __init__(self):
        super().__init__()
        self.up1 = nn.Conv1DTranspose(4, 4, 3, 2)
        self.up2 = nn.Conv1DTranspose(4, 5, 4, 2)
        self.out = nn.Conv1D(5, 2, 3)

    def forward(self, x):
        return self.out(nn.functional.relu(self.up2(nn.functional.relu(self.up1(x)))))


TWINS = {"convs": Convs, "encoder": Encoder, "recurrent": Recurrent, "images": Images, "decoder": Decoder}


def build(name):
    """Return a model and its twin, whose numbers are random, and an input."""
    twin = TWINS[name]()
    twin.eval()
    random = np.random.default_rng(1)
    for value in twin.state_dict().values():
        value.set_value(random.random(value.shape).astype("f4") + 2)
    return torch_nets.net(name), torch_nets.example(name), twin


def run(twin, x):
    """Return the output of a layer."""
    with paddle.no_grad():
        return twin(paddle.to_tensor(x)).numpy()


def load(twin, path):
    """Load a file as a user does; Paddle names what it does not find."""
    missing, unexpected = twin.set_state_dict(load_file(path))
    assert not missing
    assert not unexpected


def values(twin):
    """Return the numbers of a layer."""
    return [value.numpy().copy() for value in twin.state_dict().values()]


@pytest.mark.parametrize("name", TWINS)
def test_there_and_back(name, tmp_path, monkeypatch):
    """The file loads whole, the outputs agree, the twin was as it was, and the way back gives the bytes of the first file."""
    monkeypatch.chdir(tmp_path)
    model, x, twin = build(name)
    torch_nets.check_there_and_back(model, x, twin, run, load, values, target="paddle", middle=FILE)


@pytest.mark.parametrize("fault", torch_nets.FAULTS)
def test_a_wrong_table_shows(fault, tmp_path, monkeypatch):
    """The comparison of outputs fails where a table is wrong and the shapes still fit."""
    monkeypatch.chdir(tmp_path)
    words = {"target": "paddle", "middle": FILE, "monkeypatch": monkeypatch}
    torch_nets.check_that_a_fault_shows(fault, tensors, build, run, load, **words)


def test_parameters_are_paddles_own(tmp_path, monkeypatch):
    """paddle.load reads what convert writes, and convert reads what paddle.save writes."""
    monkeypatch.chdir(tmp_path)
    model, x, twin = build("images")
    torch_nets.save_file(model.state_dict(), "a.safetensors")
    cp.convert("a.safetensors", "b.pdparams", source="torch", target="paddle", model=twin)
    assert twin.set_state_dict(paddle.load("b.pdparams")) == ([], [])
    torch_nets.assert_near(run(twin, x), torch_nets.output(model, x))
    paddle.save(twin.state_dict(), "c.pdparams")
    report = cp.convert("c.pdparams", "d.safetensors", source="paddle", target="torch", model=model)
    assert report.loading.complete
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "d.safetensors").read_bytes()
