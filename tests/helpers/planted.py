"""Torch models that the rooms of MindSpore, Paddle and MLX have twins of, and what their tests of planted differences share."""

from __future__ import annotations

import numpy as np
from helpers.compared import DATA, mended, randomized, require_cause
from torch import nn as tn

import convpolicy as cp


class First(tn.Module):
    """The output of a recurrent module, without its state."""

    def __init__(self, inner, *axes):
        super().__init__()
        self.inner, self.axes = inner, axes

    def forward(self, x):
        return self.inner(x.transpose(*self.axes) if self.axes else x)[0]


def network(*last):
    """Return a small convolutional network in inference mode, with random numbers, that ends in some modules."""
    modules = (
        tn.Conv1d(4, 8, 5, 2, 2),
        tn.BatchNorm1d(8),
        tn.GELU(),
        tn.Dropout(0.2),
        tn.AvgPool1d(3, 2, 1),
        tn.GroupNorm(4, 8),
        tn.LeakyReLU(0.1),
    )
    return randomized(tn.Sequential(*modules, *last)).eval()


def images():
    """Return a network of two axes, and an input."""
    source = randomized(tn.Sequential(tn.Conv2d(3, 4, 3, 2, 1), tn.BatchNorm2d(4), tn.ConvTranspose2d(4, 2, 2, 2))).eval()
    return source, np.random.default_rng(0).standard_normal((2, 3, 8, 8)).astype(np.float32)


def check_named_and_mended(source, own, path, aspect, data=DATA):
    """A planted difference is named with its module, and the line that is printed makes the models equal."""
    answer = cp.why(source, own, data)
    require_cause(answer, path, aspect)
    mended(answer, own, source, data)


def check_transposed(source, own, path, data=DATA):
    """A weight that was transposed is said to be."""
    answer = cp.why(source, own, data)
    require_cause(answer, path, "weight")
    assert "transposed" in answer.causes[0].text


def check_not_loaded(source, own, path, data=DATA):
    """Running means that are zeros are said to be not loaded."""
    answer = cp.why(source, own, data)
    require_cause(answer, path, "mean")
    assert "not loaded in b" in answer.causes[0].text


def check_momentum_is_a_note(source, own, change, data=DATA):
    """Equal shares of the running values give no note; another one, which does not change this output, gives one."""
    assert not cp.why(source, own, data).notes
    change(own)
    answer = cp.why(source, own, data)
    assert answer.equal
    assert "momentum is 0.99 in b and 0.9 in a" in answer.notes[0]
