"""Whole torch models: every Conv1d ported, with its new names."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from helpers.whole_models import check, check_names
from torch import nn

import convpolicy as cp


class Block(nn.Module):
    """Two convolutions, one of them in two places."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv1d(4, 6, 3, padding=1, groups=2)
        self.inner = nn.ModuleDict({"a": nn.Conv1d(6, 4, 5, stride=2, padding=2, padding_mode="reflect", bias=False)})
        self.again = self.first


def model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv1d(3, 4, 4, padding="same"), nn.ReLU(), Block(), nn.Linear(4, 2))


@pytest.mark.parametrize("to", ["numpy", "torch"])
def test_layer_by_layer(to):
    """Outputs within rounding, weights to the bit, names and axes right."""
    own = model()
    ported = cp.port_model(own, to=to)
    check({path: own.get_submodule(path) for path in ("0", "2.first", "2.inner.a")}, "torch", ported, to)
    assert not ported.refused
    check_names(ported, {name: value.detach().numpy() for name, value in own.named_parameters()}, to)


def test_every_path():
    """A module in two places is ported once, and listed twice when asked."""
    from convpolicy.layers.whole_models import convolutions

    assert [row.path for row, _ in convolutions(model())] == ["0", "2.first", "2.inner.a"]
    assert [row.path for row, _ in convolutions(model(), every_path=True)] == ["0", "2.first", "2.inner.a", "2.again"]


def test_nothing_is_changed():
    """The model computes afterwards what it computed before."""
    own = nn.Sequential(nn.Conv1d(3, 4, 4), nn.Conv1d(4, 2, 3)).eval()
    data = torch.randn(2, 3, 12)
    before = own(data).detach().numpy().copy()
    cp.port_model(own, to="numpy")
    assert np.array_equal(own(data).detach().numpy(), before)
