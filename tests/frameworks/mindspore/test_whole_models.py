"""Whole MindSpore models: every Conv1d ported, with its new names; checkpoint files converted with the model."""

from __future__ import annotations

import mindspore
import numpy as np
import pytest
from helpers.whole_models import check, check_names
from mindspore import mint, nn
from safetensors.numpy import load_file

import convpolicy as cp
from convpolicy.layers.whole_models import convolutions


class Halved(nn.Conv1d):
    """A convolution that computes more than one."""

    def construct(self, x):
        """Halve the output."""
        return super().construct(x) / 2


class Block(nn.Cell):
    """Two convolutions, one of them in two places."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv1d(4, 6, 3, group=2, has_bias=True)
        self.inner = nn.SequentialCell(nn.Conv1d(6, 4, 5, stride=2, pad_mode="pad", padding=1), nn.ReLU())
        self.mint = mint.nn.Conv1d(4, 4, 3, padding=1)
        self.again = self.first
        self.halved = Halved(4, 4, 3)

    def construct(self, data):
        """Convolve twice."""
        return self.inner(self.first(data))


def model():
    mindspore.set_seed(0)
    return nn.SequentialCell(nn.Conv1d(3, 4, 4), nn.ReLU(), Block())


PATHS = ("0", "2.first", "2.inner.0", "2.mint")


def modules(own):
    cells = dict(own.cells_and_names())
    return {path: cells[path] for path in PATHS}


@pytest.mark.parametrize("to", ["numpy", pytest.param("torch", marks=pytest.mark.needs("torch"))])
def test_layer_by_layer(to):
    """Outputs within rounding, weights to the bit, names and axes right; what is no plain convolution is reported."""
    own = model()
    ported = cp.port_model(own, to=to)
    check(modules(own), "mindspore", ported, to, not_run=["2.mint"])  # which has no kernel on the CPU
    assert [row.path for row in ported.report] == [*PATHS, "2.halved"]
    assert [(row.path, row.class_name) for row in ported.refused] == [("2.halved", "Halved")]
    names = {name: value.asnumpy() for name, value in own.parameters_and_names()}
    check_names(ported, names, to)
    target = "OIW"
    assert ported.parameters["2.first.weight"].axes == f"OI1W -> {target}"
    assert ported.parameters["2.mint.weight"].axes == f"OIW -> {target}"
    assert ported.parameters["2.first.bias"].axes == "O"


def test_every_path():
    """A cell in two places is listed once, and twice when asked."""
    assert [row.path for row, _ in convolutions(model())] == [*PATHS, "2.halved"]
    assert [row.path for row, _ in convolutions(model(), every_path=True)] == [*PATHS, "2.again", "2.halved"]


def test_convert(tmp_path):
    """A checkpoint and its model: the weights of each Conv1d are found and moved, the refused one is named."""
    own = nn.SequentialCell(nn.Conv1d(3, 4, 4), nn.ReLU(), nn.Conv1d(4, 6, 3, group=2), Halved(6, 4, 3))
    mindspore.save_checkpoint(own, str(tmp_path / "a.ckpt"))
    done = cp.convert(tmp_path / "a.ckpt", tmp_path / "b.safetensors", source="mindspore", target="torch", layers=own)
    assert [(row.name, row.why) for row in done.weights] == [("0.weight", "layer"), ("2.weight", "layer")]
    found = load_file(tmp_path / "b.safetensors")
    for number in (0, 2):
        assert np.array_equal(found[f"{number}.weight"], own[number].weight.asnumpy()[:, :, 0])
    assert found["3.weight"].shape == own[3].weight.shape
    assert any(
        "'3.weight' is copied unchanged: layer Halved cannot be captured exactly: its class overrides construct" in note
        for note in done.notes
    )


class Padded(nn.Cell):
    """A model that pads before its first convolution."""

    def __init__(self):
        super().__init__()
        self.one, self.two = nn.Conv1d(4, 4, 3, pad_mode="valid"), nn.Conv1d(4, 4, 3)

    def construct(self, data):
        hidden = self.one(mindspore.ops.pad(data, ((0, 0), (0, 0), (2, 0))))
        return self.two(hidden)


def test_parents_that_pad():
    """What a construct and a SequentialCell pad is in the report; the other layers are plain "ported"."""
    sequential = nn.SequentialCell(nn.Conv1d(4, 4, 3), nn.ConstantPad1d((2, 0), 0.0), nn.Conv1d(4, 4, 3))
    assert [row.state for model in (Padded(), sequential) for row in cp.port_model(model, to="numpy").report] == [
        "ported, but its parent pads: Padded (mindspore.ops.pad in construct)", "ported",
        "ported", "ported, but its parent pads: SequentialCell (ConstantPad1d before it)",
    ]  # fmt: skip
