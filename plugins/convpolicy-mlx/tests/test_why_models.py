"""`why` of MLX models: every kind of module against torch's, planted differences, and a model left as it was."""

from __future__ import annotations

import mlx.core as mx
import numpy as np
import pytest
from mlx import nn

pytest.importorskip("torch")
import torch
from helpers.compared import DATA, randomized, require_cause, require_equal
from helpers.planted import First, images
from mlx_twins import copied, pair
from torch import nn as tn

import convpolicy as cp


class Joins(nn.Module):
    """A flatten, which MLX has as a method only."""

    def __call__(self, x):
        return x.reshape(x.shape[0], -1)


class OwnFirst(nn.Module):
    """The output of a recurrent module, without its state; MLX's GRU returns none."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def __call__(self, x):
        result = self.inner(x)
        return result[0] if isinstance(result, tuple) else result


KINDS = {
    "conv": lambda: (tn.Conv1d(6, 4, 5, 2, 2, 1, 2), nn.Conv1d(6, 4, 5, 2, 2, 1, 2)),
    "transposed conv": lambda: (tn.ConvTranspose1d(6, 4, 4, 2, 1), nn.ConvTranspose1d(6, 4, 4, 2, 1)),
    "batch norm": lambda: (tn.BatchNorm1d(6), nn.BatchNorm(6)),
    "group norm": lambda: (tn.GroupNorm(3, 6), nn.GroupNorm(3, 6, pytorch_compatible=True)),
    "one group": lambda: (tn.GroupNorm(1, 6), nn.GroupNorm(1, 6)),
    "instance norm": lambda: (tn.InstanceNorm1d(6, affine=True), nn.InstanceNorm(6, affine=True)),
    "relu": lambda: (tn.ReLU(), nn.ReLU()),
    "relu6": lambda: (tn.ReLU6(), nn.ReLU6()),
    "leaky relu": lambda: (tn.LeakyReLU(0.1), nn.LeakyReLU(0.1)),
    "prelu": lambda: (tn.PReLU(6), nn.PReLU(6)),
    "gelu": lambda: (tn.GELU(), nn.GELU()),
    "gelu by tanh": lambda: (tn.GELU("tanh"), nn.GELU("precise")),
    "silu": lambda: (tn.SiLU(), nn.SiLU()),
    "sigmoid": lambda: (tn.Sigmoid(), nn.Sigmoid()),
    "hard swish": lambda: (tn.Hardswish(), nn.Hardswish()),
    "tanh": lambda: (tn.Tanh(), nn.Tanh()),
    "hard tanh": lambda: (tn.Hardtanh(), nn.HardTanh()),
    "elu": lambda: (tn.ELU(0.7), nn.ELU(0.7)),
    "celu": lambda: (tn.ELU(), nn.CELU()),
    "softplus": lambda: (tn.Softplus(), nn.Softplus()),
    "softsign": lambda: (tn.Softsign(), nn.Softsign()),
    "mish": lambda: (tn.Mish(), nn.Mish()),
    "log sigmoid": lambda: (tn.LogSigmoid(), nn.LogSigmoid()),
    "softmax of channels": lambda: (tn.Softmax(1), nn.Softmax()),
    "log softmax of channels": lambda: (tn.LogSoftmax(1), nn.LogSoftmax()),
    "max pooling": lambda: (tn.MaxPool1d(3, 2, 1), nn.MaxPool1d(3, 2, 1)),
    "average pooling": lambda: (tn.AvgPool1d(3, 2, 1), nn.AvgPool1d(3, 2, 1)),
    "nearest": lambda: (tn.Upsample(scale_factor=2), nn.Upsample(2)),
    "upsampling": lambda: (tn.Upsample(scale_factor=2, mode="linear"), nn.Upsample(2, mode="linear")),
    "upsampling with corners": lambda: (
        tn.Upsample(scale_factor=2, mode="linear", align_corners=True),
        nn.Upsample(2, mode="linear", align_corners=True),
    ),
    "dropout": lambda: (tn.Dropout(0.3), nn.Dropout(0.3)),
    "flatten": lambda: (tn.Flatten(), Joins()),
    "identity": lambda: (tn.Identity(), nn.Identity()),
}
LAST = {  # what computes along the last axis, on data of this axis: (batch, time, features) in both
    "linear": lambda: (tn.Linear(20, 5), nn.Linear(20, 5)),
    "layer norm": lambda: (tn.LayerNorm(20), nn.LayerNorm(20)),
    "rms norm": lambda: (tn.RMSNorm(20, eps=1e-5), nn.RMSNorm(20)),
    "lstm": lambda: (First(tn.LSTM(20, 5, batch_first=True)), OwnFirst(nn.LSTM(20, 5))),
    "gru": lambda: (First(tn.GRU(20, 5, batch_first=True)), OwnFirst(nn.GRU(20, 5))),
}


@pytest.mark.parametrize("name", KINDS)
def test_a_kind_is_equal_to_torch(name):
    """With the same weights it is equal up to rounding, both ways, and each module computes what its description says."""
    a, b = pair(*KINDS[name]())
    require_equal(a, b, DATA)
    require_equal(b, a, (np.moveaxis(DATA, 1, -1), DATA))


@pytest.mark.parametrize("name", LAST)
def test_a_kind_along_the_last_axis(name):
    """Data of a transformer, whose last axis are the features in both frameworks."""
    source, own = LAST[name]()
    randomized(source)
    copied(getattr(source, "inner", source), own.get("inner", own))
    a, b = tn.Sequential(source), nn.Sequential(own)
    require_equal(a, b, (DATA, DATA))
    require_equal(b, a, (DATA, DATA))


def test_other_kinds():
    """An image network, and tokens."""
    source, x = images()
    own = nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), nn.BatchNorm(4), nn.ConvTranspose2d(4, 2, 2, 2))
    for one, other in zip(source, own.layers):
        copied(one, other)
    own.eval()
    require_equal(source, own, x)
    tokens = tn.Sequential(randomized(tn.Embedding(9, 4)))
    require_equal(tokens, nn.Sequential(copied(tokens[0], nn.Embedding(9, 4))), np.arange(8).reshape(2, 4))


def test_selu_has_rounded_constants():
    """MLX writes them with 6 digits, which shows in large numbers."""
    source, own = pair(tn.SELU(), nn.SELU())
    require_cause(cp.why(source, own, DATA * 50), "layers.1", "function")
    require_equal(own, own, DATA)


@mx.compile
def compiled(x):
    """A function that contains one that is seen."""
    return nn.gelu(x) * 2


class Functional(nn.Module):
    """Functions in place of modules."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv1d(4, 6, 3, padding=1)
        self.out = nn.Linear(120, 5)
        self.gelu = nn.gelu

    def __call__(self, x):
        x = mx.tanh(compiled(self.conv(x)))
        return self.out(mx.maximum(mx.softmax(x, axis=-1), 0).flatten(1))


class Twin(tn.Module):
    """The same in torch."""

    def __init__(self):
        super().__init__()
        self.conv, self.out = tn.Conv1d(4, 6, 3, padding=1), tn.Linear(120, 5)

    def forward(self, x, approximate="none"):
        x = torch.tanh(tn.functional.gelu(self.conv(x), approximate=approximate) * 2)
        return self.out(torch.relu(torch.softmax(x, 1)).flatten(1))


def test_functions():
    """Functions and methods of arrays are seen, in compiled functions too; ``mx.compile`` is on again afterwards."""
    source, own = randomized(Twin()), Functional()
    copied(source.conv, own.conv)
    weight = source.out.weight.detach().numpy().reshape(5, 6, 20).transpose(0, 2, 1).reshape(5, 120)
    copied(source.out, own.out)["weight"] = mx.array(np.ascontiguousarray(weight))
    answer = require_equal(source, own, DATA)
    assert [row.path_b for row in answer.rows] == ["conv", "gelu", "tanh", "softmax", "maximum", "flatten", "out"]
    copied(source.out, own.out)
    answer = cp.why(source, own, DATA)
    require_cause(answer, "out", "weight")
    assert "its columns have another order" in answer.causes[0].text
    calls = []
    count = mx.compile(lambda x: calls.append(1) or x)
    count(mx.zeros(1))
    count(mx.zeros(1))
    assert len(calls) == 1
