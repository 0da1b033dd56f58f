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
