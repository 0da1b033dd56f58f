"""The model, the clock and the call that the tests of `tune` share."""

from __future__ import annotations

import torch
from torch import nn

import convpolicy as cp
from convpolicy.frameworks.torch.execution import tuning as torch_tuning

OWN = torch_tuning.OWN


class Model(nn.Module):
    """A pointwise layer, a depthwise one, a reflection, weight normalisation, and one that is never called."""

    def __init__(self):
        super().__init__()
        self.pointwise = nn.Conv1d(6, 8, 1)
        self.depthwise = nn.Conv1d(8, 8, 15, padding=7, groups=8)
        self.norm = nn.BatchNorm1d(8)
        self.dropout = nn.Dropout(0.5)
        self.reflect = nn.Conv1d(8, 8, 3, padding=1, padding_mode="reflect")
        self.normed = nn.utils.parametrizations.weight_norm(nn.Conv1d(8, 4, 3, stride=2))
        self.unused = nn.Conv1d(2, 2, 3)

    def forward(self, x, scale=1.0):
        """(batch, 6, length) -> (batch, 4, …)."""
        return self.normed(self.reflect(self.dropout(self.norm(self.depthwise(self.pointwise(x)))))) * scale


def clock(monkeypatch):
    """Replace the clock by seconds that a test sets: of each lowering, the layer's own way 1.0, any other 2.0; returns the setter."""
    seen = []

    def set_times(**seconds):
        def interleaved(ways, rounds):
            seen.append((tuple(ways), rounds))
            for way in ways.values():
                way()  # a way that cannot be called is an error here too
            return {name: [1.0 if name == OWN else seconds.get(name, 2.0)] * 3 for name in ways}

        monkeypatch.setattr(torch_tuning, "interleaved", interleaved)
        return seen

    set_times()
    return set_times


def data(*shape, seed=1):
    """Random numbers, the same for the same shape."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def tune(model, inputs, **more):
    """`cp.tune` without its table."""
    return cp.tune(model, inputs, verbose=False, **more)
