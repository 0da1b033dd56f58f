"""`why` of Paddle models: every kind of layer against torch's."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.compared import DATA, randomized, require_cause, require_equal
from helpers.paddle_twins import copied, nn, pair
from helpers.planted import First, images
from torch import nn as tn

import convpolicy as cp

pytestmark = pytest.mark.needs("torch")


class OwnFirst(nn.Layer):
    """The output of a recurrent layer, without its state."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return self.inner(x.transpose([0, 2, 1]))[0]


KINDS = {
    "conv": lambda: (
        tn.Conv1d(6, 4, 5, 2, 2, 1, 2, padding_mode="reflect"),
        nn.Conv1D(6, 4, 5, 2, 2, 1, 2, padding_mode="reflect"),
    ),
    "transposed conv": lambda: (tn.ConvTranspose1d(6, 4, 4, 2, 1), nn.Conv1DTranspose(6, 4, 4, 2, 1)),
    "linear": lambda: (tn.Linear(20, 5), nn.Linear(20, 5)),
    "batch norm": lambda: (tn.BatchNorm1d(6), nn.BatchNorm1D(6)),
    "old batch norm": lambda: (tn.BatchNorm1d(6), nn.BatchNorm(6)),
    "layer norm": lambda: (tn.LayerNorm(20), nn.LayerNorm(20)),
    "layer norm of two axes": lambda: (tn.LayerNorm((6, 20)), nn.LayerNorm((6, 20))),
    "group norm": lambda: (tn.GroupNorm(3, 6), nn.GroupNorm(3, 6)),
    "instance norm": lambda: (tn.InstanceNorm1d(6, affine=True), nn.InstanceNorm1D(6)),
    "relu": lambda: (tn.ReLU(), nn.ReLU()),
    "relu6": lambda: (tn.ReLU6(), nn.ReLU6()),
    "leaky relu": lambda: (tn.LeakyReLU(0.1), nn.LeakyReLU(0.1)),
    "prelu": lambda: (tn.PReLU(6), nn.PReLU(6)),
    "gelu": lambda: (tn.GELU(), nn.GELU()),
    "gelu by tanh": lambda: (tn.GELU("tanh"), nn.GELU(approximate=True)),
    "silu": lambda: (tn.SiLU(), nn.Silu()),
    "swish": lambda: (tn.SiLU(), nn.Swish()),
    "sigmoid": lambda: (tn.Sigmoid(), nn.Sigmoid()),
    "hard sigmoid": lambda: (tn.Hardsigmoid(), nn.Hardsigmoid()),
    "hard swish": lambda: (tn.Hardswish(), nn.Hardswish()),
    "tanh": lambda: (tn.Tanh(), nn.Tanh()),
    "hard tanh": lambda: (tn.Hardtanh(), nn.Hardtanh()),
    "elu": lambda: (tn.ELU(0.7), nn.ELU(0.7)),
    "celu": lambda: (tn.ELU(), nn.CELU()),
    "selu": lambda: (tn.SELU(), nn.SELU()),
    "softplus": lambda: (tn.Softplus(), nn.Softplus()),
    "softsign": lambda: (tn.Softsign(), nn.Softsign()),
    "mish": lambda: (tn.Mish(), nn.Mish()),
    "log sigmoid": lambda: (tn.LogSigmoid(), nn.LogSigmoid()),
    "softmax": lambda: (tn.Softmax(1), nn.Softmax(1)),
    "log softmax": lambda: (tn.LogSoftmax(-1), nn.LogSoftmax(-1)),
    "max pooling": lambda: (tn.MaxPool1d(3, 2, 1), nn.MaxPool1D(3, 2, 1)),
    "max pooling with ceil_mode": lambda: (tn.MaxPool1d(4, 3, ceil_mode=True), nn.MaxPool1D(4, 3, ceil_mode=True)),
    "average pooling": lambda: (tn.AvgPool1d(3, 2, 1), nn.AvgPool1D(3, 2, 1, exclusive=False)),
    "average pooling without padding": lambda: (
        tn.AvgPool1d(3, 2, 1, count_include_pad=False, ceil_mode=True),
        nn.AvgPool1D(3, 2, 1, ceil_mode=True),
    ),
    "global average": lambda: (tn.AdaptiveAvgPool1d(1), nn.AdaptiveAvgPool1D(1)),
    "global maximum": lambda: (tn.AdaptiveMaxPool1d(1), nn.AdaptiveMaxPool1D(1)),
    "upsampling": lambda: (
        tn.Upsample(scale_factor=2, mode="linear"),
        nn.Upsample(scale_factor=[2], mode="linear", data_format="NCW"),
    ),
    "upsampling with corners": lambda: (
        tn.Upsample(scale_factor=2, mode="linear", align_corners=True),
        nn.Upsample(scale_factor=2, mode="linear", align_corners=True, data_format="NCW"),
    ),
    "dropout": lambda: (tn.Dropout(0.3), nn.Dropout(0.3)),
    "flatten": lambda: (tn.Flatten(), nn.Flatten()),
    "identity": lambda: (tn.Identity(), nn.Identity()),
    "zeros": lambda: (tn.ConstantPad1d((2, 1), 0.5), nn.Pad1D((2, 1), value=0.5)),
    "reflect": lambda: (tn.ReflectionPad1d((2, 1)), nn.ReflectionPad1D((2, 1))),
    "replicate": lambda: (tn.ReplicationPad1d(2), nn.ReplicationPad1D(2)),
    "circular": lambda: (tn.CircularPad1d((1, 3)), nn.CircularPad1D((1, 3))),
}


@pytest.mark.parametrize("name", KINDS)
def test_a_kind_is_equal_to_torch(name):
    """With the same weights it is equal up to rounding, both ways, and each layer computes what its description says."""
    a, b = pair(*KINDS[name]())
    require_equal(a, b, DATA)
    require_equal(b, a, DATA)


def test_convolutions_of_two_axes():
    """An image network: described, and equal."""
    source, x = images()
    own = nn.Sequential(nn.Conv2D(3, 4, 3, 2, 1), nn.BatchNorm2D(4), nn.Conv2DTranspose(4, 2, 2, 2))
    for one, other in zip(source, own):
        copied(one, other)
    own.eval()
    require_equal(source, own, x)


def test_embedding():
    """Tokens are looked up in both; Paddle returns zeros for its padding_idx."""
    source, own = tn.Sequential(randomized(tn.Embedding(9, 4))), nn.Sequential(nn.Embedding(9, 4))
    copied(source[0], own[0])
    tokens = np.arange(8).reshape(2, 4)
    require_equal(source, own, tokens)
    padded = nn.Sequential(nn.Embedding(9, 4, padding_idx=3))
    copied(source[0], padded[0])
    require_cause(cp.why(source, padded, tokens), "0", "weight")


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_recurrent_layers(kind):
    """Torch's names and gates are Paddle's; a weight that differs is found."""
    inner, own_inner = randomized(getattr(tn, kind)(4, 5, batch_first=True)), getattr(nn, kind)(4, 5)
    copied(inner, own_inner)
    require_equal(First(inner, 1, 2), OwnFirst(own_inner), DATA)
    own_inner.weight_hh_l0.set_value(own_inner.weight_hh_l0 * 2)
    require_cause(cp.why(First(inner, 1, 2), OwnFirst(own_inner), DATA), "inner", "weight_hh_l0")
