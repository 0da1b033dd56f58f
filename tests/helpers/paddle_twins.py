"""Paddle layers with the arrays of torch modules."""

from __future__ import annotations

import warnings

import numpy as np
from helpers.compared import randomized
from torch import nn as tn

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from paddle import nn

NAMES = {"scale": "weight", "_mean": "running_mean", "_variance": "running_var", "_weight": "weight"}  # Paddle's -> torch's


def copied(source, layer):
    """Copy the arrays of a torch module to a Paddle layer of the same kind."""
    own = {**dict(source.named_parameters()), **dict(source.named_buffers())}
    for name, value in layer.named_parameters(include_sublayers=not isinstance(layer, (nn.LSTM, nn.GRU))):
        array = own[NAMES.get(name, name)].detach().numpy()
        array = array.T if isinstance(layer, nn.Linear) and name == "weight" else array
        value.set_value(np.ascontiguousarray(array).reshape(value.shape))
    return layer


def pair(source, layer):
    """A torch and a Paddle model of a convolution and one more module, with the same weights, in inference mode."""
    before, own_before = randomized(tn.Conv1d(4, 6, 3, padding=1)), nn.Conv1D(4, 6, 3, padding=1)
    models = tn.Sequential(before, randomized(source)), nn.Sequential(copied(before, own_before), copied(source, layer))
    for model in models:
        model.eval()
    return models
