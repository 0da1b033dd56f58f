"""MindSpore cells with the arrays of torch modules."""

from __future__ import annotations

import numpy as np
from helpers.compared import randomized
from mindspore import Tensor, nn
from torch import nn as tn

NAMES = {  # MindSpore's -> torch's
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
    "embedding_table": "weight",
    "w": "weight",
}


def copied(source, cell):
    """Copy the arrays of a torch module to a cell of the same kind."""
    own = {**dict(source.named_parameters()), **dict(source.named_buffers())}
    if isinstance(cell, (nn.LSTM, nn.GRU)):
        values = {value.name: value for value in cell.get_parameters()}
    else:
        values = {name: value for name, value in cell._params.items() if value is not None}
    for name, value in values.items():
        array = own[NAMES.get(name, name)].detach().numpy()
        value.set_data(Tensor(array.reshape(value.shape).astype(np.float32)))
    return cell


def pair(source, cell):
    """A torch and a MindSpore model of a convolution and one more module, with the same weights."""
    before, own_before = randomized(tn.Conv1d(4, 6, 3, padding=1)), nn.Conv1d(4, 6, 3, has_bias=True)
    return tn.Sequential(before, randomized(source)).eval(), nn.SequentialCell(copied(before, own_before), copied(source, cell))
