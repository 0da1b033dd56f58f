"""A torch model with every kind of module that `why` knows, and faults to plant in it."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn
from torch.nn import functional

SHAPE = (3, 4, 64)


class Block(nn.Module):
    """Functions that are no modules, and a residual sum."""

    def __init__(self, activation=functional.gelu, eps=1e-5):
        super().__init__()
        self.conv = nn.Conv1d(8, 8, 3, padding=1)
        self.activation, self.eps = activation, eps
        self.weight = nn.Parameter(torch.rand(8) + 0.5)

    def forward(self, x):
        y = self.activation(self.conv(functional.pad(x, (1, 1))))[..., 1:-1]
        y = functional.layer_norm(y.transpose(1, 2), (8,), self.weight, None, self.eps).transpose(1, 2)
        return x + y


def network():
    """A model with every kind of module that has a formula; its running statistics are not those of a new model."""
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv1d(4, 8, 5, stride=2, padding=2), nn.BatchNorm1d(8), nn.LeakyReLU(0.1), nn.ConvTranspose1d(8, 8, 4, 2, 1),
        nn.GroupNorm(2, 8), nn.GELU(), Block(), nn.AvgPool1d(3, 2, 1), nn.Upsample(scale_factor=2, mode="linear"),
        nn.ReflectionPad1d(1), nn.MaxPool1d(3, 2, ceil_mode=True), nn.LayerNorm(33), nn.Dropout(0.2), nn.SiLU(), nn.Flatten(),
        nn.Linear(8 * 33, 16), nn.RMSNorm(16), nn.Softmax(-1), nn.Linear(16, 16),
    )  # fmt: skip
    model[1].running_mean.normal_()
    model[1].running_var.uniform_(0.5, 2)
    return model.eval()


def set_to(path, **attributes):
    """Return a function that sets attributes of a module."""

    def change(model):
        for name, value in attributes.items():
            setattr(model.get_submodule(path), name, value)

    return change


def data_to(path, name, function):
    """Return a function that changes a parameter."""

    def change(model):
        parameter = getattr(model.get_submodule(path), name)
        parameter.data = function(parameter.data)

    return change


def replaced(path, module):
    """Return a function that replaces a module."""
    return lambda model: model.set_submodule(path, module())


def new(path):
    """Return a function that draws the weights of a module anew."""

    def change(model):
        torch.manual_seed(9)
        model.get_submodule(path).reset_parameters()

    return change


FAULTS = {  # name -> change of b, path of the module, aspect
    "stride": (set_to("0", stride=(1,)), "0", "stride"),
    "padding": (set_to("0", padding=(1,)), "0", "total"),
    "mode": (replaced("0", lambda: _with(network()[0], padding_mode="circular")), "0", "padding mode"),
    "kernel": (data_to("0", "weight", lambda w: w.flip(-1)), "0", "flip"),
    "bias": (data_to("0", "bias", lambda b: b * 0), "0", "bias"),
    "no bias": (set_to("0", bias=None), "0", "bias"),
    "new weights": (new("0"), "0", "weight"),
    "batch norm": (set_to("1", eps=1e-3), "1", "eps"),
    "statistics": (lambda model: model[1].train(), "1", "batch_statistics"),
    "mean": (data_to("1", "running_mean", lambda m: m * 0), "1", "mean"),
    "slope": (set_to("2", negative_slope=0.3), "2", "slope"),
    "cut": (set_to("3", padding=(0,), output_padding=(0,)), "3", "cut total"),
    "groups": (set_to("4", num_groups=4), "4", "groups"),
    "group norm": (set_to("4", eps=1e-3), "4", "eps"),
    "gelu": (set_to("5", approximate="tanh"), "5", "function"),
    "other activation": (replaced("5", nn.SiLU), "5", "function"),
    "function": (set_to("6", activation=lambda x: functional.gelu(x, approximate="tanh")), "6.gelu", "function"),
    "eps of a function": (set_to("6", eps=1e-3), "6.layer_norm", "eps"),
    "count": (set_to("7", count_include_pad=False), "7", "count_padding"),
    "pool": (set_to("7", kernel_size=(2,)), "7", "kernel_size"),
    "alignment": (set_to("8", align_corners=True), "8", "align_corners"),
    "nearest": (set_to("8", mode="nearest"), "8", "function"),
    "ceil": (set_to("10", ceil_mode=False), "10", "ceil_mode"),
    "layer norm": (set_to("11", eps=1e-6), "11", "eps"),
    "dropout": (lambda model: model[12].train(), "12", "active"),
    "no activation": (replaced("13", nn.Identity), "13", "missing"),
    "linear": (data_to("15", "weight", lambda w: w.flip(0)), "15", "weight"),
    "transposed": (data_to("18", "weight", lambda w: w.T.contiguous()), "18", "weight"),
    "not loaded": (new("18"), "18", "weight"),
    "scale": (data_to("16", "weight", lambda w: w * 3), "16", "scale"),
    "dtype": (None, "18", "dtype"),
}
LENGTHS = {"stride", "padding", "cut", "pool", "ceil"}  # faults after which a later module refuses the input


def _with(conv, **changes):
    """Return a convolution with other arguments of its constructor."""
    arguments = {name: getattr(conv, name) for name in ("in_channels", "out_channels", "kernel_size", "stride", "padding")}
    other = nn.Conv1d(**arguments | changes)
    other.load_state_dict(conv.state_dict())
    return other


def numbers(seed=0):
    """Return a random input."""
    return np.random.default_rng(seed).standard_normal(SHAPE, dtype=np.float32)


def faulty(*names):
    """Return the model with faults."""
    model = network()
    for name in names:
        FAULTS[name][0](model)
    return model
