"""Whole models of MLX: every convolution under the name that ``save_weights`` gives it, ported with its values."""

from __future__ import annotations

import mlx.core as mx
import numpy as np
import pytest
from mlx import nn
from mlx.utils import tree_flatten

import convpolicy as cp
from convpolicy import reference

pytest.importorskip("torch")
from models import PATHS, SHARED, mlx_model

BACKEND = cp.backends()["mlx"]


def module_of(model, path):
    """The module at a path of a model."""
    for name in path.split("."):
        model = model[int(name)] if isinstance(model, list) else model[name]
    return model


@pytest.mark.parametrize("target", ["numpy", "torch"])
def test_every_layer_is_ported(target):
    """The same bits of weights, the same outputs on random data up to rounding, and the names of the parameters."""
    model = mlx_model()
    ported = cp.port_model(model, to=target)
    assert tuple(ported.layers) == PATHS
    assert ported.refused == ()
    names = {name for name, _array in tree_flatten(model.parameters()) if name.startswith(PATHS)}
    assert set(ported.parameters) == names
    assert {row.axes for row in ported.parameters.values()} == {"OWI -> OIW", "O"}
    for path, layer in ported.layers.items():
        own = module_of(model, path)
        weights, theirs = BACKEND.parameters(own), cp.backends()[target].parameters(layer)
        assert np.array_equal(theirs["weight"], weights["weight"])
        assert (weights["bias"] is None) == (theirs["bias"] is None)
        assert weights["bias"] is None or np.array_equal(theirs["bias"], weights["bias"])
        data = np.random.default_rng(0).standard_normal((2, own.weight.shape[2] * own.groups, 30), dtype=np.float32)
        magnitude = np.abs(weights["weight"]).sum((1, 2)).max() * np.abs(data).max() + 1
        bound = 2 * reference.tolerance("float32", weights["weight"][0].size + 1, magnitude)
        assert np.abs(cp.backends()[target].run(layer, data) - BACKEND.run(own, data)).max() <= bound


def test_a_shared_layer_has_every_name_that_a_file_has():
    """Ported once; found under both names in a file."""
    model = mlx_model()
    assert SHARED not in cp.port_model(model, to="numpy").layers
    paths = [convolution.path for convolution in BACKEND.convolutions(model, True)]
    assert paths == [*PATHS, SHARED]
    assert {name.rpartition(".")[0] for name, _array in tree_flatten(model.parameters())} == {*paths, "layers.3"}


class Conv1dOfMine(nn.Module):
    """Called a convolution, which it is not."""

    def __call__(self, x):
        return x


def test_what_is_not_ported_is_reported():
    """With the reason; a class that is only called a convolution, and layers that compute something else."""
    odd, odd_transposed = nn.Conv1d(4, 4, 3), nn.ConvTranspose1d(4, 4, 3)
    odd.padding = odd_transposed.output_padding = (1, 1)
    ported = cp.port_model(nn.Sequential(odd_transposed, Conv1dOfMine(), odd, nn.Conv1d(4, 2, 1)), to="numpy")
    assert list(ported.layers) == ["layers.3"]
    assert [row.path for row in ported.refused] == ["layers.0", "layers.1", "layers.2"]
    assert "its output_padding is (1, 1)" in ported.refused[0].reason
    assert "its padding is (1, 1)" in ported.refused[2].reason


def test_transposed_convolutions_are_ported():
    """An encoder and a decoder: each layer is listed, its weight is (in, out, kernel), and the outputs agree up to rounding."""
    layers = [
        nn.Conv1d(3, 4, 5, stride=2, padding=2),
        nn.ConvTranspose1d(4, 6, 5, 2, 1, 1, 1),
        nn.ConvTranspose1d(6, 3, 3, bias=False),
    ]
    model = nn.Sequential(*layers)
    ported = cp.port_model(model, to="numpy")
    assert list(ported.layers) == ["layers.0", "layers.1", "layers.2"]
    assert ported.refused == ()
    data = np.random.default_rng(0).standard_normal((2, 3, 20), dtype=np.float32)
    for own, layer in zip(layers, ported.layers.values()):
        expected = BACKEND.run(own, data)
        assert np.array_equal(BACKEND.parameters(own)["weight"], layer.weight)
        magnitude = np.abs(layer.weight).sum((0, 2)).max() * np.abs(data).max() + 1
        bound = 2 * reference.tolerance("float32", layer.weight.size + 1, magnitude)
        assert np.abs(layer(data) - expected).max() <= bound
        data = expected


def test_a_layer_alone_and_another_object():
    """The path of a model that is a layer is empty; what is no module of MLX is left to other backends."""
    assert list(cp.port_model(nn.Conv1d(4, 2, 3), to="numpy").layers) == [""]
    assert BACKEND.convolutions({"conv": nn.Conv1d(4, 2, 3)}, False) is None
    assert BACKEND.convolutions(mx.zeros(3), False) is None


class Padded(nn.Module):
    """A model that pads before its first convolution and cuts after its second."""

    def __init__(self):
        super().__init__()
        self.one, self.two, self.last = (nn.Conv1d(4, 4, 3) for _ in range(3))

    def __call__(self, data):
        hidden = nn.relu(self.one(mx.pad(data, [(0, 0), (2, 0), (0, 0)])))
        return self.last(hidden)[:, :, :2] + self.two(hidden)[:, :-1, :2]


def test_parents_that_pad():
    """What a call pads and cuts along the length is in the report; the other layer is plain "ported"."""
    assert {row.path: row.state for row in cp.port_model(Padded(), to="numpy").report} == {
        "one": "ported, but its parent pads: Padded (mx.pad in __call__)",
        "two": "ported, but its parent pads: Padded ([:, :-1, :2] in __call__)",
        "last": "ported",
    }
