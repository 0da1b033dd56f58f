"""`why` of Paddle models with planted differences: the right layer, the right aspect, and a line that mends it."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from helpers import planted
from helpers.compared import DATA, mended, randomized, require_cause, require_equal
from helpers.paddle_twins import copied, nn, pair
from torch import nn as tn

import convpolicy as cp
from convpolicy.models.readers import reader_of

import paddle  # isort: skip
import paddle.nn.functional as F  # isort: skip

pytestmark = [pytest.mark.needs("torch"), pytest.mark.filterwarnings("ignore:When training, we now always track")]


class Functional(nn.Layer):
    """Functions in place of layers."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv1D(4, 6, 3, padding=1)
        self.out = nn.Linear(60, 5)
        self.approximate = False

    def forward(self, x):
        x = F.max_pool1d(F.gelu(self.conv(x), self.approximate), 2)
        return self.out(paddle.nn.functional.softmax(x.tanh(), axis=1).reshape([2, -1]))


def test_functions():
    """Functions and methods of tensors are seen, and a difference in one has its name."""
    source = tn.Sequential(tn.Conv1d(4, 6, 3, padding=1), tn.GELU(), tn.MaxPool1d(2), tn.Tanh(), tn.Softmax(1), tn.Flatten(),
                           tn.Linear(60, 5))  # fmt: skip
    randomized(source)
    own = Functional()
    copied(source[0], own.conv)
    copied(source[-1], own.out)
    answer = require_equal(source, own, DATA)
    assert [row.path_b for row in answer.rows] == ["conv", "gelu", "max_pool1d", "tanh", "softmax", "reshape", "out"]
    own.approximate = True
    require_cause(cp.why(source, own, DATA), "gelu", "function")


def network():
    """A small network and its torch twin."""
    source = planted.network(tn.Flatten(), tn.Linear(40, 40), tn.LayerNorm(40))
    own = nn.Sequential(
        nn.Conv1D(4, 8, 5, 2, 2),
        nn.BatchNorm1D(8),
        nn.GELU(),
        nn.Dropout(0.2),
        nn.AvgPool1D(3, 2, 1, exclusive=False),
        nn.GroupNorm(4, 8),
        nn.LeakyReLU(0.1),
        nn.Flatten(),
        nn.Linear(40, 40),
        nn.LayerNorm(40),
    )
    own.eval()
    for one, other in zip(source, own):
        copied(one, other)
    return source, own


def assigned(number, **attributes):
    """Set attributes of a layer."""
    return lambda model: [setattr(model[number], name, value) for name, value in attributes.items()]


PLANTED = {
    "batch norm eps": (assigned(1, _epsilon=1e-2), "1", "eps"),
    "statistics of the batch": (lambda model: model[1].train(), "1", "batch_statistics"),
    "statistics by an option": (assigned(1, _use_global_stats=False), "1", "batch_statistics"),
    "group norm eps": (assigned(5, _epsilon=1e-1), "5", "eps"),
    "groups": (assigned(5, _num_groups=2), "5", "groups"),
    "layer norm eps": (assigned(9, _epsilon=1e-3), "9", "eps"),
    "gelu": (assigned(2, _approximate=True), "2", "function"),
    "slope": (assigned(6, _negative_slope=0.3), "6", "slope"),
    "another activation": (lambda model: model.__setitem__(6, nn.ReLU()), "6", "function"),
    "dropout": (lambda model: model[3].train(), "3", "active"),
    "padding in the average": (assigned(4, exclusive=True), "4", "count_padding"),
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_difference_is_named_and_mended(name):
    """The right layer, the right aspect, and a line that makes the model equal."""
    plant, path, aspect = PLANTED[name]
    source, own = network()
    plant(own)
    if name == "another activation":  # its slope is not the default
        answer = cp.why(source, own, DATA)
        require_cause(answer, path, aspect)
        exec(answer.fix, {"model": own})
        aspect = "slope"
    planted.check_named_and_mended(source, own, path, aspect)


def test_pooling():
    """Padding and ceil_mode."""
    source, own = pair(tn.MaxPool1d(4, 3, 1), nn.MaxPool1D(4, 3, 1))
    for padding in (0, 2):
        changed = copy.deepcopy(own)
        changed[1].padding = padding
        planted.check_named_and_mended(source, changed, "1", "padding")
    planted.check_named_and_mended(*pair(tn.MaxPool1d(3, 2, ceil_mode=True), nn.MaxPool1D(3, 2)), "1", "ceil_mode")


def test_arrays():
    """Weights that are transposed or not loaded."""
    source, own = network()
    own[8].weight.set_value(np.ascontiguousarray(own[8].weight.numpy().T))
    planted.check_transposed(source, own, "8")
    source, own = network()
    own[1]._mean.set_value(np.zeros(8, np.float32))
    planted.check_not_loaded(source, own, "1")
    source, own = network()
    own[0].weight.set_value(nn.Conv1D(4, 8, 5).weight)
    require_cause(cp.why(source, own, DATA), "0", "weight")


def test_momentum_is_a_note():
    """Both kept 0.9 by default; another share does not change this output."""
    source, own = network()
    planted.check_momentum_is_a_note(source, own, assigned(1, _momentum=0.99))


def test_dtype():
    """A model in float64 is one cause, and the line changes it back."""
    source, own = network()
    own.to(dtype="float64")
    answer = cp.why(source, own, DATA)
    assert [cause.aspect for cause in answer.causes][:1] == ["dtype"]
    mended(answer, own, source, DATA)


def test_eps_of_float64():
    """Paddle's kernels read eps in float32, which shows in float64."""
    source, own = network()
    own.to(dtype="float64")
    answer = cp.why(source.to(torch.float64), own, DATA)
    assert {(cause.path_b, cause.aspect) for cause in answer.causes} == {("1", "eps"), ("9", "eps")}
    assert "9.999999747378752e-06 in b and 1e-05 in a" in answer.causes[0].text


def test_a_model_is_left_as_it_was():
    """Mode, running statistics, random state and functions, also after an interrupt."""

    class Interrupts(nn.Layer):
        def forward(self, x):
            paddle.rand([3])
            raise KeyboardInterrupt

    source, own = network()
    own.train()
    own.append(Interrupts()) if hasattr(own, "append") else own.add_sublayer("last", Interrupts())
    functions = [F.gelu, paddle.tanh, paddle.Tensor.tanh, paddle.Tensor.reshape, nn.Layer.__call__]
    mean = own[1]._mean.numpy()
    paddle.seed(5)
    expected = paddle.rand([4]).numpy()
    paddle.seed(5)
    with pytest.raises(KeyboardInterrupt):
        cp.why(own, source, DATA)
    assert np.array_equal(paddle.rand([4]).numpy(), expected)
    assert np.array_equal(own[1]._mean.numpy(), mean)
    assert own[1].training
    assert [F.gelu, paddle.tanh, paddle.Tensor.tanh, paddle.Tensor.reshape, nn.Layer.__call__] == functions
    assert reader_of(paddle.to_tensor([1.0])) is None
