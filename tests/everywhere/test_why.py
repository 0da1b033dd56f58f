"""`why` on real layers: torch against MindSpore, 16-bit weights, and layers ported wrongly."""

from __future__ import annotations

import mindspore
import numpy as np
import pytest
import torch
from torch import nn

import convpolicy as cp

pytestmark = pytest.mark.needs("torch", "mindspore")

X = np.random.default_rng(0).standard_normal((2, 8, 33)).astype("float32")


def aspects(found):
    """The aspects of the causes."""
    return [cause.aspect for cause in found.causes]


def ported(native, **words):
    """A mindspore.nn.Conv1d with the weight of a torch layer."""
    layer = mindspore.nn.Conv1d(8, 12, 4, has_bias=True, **words)
    layer.weight.set_data(mindspore.Tensor(native.weight.detach().numpy()[:, :, None]))
    layer.bias.set_data(mindspore.Tensor(native.bias.detach().numpy()))
    return layer


def test_torch_against_mindspore():
    """Ported rightly they are equal; with MindSpore's own default pads it is the total, with a stride other windows."""
    torch.manual_seed(0)
    native = nn.Conv1d(8, 12, 4, padding="same")
    assert cp.why(native, ported(native), X).equal
    assert aspects(cp.why(native, ported(native, pad_mode="valid"), X)) == ["total"]
    flipped = ported(native)
    flipped.weight.set_data(mindspore.Tensor(native.weight.detach().numpy()[:, :, None, ::-1].copy()))
    assert aspects(cp.why(native, flipped, X)) == ["flip"]


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_16_bits(dtype):
    """Weights that went through 16 bits, and a layer that computes in them: the off-by-1e-3 case."""
    torch.manual_seed(1)
    native = nn.Conv1d(8, 12, 4, padding=2)
    stored = nn.Conv1d(8, 12, 4, padding=2)
    with torch.no_grad():
        for name in ("weight", "bias"):
            getattr(stored, name).copy_(getattr(native, name).to(getattr(torch, dtype)).float())
    found = cp.why(native, stored, X)
    assert (found.verdict, found.change) == ("one cause", f"in a: round weight and bias to {dtype}")
    half = cp.port(native, to="torch", dtype=dtype)
    assert cp.why(half, half, X).verdict == "equal to the bit"
    assert aspects(cp.why(native, half, X)) == ["precision"]


TORCH_ACTIVATIONS = {
    "relu": nn.ReLU(), "gelu, exact, by erf": nn.GELU(), "gelu, approximate, by tanh": nn.GELU("tanh"), "tanh": nn.Tanh(),
    "sigmoid": nn.Sigmoid(), "silu, also called swish": nn.SiLU(), "elu": nn.ELU(), "softplus": nn.Softplus(),
    "leaky_relu(negative_slope=0.01)": nn.LeakyReLU(),
}  # fmt: skip


@pytest.mark.parametrize("name", TORCH_ACTIVATIONS)
def test_a_layer_and_its_activation(name):
    """A module that applies one to a convolution, run in the dtype of its weight; the note says why it was not taken apart."""
    torch.manual_seed(0)
    native = nn.Conv1d(8, 12, 4)
    for dtype in ("float32", "float64"):
        native.to(getattr(torch, dtype))
        found = cp.why(native, nn.Sequential(native, TORCH_ACTIVATIONS[name]), 2 * X)
        assert (found.verdict, found.change) == ("one cause", f"in a: apply {name} to the output")
        (note,) = found.notes
        assert note.startswith(
            "b is compared by its outputs only: layer must be a 1-D convolution, got an object of class torch.nn."
        )


class Cell(mindspore.nn.Cell):
    """A layer and an activation."""

    def __init__(self, layer):
        super().__init__()
        self.layer, self.relu = layer, mindspore.nn.ReLU()

    def construct(self, data):
        return self.relu(self.layer(data))


def test_a_cell_and_its_activation():
    """As for torch, of MindSpore's."""
    torch.manual_seed(0)
    native = nn.Conv1d(8, 12, 4, padding="same")
    found = cp.why(native, Cell(ported(native)), X)
    assert (found.verdict, found.change) == ("one cause", "in a: apply relu to the output")


class Loud(nn.ConvTranspose1d):
    """A layer that computes something else."""

    def forward(self, data):
        return 2 * super().forward(data)


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize(("groups", "stride"), [(1, 3), (4, 1), (8, 2)])
def test_transposed_layers_of_torch(dtype, groups, stride):
    """A layer of each width computes what its attributes describe; output_padding and a reversed kernel are found."""
    torch.manual_seed(2)
    native = nn.ConvTranspose1d(8, 16, 5, stride, padding=1, groups=groups)
    layer = cp.port(native, to="torch", dtype=dtype)
    found = cp.why(layer, layer, X)
    assert (found.verdict, found.notes) == ("equal to the bit", ())
    if stride > 1:
        longer = nn.ConvTranspose1d(8, 16, 5, stride, padding=1, groups=groups, output_padding=1).to(getattr(torch, dtype))
        longer.load_state_dict(layer.state_dict())
        assert cp.why(layer, longer, X).change == "in a: output_padding=1 instead of 0"
    reversed_kernel = cp.port(layer, to="torch")
    with torch.no_grad():
        reversed_kernel.weight.copy_(layer.weight.flip(2))
    assert aspects(cp.why(layer, reversed_kernel, X)) == ["flip"]


def test_what_is_no_layer():
    """Two models are compared as models, and a subclass of a layer by its outputs, with what it is; a transposed layer is one."""
    model = nn.Sequential(nn.Conv1d(8, 8, 3), nn.Conv1d(8, 8, 3))
    assert [row.path_a for row in cp.why(model, model, X).rows] == ["0", "1"]
    found = cp.why(nn.Conv1d(8, 12, 3), nn.ConvTranspose1d(8, 12, 3, padding=1), X)
    assert (found.notes, aspects(found)) == ((), ["layer"])
    assert (
        cp.why(nn.Conv1d(8, 12, 3), Loud(8, 12, 3), X)
        .notes[0]
        .startswith("b is compared by its outputs only: layer Loud cannot be captured exactly: ")
    )


def test_a_failing_layer_is_told_in_one_line():
    """Of what a framework says only the first line, without the stack of its own code."""
    with pytest.raises(cp.ConvPolicyError) as error:
        cp.why(nn.Conv1d(8, 12, 4), Cell(mindspore.nn.Conv1d(7, 12, 4)), X)
    assert str(error.value).startswith("b cannot be run on x of shape (2, 8, 33) and dtype float32: ")
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 800
