"""Checkpoints of torch models for MindSpore cells: they load whole, both compute the same, and the way back gives the same file."""

from __future__ import annotations

import mindspore
import numpy as np
import pytest
from helpers import torch_nets
from mindspore import nn, ops

from convpolicy.frameworks.mindspore import tensors

pytestmark = pytest.mark.needs("torch")
VALID = {"pad_mode": "valid"}
FILE = "b.ckpt"


class Convs(nn.Cell):
    """The twin of `torch_nets.Convs`."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv1d(4, 6, 3, group=2, has_bias=True, **VALID)
        self.bn1 = nn.BatchNorm1d(6)
        self.conv2 = nn.Conv1d(6, 6, 3, **VALID)
        self.bn2 = nn.BatchNorm1d(6)
        self.head = nn.Dense(6, 5)

    def norm(self, bn, x):
        """Apply a norm that takes two axes only."""
        return bn(x.transpose(0, 2, 1).reshape(-1, x.shape[1])).reshape(x.shape[0], -1, x.shape[1]).transpose(0, 2, 1)

    def construct(self, x):
        x = ops.gelu(self.norm(self.bn1, self.conv1(x)), approximate="none")
        return self.head(self.norm(self.bn2, self.conv2(x)).mean(2))


class Block(nn.Cell):
    """The twin of `torch_nets.Block`."""

    def __init__(self, width):
        super().__init__()
        self.ln1 = nn.LayerNorm((width,), epsilon=1e-5)
        self.attn = nn.MultiheadAttention(width, 2, batch_first=True)
        self.ln2 = nn.LayerNorm((width,), epsilon=1e-5)
        self.fc1, self.fc2 = nn.Dense(width, 2 * width), nn.Dense(2 * width, width)

    def construct(self, x):
        y = self.ln1(x)
        x = x + self.attn(y, y, y, need_weights=False)[0]
        return x + self.fc2(ops.relu(self.fc1(self.ln2(x))))


class Encoder(nn.Cell):
    """The twin of `torch_nets.Encoder`."""

    def __init__(self):
        super().__init__()
        self.embed, self.place = nn.Embedding(11, 8), nn.Embedding(7, 8)
        self.blocks = nn.CellList([Block(8) for _ in range(3)])
        self.ln, self.head = nn.LayerNorm((8,), epsilon=1e-5), nn.Dense(8, 11)

    def construct(self, x):
        x = self.embed(x) + self.place(mindspore.Tensor(np.arange(x.shape[1]), mindspore.int32))
        for block in self.blocks:
            x = block(x)
        return self.head(self.ln(x))


class Recurrent(nn.Cell):
    """The twin of `torch_nets.Recurrent`."""

    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(4, 5, bidirectional=True, batch_first=True)
        self.gru = nn.GRU(10, 6, batch_first=True)
        self.fc = nn.Dense(6, 3)

    def construct(self, x):
        return self.fc(self.gru(self.lstm(x)[0])[0])


class Images(nn.Cell):
    """The twin of `torch_nets.Images`."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 3, has_bias=True, **VALID)
        self.bn = nn.BatchNorm2d(6)
        self.depthwise = nn.Conv2d(6, 6, 3, group=6, has_bias=True, **VALID)
        self.norm = nn.GroupNorm(2, 6)
        self.fc = nn.Dense(6, 6)

    def construct(self, x):
        return self.fc(self.norm(self.depthwise(ops.relu(self.bn(self.stem(x))))).mean((2, 3)))


class Decoder(nn.Cell):
    """The twin of `torch_nets.Decoder`."""

    def __init__(self):
        super().__init__()
        self.up1 = nn.Conv1dTranspose(4, 4, 3, 2, has_bias=True, **VALID)
        self.up2 = nn.Conv1dTranspose(4, 5, 4, 2, has_bias=True, **VALID)
        self.out = nn.Conv1d(5, 2, 3, has_bias=True, **VALID)

    def construct(self, x):
        return self.out(ops.relu(self.up2(ops.relu(self.up1(x)))))


TWINS = {"convs": Convs, "encoder": Encoder, "recurrent": Recurrent, "images": Images, "decoder": Decoder}


def build(name):
    """Return a model and its twin, whose numbers are random, and an input."""
    twin = TWINS[name]().set_train(False)
    random = np.random.default_rng(1)
    for value in twin.get_parameters():
        value.set_data(mindspore.Tensor(random.random(value.shape).astype("f4") + 2))
    return torch_nets.net(name), torch_nets.example(name), twin


def run(twin, x):
    """Return the output of a cell."""
    return twin(mindspore.Tensor(x, mindspore.int32 if x.dtype.kind == "i" else mindspore.float32)).asnumpy()


def load(twin, path):
    """Load a file as a user does; MindSpore names what it does not find."""
    missing, unexpected = mindspore.load_param_into_net(twin, mindspore.load_checkpoint(path))
    assert not missing
    assert not unexpected


def values(twin):
    """Return the numbers of a cell."""
    return [value.asnumpy().copy() for value in twin.get_parameters()]


@pytest.mark.parametrize("name", TWINS)
def test_there_and_back(name, tmp_path, monkeypatch):
    """The file loads whole, the outputs agree, the twin was as it was, and the way back gives the bytes of the first file."""
    monkeypatch.chdir(tmp_path)
    model, x, twin = build(name)
    torch_nets.check_there_and_back(model, x, twin, run, load, values, target="mindspore", middle=FILE)


@pytest.mark.parametrize("fault", torch_nets.FAULTS)
def test_a_wrong_table_shows(fault, tmp_path, monkeypatch):
    """The comparison of outputs fails where a table is wrong and the shapes still fit."""
    monkeypatch.chdir(tmp_path)
    words = {"target": "mindspore", "middle": FILE, "monkeypatch": monkeypatch}
    torch_nets.check_that_a_fault_shows(fault, tensors, build, run, load, **words)
