"""`why` of MindSpore models: every kind of cell against torch's."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.compared import DATA, comparisons, mended, randomized, require_cause, require_equal, require_formulas
from helpers.mindspore_twins import copied, pair
from helpers.planted import First, images
from mindspore import Tensor, mint, nn, ops
from torch import nn as tn

import convpolicy as cp
from convpolicy.diagnosis.models.comparing import follows
from convpolicy.diagnosis.models.units import Unit
from convpolicy.models.readers import reader_of
from convpolicy.models.recording import record

pytestmark = pytest.mark.needs("torch")


class OwnFirst(nn.Cell):
    """The output of a recurrent cell, without its state."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def construct(self, x):
        return self.inner(x.transpose(0, 2, 1))[0]


def up(mode, **more):
    more = {"scale_factor": 2.0, "mode": mode, "recompute_scale_factor": True, **more}
    return tn.Upsample(**more), nn.Upsample(**more)


KINDS = {
    "conv": lambda: (tn.Conv1d(6, 4, 5, 2, 2, 1, 2), nn.Conv1d(6, 4, 5, 2, pad_mode="pad", padding=2, group=2, has_bias=True)),
    "transposed conv": lambda: (
        tn.ConvTranspose1d(6, 4, 4, 2, 1),
        nn.Conv1dTranspose(6, 4, 4, 2, pad_mode="pad", padding=1, has_bias=True),
    ),
    "dense": lambda: (tn.Linear(20, 5), nn.Dense(20, 5)),
    "linear": lambda: (tn.Linear(20, 5), mint.nn.Linear(20, 5)),
    "batch norm": lambda: (tn.BatchNorm1d(6), nn.BatchNorm1d(6)),
    "layer norm": lambda: (tn.LayerNorm(20, eps=1e-7), nn.LayerNorm((20,))),
    "layer norm of two axes": lambda: (tn.LayerNorm((6, 20)), nn.LayerNorm((6, 20), 1, 1, epsilon=1e-5)),
    "group norm": lambda: (tn.GroupNorm(3, 6), nn.GroupNorm(3, 6)),
    "mint group norm": lambda: (tn.GroupNorm(3, 6), mint.nn.GroupNorm(3, 6)),
    "relu": lambda: (tn.ReLU(), nn.ReLU()),
    "relu6": lambda: (tn.ReLU6(), nn.ReLU6()),
    "leaky relu": lambda: (tn.LeakyReLU(0.2), nn.LeakyReLU()),
    "prelu": lambda: (tn.PReLU(6), nn.PReLU(6)),
    "mint prelu": lambda: (tn.PReLU(6), mint.nn.PReLU(6)),
    "gelu by tanh": lambda: (tn.GELU("tanh"), nn.GELU()),
    "gelu": lambda: (tn.GELU(), nn.GELU(approximate=False)),
    "silu": lambda: (tn.SiLU(), nn.SiLU()),
    "mint silu": lambda: (tn.SiLU(), mint.nn.SiLU()),
    "sigmoid": lambda: (tn.Sigmoid(), nn.Sigmoid()),
    "mint sigmoid": lambda: (tn.Sigmoid(), mint.nn.Sigmoid()),
    "hard sigmoid": lambda: (tn.Hardsigmoid(), nn.HSigmoid()),
    "hard swish": lambda: (tn.Hardswish(), nn.HSwish()),
    "hard tanh": lambda: (tn.Hardtanh(), nn.Hardtanh()),
    "elu": lambda: (tn.ELU(), nn.ELU()),
    "celu": lambda: (tn.ELU(), nn.CELU()),
    "selu": lambda: (tn.SELU(), nn.SeLU()),
    "softsign": lambda: (tn.Softsign(), nn.Softsign()),
    "mish": lambda: (tn.Mish(), nn.Mish()),
    "log sigmoid": lambda: (tn.LogSigmoid(), nn.LogSigmoid()),
    "softmax": lambda: (tn.Softmax(1), nn.Softmax(1)),
    "mint softmax": lambda: (tn.Softmax(1), mint.nn.Softmax(1)),
    "log softmax": lambda: (tn.LogSoftmax(-1), nn.LogSoftmax()),
    "max pooling": lambda: (tn.MaxPool1d(3, 2), nn.MaxPool1d(3, 2)),
    "max pooling with padding": lambda: (
        tn.MaxPool1d(4, 3, 1, ceil_mode=True),
        nn.MaxPool1d(4, 3, pad_mode="pad", padding=1, ceil_mode=True),
    ),
    "average pooling": lambda: (tn.AvgPool1d(3, 2), nn.AvgPool1d(3, 2)),
    "average pooling with padding": lambda: (tn.AvgPool1d(3, 2, 1), nn.AvgPool1d(3, 2, pad_mode="pad", padding=1)),
    "average pooling without padding": lambda: (
        tn.AvgPool1d(3, 2, 1, count_include_pad=False),
        nn.AvgPool1d(3, 2, pad_mode="pad", padding=1, count_include_pad=False),
    ),
    "same": lambda: (tn.AvgPool1d(5, 1, 2, count_include_pad=False), nn.AvgPool1d(5, 1, pad_mode="same")),
    "same maximum": lambda: (tn.MaxPool1d(5, 1, 2), nn.MaxPool1d(5, 1, pad_mode="same")),
    "global average": lambda: (tn.AdaptiveAvgPool1d(1), nn.AdaptiveAvgPool1d(1)),
    "global maximum": lambda: (tn.AdaptiveMaxPool1d(1), nn.AdaptiveMaxPool1d(1)),
    "nearest": lambda: up("nearest"),
    "upsampling": lambda: up("linear"),
    "upsampling with corners": lambda: up("linear", align_corners=True),
    "dropout": lambda: (tn.Dropout(0.3), nn.Dropout(p=0.3)),
    "mint dropout": lambda: (tn.Dropout(0.3), mint.nn.Dropout(0.3)),
    "flatten": lambda: (tn.Flatten(), nn.Flatten()),
    "identity": lambda: (tn.Identity(), nn.Identity()),
    "constant": lambda: (tn.ConstantPad1d((2, 1), 0.5), nn.ConstantPad1d((2, 1), 0.5)),
    "pad": lambda: (tn.ConstantPad1d((2, 1), 0.0), nn.Pad(((0, 0), (0, 0), (2, 1)))),
    "reflect": lambda: (tn.ReflectionPad1d((2, 1)), nn.ReflectionPad1d((2, 1))),
    "reflect by pad": lambda: (tn.ReflectionPad1d((2, 1)), nn.Pad(((0, 0), (0, 0), (2, 1)), mode="REFLECT")),
    "replicate": lambda: (tn.ReplicationPad1d((2, 1)), nn.ReplicationPad1d((2, 1))),
}


@pytest.mark.parametrize("name", KINDS)
def test_a_kind_is_equal_to_torch(name):
    """With the same weights it is equal up to rounding, both ways, and each cell computes what its description says."""
    a, b = pair(*KINDS[name]())
    require_equal(a, b, DATA)
    require_equal(b, a, DATA)


@pytest.mark.parametrize("own", [nn.Tanh(), mint.nn.Tanh()])
def test_tanh(own):
    """MindSpore's CPU kernel is off by up to 1.01e-4, which is said; two MindSpore models are equal."""
    source, own = pair(tn.Tanh(), own)
    data = DATA * 3
    answer = cp.why(source, own, data)
    require_cause(answer, "1", "function")
    assert 5e-5 < answer.rows[1].own < 1.02e-4
    for found in comparisons(source, own, data):
        require_formulas(found)
    require_equal(own, nn.SequentialCell(*own), data)


ACTIVATIONS = {"relu": tn.ReLU(), "gelu": tn.GELU("tanh"), "softmax": tn.Softmax(-1), "prelu": tn.PReLU(init=0.25)}


@pytest.mark.parametrize("data", [DATA, DATA[0]], ids=["three axes", "two axes"])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_dense_with_activation(name, data):
    """It is a Linear and an activation, each a row of its own; the cell is as before."""
    linear, own = randomized(tn.Linear(20, 5)), nn.SequentialCell(nn.Dense(20, 5, activation=name))
    linear.weight.data.sub_(0.5)
    copied(linear, own[0])
    answer = require_equal(tn.Sequential(linear, ACTIVATIONS[name]), own, data)
    assert [(row.path_a, row.path_b) for row in answer.rows] == [("0", "0"), ("1", "0.activation")]
    assert own[0].activation_flag


@pytest.mark.parametrize("activation", [nn.Softmax(1), nn.Softmax(0), nn.PReLU(5, 0.3), ops.ReLU(), nn.Tanhshrink()])
def test_dense_computes_as_alone(activation):
    """Its activation is applied to data of two axes also when it is recorded, whatever it is."""
    own = nn.SequentialCell(nn.Dense(20, 5, activation=activation))
    for call in record("a", reader_of(own), DATA).leaves():
        if call.path == "0.activation" and call.description is not None:
            assert follows(Unit((call,), reader_of(own)).computed(call.inputs), call.output, call.dtype) is True
    assert np.array_equal(record("a", reader_of(own), DATA).output, own(Tensor(DATA)).asnumpy())


def test_dense_with_another_activation():
    """The activation is named, not its Dense, and the line puts another one in its place."""
    linear = randomized(tn.Linear(20, 5))
    source, own = tn.Sequential(linear, tn.GELU()), nn.SequentialCell(nn.Dense(20, 5, activation="gelu"))
    copied(linear, own[0])
    answer = cp.why(source, own, DATA)
    require_cause(answer, "0.activation", "function")
    mended(answer, own, source, DATA)


def test_convolutions_of_two_axes():
    """An image network: described, and equal."""
    source, x = images()
    own = nn.SequentialCell(
        nn.Conv2d(3, 4, 3, 2, pad_mode="pad", padding=1, has_bias=True),
        nn.BatchNorm2d(4),
        nn.Conv2dTranspose(4, 2, 2, 2, pad_mode="pad", has_bias=True),
    )
    for one, other in zip(source, own):
        copied(one, other)
    require_equal(source, own, x)


def test_embedding():
    """Tokens are looked up in both."""
    source, own = tn.Sequential(randomized(tn.Embedding(9, 4))), nn.SequentialCell(nn.Embedding(9, 4))
    copied(source[0], own[0])
    require_equal(source, own, np.arange(8).reshape(2, 4))


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_recurrent_cells(kind):
    """Torch's names and gates are MindSpore's; a weight that differs is found."""
    inner, own_inner = randomized(getattr(tn, kind)(4, 5, batch_first=True)), getattr(nn, kind)(4, 5, batch_first=True)
    copied(inner, own_inner)
    require_equal(First(inner, 1, 2), OwnFirst(own_inner), DATA)
    own_inner.w_hh_list[0].set_data(own_inner.w_hh_list[0] * 2)
    require_cause(cp.why(First(inner, 1, 2), OwnFirst(own_inner), DATA), "inner", "weight_hh_l0")
