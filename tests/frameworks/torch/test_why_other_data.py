"""`why` of torch modules whose data or settings have another form and that compute the same."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import convpolicy as cp


class Toeplitz(nn.Conv1d):
    """PESTO's linear layer: a Conv1d of one channel whose data has no axis of channels."""

    def __init__(self, inputs, outputs):
        super().__init__(1, 1, inputs + outputs - 1, padding=outputs - 1, bias=False)

    def forward(self, x):
        return super().forward(x.unsqueeze(-2)).squeeze(-2)


class Around(nn.Module):
    """The same with the convolution as a child."""

    def __init__(self, inputs, outputs):
        super().__init__()
        self.conv = nn.Conv1d(1, 1, inputs + outputs - 1, padding=outputs - 1, bias=False)

    def forward(self, x):
        return self.conv(x[:, None])[:, 0]


class Net(nn.Module):
    """A linear layer before it, which has a partner in every case."""

    def __init__(self, last, norm):
        super().__init__()
        self.norm, self.first, self.last = norm, nn.Linear(9, 8), last

    def forward(self, x):
        return self.last(torch.relu(self.first(self.norm(x[:, None])[:, 0])))


def pair():
    torch.manual_seed(0)
    a, b = Net(Toeplitz(8, 5), nn.LayerNorm((1, 9))), Net(Around(8, 5), nn.LayerNorm(9))
    nn.init.normal_(a.norm.weight)
    nn.init.normal_(a.norm.bias)
    with torch.no_grad():
        b.norm.weight.copy_(a.norm.weight[0])
        b.norm.bias.copy_(a.norm.bias[0])
        b.last.conv.weight.copy_(a.last.weight)
    b.first.load_state_dict(a.first.state_dict())
    return a.eval(), b.eval(), np.random.default_rng(0).standard_normal((6, 9), dtype=np.float32)


def test_equal():
    """A convolution whose class takes data without channels, and a LayerNorm over an axis of length 1, are no causes."""
    a, b, x = pair()
    diagnosis = cp.why(a, b, x)
    assert diagnosis.equal, str(diagnosis)
    assert diagnosis.causes == ()


@pytest.mark.parametrize("path", ["norm", "last.conv"])
def test_another_weight_is_still_found(path):
    """The same pair with one changed number names the module."""
    a, b, x = pair()
    with torch.no_grad():
        b.get_submodule(path).weight.view(-1)[3] += 0.5
    diagnosis = cp.why(a, b, x)
    assert not diagnosis.equal
    assert {cause.path_b.partition(".")[0] for cause in diagnosis.causes} == {path.partition(".")[0]}, str(diagnosis)
