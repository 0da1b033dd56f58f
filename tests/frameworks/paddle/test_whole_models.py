"""Whole Paddle models: every Conv1D ported, with its new names."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import paddle
from helpers.whole_models import check, check_names
from safetensors.numpy import load_file, save_file

import convpolicy as cp
from convpolicy.layers.whole_models import convolutions


class Halved(paddle.nn.Conv1D):
    """A convolution that computes more than one."""

    def forward(self, x):
        """Halve the output."""
        return super().forward(x) / 2


class Block(paddle.nn.Layer):
    """Two convolutions, one of them in two places."""

    def __init__(self):
        super().__init__()
        self.first = paddle.nn.Conv1D(4, 6, 3, padding=1, groups=2)
        self.inner = paddle.nn.LayerList([paddle.nn.Conv1D(6, 4, 5, stride=2, padding="SAME", bias_attr=False)])
        self.normed = paddle.nn.utils.weight_norm(paddle.nn.Conv1D(4, 4, 3))
        self.again = self.first
        self.halved = Halved(4, 4, 3)


def model():
    paddle.seed(0)
    return paddle.nn.Sequential(paddle.nn.Conv1D(3, 4, 4), paddle.nn.ReLU(), Block())


PATHS = ("0", "2.first", "2.inner.0", "2.normed")


@pytest.mark.parametrize("to", ["numpy", pytest.param("torch", marks=pytest.mark.needs("torch"))])
def test_layer_by_layer(to):
    """Outputs within rounding, weights to the bit, names and axes right; what is no plain convolution is reported."""
    own = model()
    ported = cp.port_model(own, to=to)
    layers = dict(own.named_sublayers())
    check({path: layers[path] for path in PATHS}, "paddle", ported, to)
    assert [row.path for row in ported.report] == [*PATHS, "2.halved"]
    assert [(row.path, row.class_name) for row in ported.refused] == [("2.halved", "Halved")]
    check_names(ported, {name: value.numpy() for name, value in own.named_parameters()}, to)
    assert {old for old, new in ported.parameters.items() if new.computed} == {"2.normed.weight_g", "2.normed.weight_v"}
    assert ported.parameters["2.normed.weight_v"].name == "2.normed.weight"


def test_every_path():
    """A layer in two places is listed once, and twice when asked."""
    assert [row.path for row, _ in convolutions(model())] == [*PATHS, "2.halved"]
    assert [row.path for row, _ in convolutions(model(), every_path=True)] == [*PATHS, "2.again", "2.halved"]


def test_convert(tmp_path):
    """A file of the state dict and its model: the weights are found and moved."""
    own = paddle.nn.Sequential(paddle.nn.Conv1D(3, 4, 4), paddle.nn.ReLU(), paddle.nn.Conv1D(4, 6, 3, groups=2))
    save_file({name: value.numpy() for name, value in own.state_dict().items()}, tmp_path / "a.safetensors")
    done = cp.convert(tmp_path / "a.safetensors", tmp_path / "b.safetensors", source="paddle", target="flax", layers=own)
    assert sorted((row.name, row.why) for row in done.weights) == [("0.kernel", "layer"), ("2.kernel", "layer")]
    found = load_file(tmp_path / "b.safetensors")
    for number in (0, 2):
        assert np.array_equal(found[f"{number}.kernel"], own[number].weight.numpy().transpose(2, 1, 0))


class Padded(paddle.nn.Layer):
    """A model that pads before its second convolution, and cuts after it."""

    def __init__(self):
        super().__init__()
        self.one, self.pad, self.two = paddle.nn.Conv1D(4, 4, 3), paddle.nn.Pad1D([2, 0]), paddle.nn.Conv1D(4, 4, 3)

    def forward(self, data):
        return self.two(paddle.nn.functional.relu(self.pad(self.one(data))))[:, :, :-1]


def test_parents_that_pad():
    """What a forward and a Sequential pad is in the report; the other layers are plain "ported"."""
    sequential = paddle.nn.Sequential(paddle.nn.Conv1D(4, 4, 3), paddle.nn.Pad1D([2, 0]), paddle.nn.Conv1D(4, 4, 3))
    assert [row.state for model in (Padded(), sequential) for row in cp.port_model(model, to="numpy").report] == [
        "ported", "ported, but its parent pads: Padded (self.pad in forward, [:, :, :-1] in forward)",
        "ported", "ported, but its parent pads: Sequential (Pad1D before it)",
    ]  # fmt: skip
