"""Checkpoints of torch models for MLX models: `load_weights` takes the whole file, both compute the same, and the way back gives the same file."""

from __future__ import annotations

import mlx.core as mx
import mlx.nn as nn
import numpy as np
import pytest
from mlx.utils import tree_flatten

from convpolicy_mlx import tensors

torch = pytest.importorskip("torch")
from helpers import torch_nets  # noqa: E402 (only with torch)

FILE = "b.safetensors"


class TorchNet(torch.nn.Module):
    """Every kind of layer that both have."""

    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv1d(4, 6, 3, groups=2)
        self.norm = torch.nn.BatchNorm1d(6)
        self.up = torch.nn.ConvTranspose1d(6, 6, 4, stride=2)
        self.gru = torch.nn.GRU(6, 8, batch_first=True)
        self.lstm = torch.nn.LSTM(8, 8, batch_first=True)
        self.attn = torch.nn.MultiheadAttention(8, 2, batch_first=True)
        self.ln = torch.nn.LayerNorm(8)
        self.fc = torch.nn.Linear(8, 8)

    def forward(self, x):
        x = self.up(self.norm(self.conv(x))).transpose(1, 2)
        x = self.lstm(self.gru(x)[0])[0]
        return self.fc(self.ln(self.attn(x, x, x)[0]))


class MlxNet(nn.Module):
    """Its twin."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv1d(4, 6, 3, groups=2)
        self.norm = nn.BatchNorm(6)
        self.up = nn.ConvTranspose1d(6, 6, 4, 2)
        self.gru, self.lstm = nn.GRU(6, 8), nn.LSTM(8, 8)
        self.attn = nn.MultiHeadAttention(8, 2, bias=True)
        self.ln, self.fc = nn.LayerNorm(8), nn.Linear(8, 8)

    def __call__(self, x):
        x = self.lstm(self.gru(self.up(self.norm(self.conv(x)))))[0]
        return self.fc(self.ln(self.attn(x, x, x)))


def build():
    """Return both models with random numbers, and an input."""
    model, twin = torch_nets.drawn(TorchNet(), seed=3), MlxNet()
    twin.eval()
    return model, np.random.default_rng(0).standard_normal((2, 4, 9)).astype("f4"), twin


def run(twin, x):
    """Return the output of a module."""
    return np.array(twin(mx.array(x.transpose(0, 2, 1))))


def load(twin, path):
    """Load a file as a user does; strictly, MLX names what it does not find."""
    twin.load_weights(path, strict=True)


def values(twin):
    """Return the numbers of a module."""
    return [np.array(value) for _name, value in tree_flatten(twin.parameters())]


def test_there_and_back(tmp_path, monkeypatch):
    """The file loads whole and strictly, the outputs agree, the twin was as it was, and the way back gives the first file."""
    monkeypatch.chdir(tmp_path)
    model, x, twin = build()
    torch_nets.check_there_and_back(model, x, twin, run, load, values, target="mlx", middle=FILE)


WRONG = {
    "gates": (nn.LSTM, lambda row: (row[0], row[1].replace("i ", "x ").replace("f ", "i ").replace("x ", "f "), row[2])),
    "Linear transposed": (nn.Linear, lambda row: (row[0], row[1], "I O" if row[2] == "O I" else row[2])),
    "ConvTranspose as Conv": (nn.ConvTranspose1d, lambda row: (row[0], row[1], "GI K O" if row[2] == "GO K I" else row[2])),
    "q and k": (
        nn.MultiHeadAttention,
        lambda row: (row[0], {"weight_q": "weight_v", "weight_v": "weight_q"}.get(row[1], row[1]), row[2]),
    ),
}


@pytest.mark.parametrize("fault", WRONG)
def test_a_wrong_table_shows(fault, tmp_path, monkeypatch):
    """The comparison of outputs fails where a table is wrong and the shapes still fit."""
    monkeypatch.chdir(tmp_path)
    kind, change = WRONG[fault]
    title, rows = tensors.CLASSES[kind]
    changed = tuple(map(change, rows))
    assert changed != rows
    monkeypatch.setitem(tensors.CLASSES, kind, (title, changed))
    model, x, twin = build()
    assert torch_nets.converted(model, twin, load, target="mlx", middle=FILE)
    assert torch_nets.differ(run(twin, x), torch_nets.output(model, x))
