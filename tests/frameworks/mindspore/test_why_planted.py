"""`why` of MindSpore models with planted differences: the right cell, the right aspect, and a line that mends it."""

from __future__ import annotations

import mindspore
import numpy as np
import pytest
from helpers import planted
from helpers.compared import DATA, randomized, require_cause, require_equal
from helpers.mindspore_twins import copied, pair
from mindspore import Tensor, nn, ops
from torch import nn as tn

import convpolicy as cp
from convpolicy.models.readers import reader_of

pytestmark = pytest.mark.needs("torch")


class Functional(nn.Cell):
    """Functions in place of cells."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv1d(4, 6, 3, has_bias=True)
        self.out = nn.Dense(60, 5)
        self.approximate = "none"

    def construct(self, x):
        x = ops.avg_pool1d(ops.gelu(self.conv(x), self.approximate), 2, 2)
        return self.out(ops.softmax(x.sigmoid(), axis=1).reshape((2, -1)))


def test_functions():
    """Functions and methods of tensors are seen, and a difference in one has its name."""
    source = tn.Sequential(tn.Conv1d(4, 6, 3, padding=1), tn.GELU(), tn.AvgPool1d(2), tn.Sigmoid(), tn.Softmax(1), tn.Flatten(),
                           tn.Linear(60, 5))  # fmt: skip
    randomized(source)
    own = Functional()
    copied(source[0], own.conv)
    copied(source[-1], own.out)
    answer = require_equal(source, own, DATA)
    assert [row.path_b for row in answer.rows] == ["conv", "gelu", "avg_pool1d", "sigmoid", "softmax", "reshape", "out"]
    own.approximate = "tanh"
    require_cause(cp.why(source, own, DATA), "gelu", "function")


def network():
    """A small network and its torch twin."""
    source = planted.network(tn.Flatten(), tn.Linear(40, 40), tn.LayerNorm(40), tn.Softmax(-1))
    own = nn.SequentialCell(
        nn.Conv1d(4, 8, 5, 2, pad_mode="pad", padding=2, has_bias=True),
        nn.BatchNorm1d(8),
        nn.GELU(approximate=False),
        nn.Dropout(p=0.2),
        nn.AvgPool1d(3, 2, pad_mode="pad", padding=1),
        nn.GroupNorm(4, 8),
        nn.LeakyReLU(0.1),
        nn.Flatten(),
        nn.Dense(40, 40),
        nn.LayerNorm((40,), epsilon=1e-5),
        nn.Softmax(-1),
    )
    for one, other in zip(source, own):
        copied(one, other)
    return source, own


def replaced(number, cell):
    """Put another cell in place of one without parameters."""
    return lambda model: model.__setitem__(number, cell)


def other_layer_norm(model):
    """MindSpore's default epsilon, 1e-7, would hardly show here."""
    model[9].layer_norm = ops.LayerNorm(-1, -1, 1e-2)


def other_batch_norm(model):
    model[1].bn_infer = ops.BatchNorm(False, 1e-2)


PLANTED = {
    "batch norm eps": (other_batch_norm, "1", "eps"),
    "statistics of the batch": (lambda model: model[1].set_train(), "1", "batch_statistics"),
    "statistics by an option": (lambda model: setattr(model[1], "use_batch_statistics", True), "1", "batch_statistics"),
    "group norm eps": (lambda model: setattr(model[5], "eps", 1e-1), "5", "eps"),
    "groups": (lambda model: setattr(model[5], "num_groups", 2), "5", "groups"),
    "layer norm eps": (other_layer_norm, "9", "eps"),
    "gelu": (replaced(2, nn.GELU()), "2", "function"),
    "gelu by sigmoid": (replaced(2, nn.FastGelu()), "2", "function"),
    "slope": (replaced(6, nn.LeakyReLU()), "6", "slope"),
    "dropout": (lambda model: model[3].set_train(), "3", "active"),
    "padding in the average": (
        replaced(4, nn.AvgPool1d(3, 2, pad_mode="pad", padding=1, count_include_pad=False)),
        "4",
        "count_padding",
    ),
    "softmax axis": (replaced(10, nn.Softmax(0)), "10", "axis"),
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_difference_is_named_and_mended(name):
    """The right cell, the right aspect, and a line that makes the model equal."""
    plant, path, aspect = PLANTED[name]
    source, own = network()
    assert cp.why(source, own, DATA).equal
    plant(own)
    planted.check_named_and_mended(source, own, path, aspect)


@pytest.mark.parametrize(
    ("ours", "theirs", "aspect"),
    [
        (tn.MaxPool1d(3, 2, 1), nn.MaxPool1d(3, 2), "padding"),
        (tn.MaxPool1d(3, 2), nn.MaxPool1d(3, 2, pad_mode="same"), "padding"),
        (tn.MaxPool1d(3, 2, ceil_mode=True), nn.MaxPool1d(3, 2), "ceil_mode"),
        (tn.AvgPool1d(4, 2), nn.AvgPool1d(4, 4), "stride"),
    ],
)
def test_pooling(ours, theirs, aspect):
    """Padding, ceil_mode and stride are in a primitive; the line replaces the cell."""
    planted.check_named_and_mended(*pair(ours, theirs), "1", aspect)


def test_arrays():
    """Weights that are transposed or not loaded."""
    source, own = network()
    own[8].weight.set_data(Tensor(np.ascontiguousarray(own[8].weight.asnumpy().T)))
    planted.check_transposed(source, own, "8")
    source, own = network()
    own[1].moving_mean.set_data(Tensor(np.zeros(8, np.float32)))
    planted.check_not_loaded(source, own, "1")
    source, own = network()
    own[0].weight.set_data(Tensor(nn.Conv1d(4, 8, 5).weight.asnumpy()))
    require_cause(cp.why(source, own, DATA), "0", "weight")


def test_momentum_is_a_note():
    """MindSpore's argument is the share that is kept, 0.9 by default, as is torch's 0.1 of the other share."""
    source, own = network()
    other = copied(source[1], nn.BatchNorm1d(8, momentum=0.99))
    planted.check_momentum_is_a_note(source, own, lambda model: model.__setitem__(1, other))


def test_dtype():
    """A cell that to_float makes narrow is found, and the line undoes it."""
    source, own = network()
    own[8].to_float(mindspore.float16)
    answer = cp.why(source, own, DATA)
    assert ("8", "dtype") in {(cause.path_b, cause.aspect) for cause in answer.causes}


class Interrupts(nn.Cell):
    """Draws, and is interrupted."""

    def construct(self, _x):
        ops.rand(3).asnumpy()
        raise KeyboardInterrupt


@pytest.mark.parametrize("mode", [mindspore.PYNATIVE_MODE, mindspore.GRAPH_MODE])
def test_a_model_is_left_as_it_was(mode, scratch):
    """Modes, running statistics, random state and functions, also after an interrupt."""
    source, own = network()
    own.set_train()
    own.append(Interrupts())
    functions = [ops.gelu, ops.tanh, Tensor.tanh, Tensor.reshape, nn.Cell.__call__]
    mean = own[1].moving_mean.asnumpy().copy()
    state = mindspore.get_rng_state().asnumpy()
    mindspore.set_context(mode=mode)
    with pytest.raises(KeyboardInterrupt):
        cp.why(own, source, DATA)
    assert mindspore.get_context("mode") == mode
    assert np.array_equal(mindspore.get_rng_state().asnumpy(), state)
    assert np.array_equal(own[1].moving_mean.asnumpy(), mean)
    assert own[1].training
    assert [ops.gelu, ops.tanh, Tensor.tanh, Tensor.reshape, nn.Cell.__call__] == functions
    assert "reshape" not in vars(Tensor)
    assert reader_of(Tensor([1.0])) is None
