"""`why` of MLX models with planted differences: the right module, the right aspect, and a line that mends it."""

from __future__ import annotations

import mlx.core as mx
import numpy as np
import pytest
from mlx import nn

pytest.importorskip("torch")
from helpers import planted
from helpers.compared import DATA, randomized, require_cause
from mlx_twins import copied, pair
from torch import nn as tn

import convpolicy as cp
from convpolicy.models.readers import reader_of


def network():
    """A small network and its torch twin."""
    source = planted.network(tn.Upsample(scale_factor=2, mode="linear"), tn.MaxPool1d(3, 2, 1))
    own = nn.Sequential(
        nn.Conv1d(4, 8, 5, 2, 2),
        nn.BatchNorm(8),
        nn.GELU(),
        nn.Dropout(0.2),
        nn.AvgPool1d(3, 2, 1),
        nn.GroupNorm(4, 8, pytorch_compatible=True),
        nn.LeakyReLU(0.1),
        nn.Upsample(2, mode="linear"),
        nn.MaxPool1d(3, 2, 1),
    )
    own.eval()
    for one, other in zip(source, own.layers):
        copied(one, other)
    return source, own


def assigned(number, **attributes):
    """Set attributes of a module."""
    return lambda model: [setattr(model.layers[number], name, value) for name, value in attributes.items()]


PLANTED = {
    "batch norm eps": (assigned(1, eps=1e-2), 1, "eps"),
    "statistics of the batch": (lambda model: model.layers[1].train(), 1, "batch_statistics"),
    "gelu": (assigned(2, _approx="tanh"), 2, "function"),
    "fast gelu": (assigned(2, _approx="fast"), 2, "function"),
    "dropout": (lambda model: model.layers[3].train(), 3, "active"),
    "stride": (assigned(4, _kernel_size=[2]), 4, "kernel_size"),
    "pooling padding": (assigned(4, _padding=[(2, 0)]), 4, "padding"),
    "group norm eps": (assigned(5, eps=1e-1), 5, "eps"),
    "groups": (assigned(5, num_groups=2), 5, "groups"),
    "order of groups": (assigned(5, pytorch_compatible=False), 5, "interleaved"),
    "slope": (assigned(6, _negative_slope=0.3), 6, "slope"),
    "corners": (assigned(7, align_corners=True), 7, "align_corners"),
    "average for maximum": (lambda model: model.layers.__setitem__(8, nn.MaxPool1d(3, 2, 0)), 8, "padding"),
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_difference_is_named_and_mended(name):
    """The right module, the right aspect, and a line that makes the model equal."""
    plant, number, aspect = PLANTED[name]
    source, own = network()
    assert cp.why(source, own, DATA).equal
    plant(own)
    planted.check_named_and_mended(source, own, f"layers.{number}", aspect)


def test_rows_of_the_last_axis():
    """Epsilon of LayerNorm and RMSNorm, a transposed Linear."""
    source, own = (
        tn.Sequential(tn.LayerNorm(20), tn.RMSNorm(20, eps=1e-5), tn.Linear(20, 20)),
        nn.Sequential(nn.LayerNorm(20, eps=1e-1), nn.RMSNorm(20), nn.Linear(20, 20)),
    )
    randomized(source)
    for one, other in zip(source, own.layers):
        copied(one, other)
    planted.check_named_and_mended(source, own, "layers.0", "eps", (DATA, DATA))
    own.layers[1].eps = 1e-1
    planted.check_named_and_mended(source, own, "layers.1", "eps", (DATA, DATA))
    own.layers[2].weight = own.layers[2].weight.T
    planted.check_transposed(source, own, "layers.2", (DATA, DATA))


def test_ceil_mode():
    """MLX has none; the setting is named, without a line."""
    answer = cp.why(*pair(tn.MaxPool1d(3, 2, ceil_mode=True), nn.MaxPool1d(3, 2)), DATA)
    require_cause(answer, "layers.1", "ceil_mode")
    assert not answer.fix


def test_arrays():
    """Statistics and weights that are not loaded, and a line for an activation that is missing."""
    source, own = network()
    own.layers[1].running_mean = mx.zeros(8)
    planted.check_not_loaded(source, own, "layers.1")
    source, own = network()
    own.layers[0].weight = nn.Conv1d(4, 8, 5).weight
    require_cause(cp.why(source, own, DATA), "layers.0", "weight")


def test_momentum_is_a_note():
    """MLX's momentum is torch's: 0.1 means that 0.9 is kept."""
    source, own = network()
    planted.check_momentum_is_a_note(source, own, assigned(1, momentum=0.01))


def test_dtype():
    """A model in float16 is one cause, and the line changes the model; a single module is changed alone."""
    source, own = network()
    own.set_dtype(mx.float16)
    answer = cp.why(source, own, DATA)
    assert [cause.aspect for cause in answer.causes][:1] == ["dtype"]
    exec(answer.fix, {"model": own})
    assert {str(own.layers[number].weight.dtype) for number in (0, 1, 5)} == {"mlx.core.float32"}
    own.layers[1].set_dtype(mx.bfloat16)
    line = reader_of(own).fix("layers.1", "batch norm", "dtype", "float32")
    assert line == "import mlx.core as mx; model.layers[1].set_dtype(mx.float32)"


class Interrupts(nn.Module):
    """Draws, changes an array in place, and is interrupted."""

    def __init__(self):
        super().__init__()
        self._calls = mx.zeros(1, mx.int32)

    def __call__(self, _x):
        mx.random.normal((3,))
        self._calls += 1
        raise KeyboardInterrupt


def test_a_model_is_left_as_it_was():
    """Mode, running statistics, random state, functions and classes, also after an interrupt."""
    source, own = network()
    own.layers.append(Interrupts())
    own.train()
    functions = [nn.gelu, mx.tanh, mx.array.reshape, nn.GELU.__call__, nn.Sequential.__call__]
    arrays = own.layers[1].running_mean, own.layers[9]._calls
    mx.random.seed(5)
    key = mx.random.state[0].tolist()
    with pytest.raises(KeyboardInterrupt):
        cp.why(own, source, (np.moveaxis(DATA, 1, -1), DATA))
    assert mx.random.state[0].tolist() == key
    assert (own.layers[1].running_mean, own.layers[9]._calls) == arrays
    assert own.layers[9]._calls.item() == 0
    assert own.layers[1].training
    assert [nn.gelu, mx.tanh, mx.array.reshape, nn.GELU.__call__, nn.Sequential.__call__] == functions
    assert "__call__" not in vars(nn.MaxPool1d)
    assert reader_of(mx.zeros(3)) is None
