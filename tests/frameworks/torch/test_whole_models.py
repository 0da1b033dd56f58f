"""Whole torch models: every Conv1d ported, with its new names."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from helpers import targets, torch_nets
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


class Causal(nn.Module):
    """A convolution that its wrapper pads."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv1d(4, 4, 3)

    def forward(self, data):
        return self.conv(nn.functional.pad(data, (2, 0)))


def quantized():
    """A layer of integers."""
    from torch.ao.nn import quantized as integers

    return integers.Conv1d(4, 4, 3)


@pytest.mark.filterwarnings("ignore")  # torch says that these tools are old
@pytest.mark.parametrize(("make", "says"), [
    (Causal, "Causal, which contains 'conv' and may compute more than that; pass one convolution"),
    (lambda: torch.compile(nn.Conv1d(4, 4, 3)), "it is compiled; capture the original module, its attribute _orig_mod"),
    (quantized, "it is quantized; capture it before it is quantized"),
])  # fmt: skip
def test_the_sentence_that_fits(make, says):
    """What is around, or made of a Conv1d is refused by what it is, by `capture` and in a model's report."""
    layer = make()
    with pytest.raises(cp.ConvPolicyError, match=says):
        cp.capture(layer)
    report = cp.port_model(nn.Sequential(layer, nn.Conv1d(4, 4, 1)), to="numpy")
    assert "1" in report.layers
    if not says.startswith(("Causal", "it is compiled")):  # which are called no Conv1d, and what they contain is ported
        assert [row.path for row in report.refused] == ["0"]
        assert says in report.refused[0].reason


def test_a_layer_that_the_backend_cannot_hold():
    """A bfloat16 layer among others: a row with its path, and the rest is ported; with a dtype all are."""
    own = nn.Sequential(nn.Conv1d(4, 4, 3), nn.Conv1d(4, 4, 3).bfloat16(), nn.Conv1d(4, 4, 3))
    ported = cp.port_model(own, to="numpy")
    assert list(ported.layers) == ["0", "2"]
    assert [(row.path, row.reason[:46]) for row in ported.refused] == [("1", "dtype must be one of float32, float64 for back")]
    assert list(cp.port_model(own, to="numpy", dtype="float32").layers) == ["0", "1", "2"]


def state(own):
    """Parameters, buffers, modes and hooks."""
    modules = list(own.modules())
    return (
        {name: value.numpy().copy() for name, value in own.state_dict().items()},
        [(module.training, len(module._forward_hooks), len(module._forward_pre_hooks)) for module in modules],
    )


def test_targets_that_do_not_fit(tmp_path):
    """They are refused in one sentence, and the model is as before, after Ctrl-C too."""
    own = model().train()
    own[2].eval()
    targets.check_port_model(own, state)
    targets.check_convert(torch_nets.Named(conv=nn.Conv1d(3, 4, 5)), state, "torch", tmp_path)
