"""Checkpoints of torch models for MLX models: `load_weights` takes the whole file, both compute the same, and the way back gives the same file."""

from __future__ import annotations

from pathlib import Path

import mlx.core as mx
import mlx.nn as nn
import numpy as np
import pytest
from mlx.utils import tree_flatten

import convpolicy as cp
from convpolicy import reference
from convpolicy_mlx import tensors

torch = pytest.importorskip("torch")
from safetensors.torch import load_file, save_file  # noqa: E402 (only with torch)

PRODUCTS = 4096  # more than the products and roundings on any path of these models


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


@pytest.fixture
def nets(tmp_path, monkeypatch):
    """Both models with random numbers, an input, and the file of torch's weights."""
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    model, twin = TorchNet().eval(), MlxNet()
    twin.eval()
    with torch.no_grad():
        for value in model.state_dict().values():
            if value.is_floating_point():
                value.copy_(torch.rand_like(value) + 0.5 if value.ndim == 1 else torch.randn_like(value) / 2)
    save_file(model.state_dict(), "a.safetensors")
    return model, twin, np.random.default_rng(0).standard_normal((2, 4, 9)).astype("f4")


def difference(model, twin, x):
    """Return the largest difference of the outputs, and its bound."""
    with torch.no_grad():
        expected = model(torch.as_tensor(x)).numpy()
    found = np.array(twin(mx.array(x.transpose(0, 2, 1))))
    return np.abs(found - expected).max(), reference.tolerance("float32", PRODUCTS, np.abs(expected).max() + 1)


def test_there_and_back(nets):
    """The file loads whole and strictly, the outputs agree, the twin was as it was, and the way back gives the first file."""
    model, twin, x = nets
    before = {name: np.array(value) for name, value in tree_flatten(twin.parameters())}
    report = cp.convert("a.safetensors", "b.safetensors", source="torch", target="mlx", model=twin)
    assert report.loading.complete, str(report)
    assert all(np.array_equal(before[name], np.array(value)) for name, value in tree_flatten(twin.parameters()))
    twin.load_weights("b.safetensors", strict=True)
    largest, bound = difference(model, twin, x)
    assert largest <= bound
    back = cp.convert("b.safetensors", "c.safetensors", source="mlx", target="torch", model=model)
    assert back.loading.complete, str(back)
    model.load_state_dict(load_file("c.safetensors"))
    assert Path("a.safetensors").read_bytes() == Path("c.safetensors").read_bytes()


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
def test_a_wrong_table_shows(fault, nets, monkeypatch):
    """The comparison of outputs fails where a table is wrong and the shapes still fit."""
    model, twin, x = nets
    kind, change = WRONG[fault]
    title, rows = tensors.CLASSES[kind]
    changed = tuple(map(change, rows))
    assert changed != rows
    monkeypatch.setitem(tensors.CLASSES, kind, (title, changed))
    report = cp.convert("a.safetensors", "b.safetensors", source="torch", target="mlx", model=twin)
    assert report.loading.complete
    twin.load_weights("b.safetensors", strict=True)
    largest, bound = difference(model, twin, x)
    assert largest > 100 * bound
