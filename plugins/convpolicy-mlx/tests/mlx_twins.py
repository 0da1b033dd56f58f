"""MLX modules with the arrays of torch modules."""

from __future__ import annotations

import mlx.core as mx
import numpy as np
import torch
from helpers.compared import randomized
from mlx import nn

LAST = (nn.Conv1d, nn.Conv2d)  # weights with the input channels last
TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d)


def copied(source, module):
    """Copy the arrays of a torch module to an MLX module of the same kind."""
    own = {name: value.detach().numpy() for name, value in [*source.named_parameters(), *source.named_buffers()]}
    if isinstance(module, (nn.LSTM, nn.GRU)):
        module.Wx, module.Wh = mx.array(own["weight_ih_l0"]), mx.array(own["weight_hh_l0"])
        _copy_biases(own["bias_ih_l0"], own["bias_hh_l0"], module)
        return module
    for name in [name for name, value in module.items() if isinstance(value, mx.array)]:
        array = own[name]
        if name == "weight" and isinstance(module, LAST):
            array = np.moveaxis(array, 1, -1)
        if name == "weight" and isinstance(module, TRANSPOSED):
            array = np.moveaxis(array, 0, -1)
        module[name] = mx.array(np.ascontiguousarray(array))
    return module


def _copy_biases(inputs, hidden, module):
    if isinstance(module, nn.LSTM):
        module.bias = mx.array(inputs + hidden)
        return
    both = 2 * module.hidden_size  # those of two gates are added, that of the third is not
    module.b = mx.array(np.concatenate([inputs[:both] + hidden[:both], inputs[both:]]))
    module.bhn = mx.array(hidden[both:])


def pair(source, module):
    """A torch and an MLX model of a convolution and one more module, with the same weights, in inference mode."""
    before, own_before = randomized(torch.nn.Conv1d(4, 6, 3, padding=1)), nn.Conv1d(4, 6, 3, padding=1)
    own = nn.Sequential(copied(before, own_before), copied(randomized(source), module))
    own.eval()
    return torch.nn.Sequential(before, source).eval(), own
