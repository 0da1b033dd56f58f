"""Torch's checkpoints: names of wrappers, dtypes and sizes that only torch has, and what a guess takes of real modules."""

from __future__ import annotations

import collections

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from torch import nn

import convpolicy as cp

WORDS = {"source": "torch", "target": "keras"}


def model():
    """A convolution and a normalisation."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv1d(4, 6, 3), nn.BatchNorm1d(6))


WRAPPED = {
    "DataParallel": lambda own: nn.DataParallel(own).state_dict(),
    "compile": lambda own: torch.compile(own).state_dict(),
    "a part compiled": lambda own: nn.Sequential(torch.compile(own[0]), own[1]).state_dict(),
    "both": lambda own: nn.DataParallel(torch.compile(own)).state_dict(),
}


@pytest.mark.parametrize("wrapper", WRAPPED)
def test_wrappers(wrapper, tmp_path):
    """The layers of the bare model are found in the file of a wrapped one, and the layers of a wrapped one in the bare file."""
    own = model()
    torch.save(WRAPPED[wrapper](own), tmp_path / "a.pt")
    cp.convert(tmp_path / "a.pt", tmp_path / "b.safetensors", layers=own, **WORDS)
    (kernel,) = [value for name, value in load_file(tmp_path / "b.safetensors").items() if name.endswith("kernel")]
    assert np.array_equal(kernel, own[0].weight.detach().numpy().transpose(2, 1, 0))
    torch.save(own.state_dict(), tmp_path / "c.pt")
    layers = {
        name.removesuffix(".weight"): own[0] for name in WRAPPED[wrapper](own) if name.endswith("0.weight") or "0._orig" in name
    }
    layers = {path: layer for path, layer in layers.items() if not path.endswith("bias")}
    cp.convert(tmp_path / "c.pt", tmp_path / "d.safetensors", layers=layers, **WORDS)
    assert np.array_equal(load_file(tmp_path / "d.safetensors")["0.kernel"], kernel)


def test_a_wrapper_is_named_and_taken_off(tmp_path):
    """A note says what 'module.' is and which map takes it off; that map leaves the weights in the guess, and torch loads the result."""
    own = model()
    torch.save(nn.DataParallel(own).state_dict(), tmp_path / "a.pth")
    done = cp.convert(tmp_path / "a.pth", tmp_path / "b.pth", source="torch", target="mindspore", layers=own)
    assert any("every name begins with 'module.'" in note and "{'module.*': {'name': '*'}}" in note for note in done.notes)
    words = {"mapping": {"module.*": {"name": "*"}}}
    done = cp.convert(tmp_path / "a.pth", tmp_path / "c.safetensors", guess=True, **WORDS, **words)
    assert np.array_equal(load_file(tmp_path / "c.safetensors")["0.kernel"], own[0].weight.detach().numpy().transpose(2, 1, 0))
    assert any("4 tensors of other layers keep the names and axes of torch" in note for note in done.notes)
    cp.convert(tmp_path / "a.pth", tmp_path / "d.pth", source="torch", target="torch", **words)
    model().load_state_dict(torch.load(tmp_path / "d.pth", weights_only=True))


def test_two_paths_that_are_one_without_wrappers(tmp_path):
    """Which of them a layer is is not known, so neither is taken."""
    own = nn.Conv1d(4, 6, 3)
    torch.save({"module.a.weight": own.weight, "_orig_mod.a.weight": own.weight.flip(0)}, tmp_path / "a.pt")
    with pytest.raises(cp.InvalidValueError, match="layers has 'a', for which the file has no 'weight'"):
        cp.convert(tmp_path / "a.pt", tmp_path / "b.safetensors", layers={"a": own}, **WORDS)


class Upsampler(nn.Module):
    """Convolutions of both kinds, by telling names and by others, and a table of positions."""

    def __init__(self, bias=True):
        super().__init__()
        self.conv = nn.Conv1d(8, 8, 3, bias=bias)
        self.down = nn.Conv1d(8, 4, 3)
        self.up = nn.ConvTranspose1d(4, 8, 3)
        self.decoder = nn.ModuleDict({"conv": nn.ConvTranspose1d(8, 2, 5)})
        self.same = nn.ConvTranspose1d(8, 8, 3, bias=bias)
        self.pos = nn.ParameterDict({"weight": torch.randn(1, 16, 8)})
        self.bilinear = nn.Bilinear(3, 4, 4)


@pytest.mark.parametrize("bias", [False, True])
def test_a_guess_of_real_modules(bias, tmp_path):
    """The convolutions are moved; transposed ones, positions and pairs are as they were, and each is in a note."""
    torch.manual_seed(0)
    own = Upsampler(bias)
    torch.save(own.state_dict(), tmp_path / "a.pt")
    done = cp.convert(tmp_path / "a.pt", tmp_path / "b.safetensors", guess=True, **WORDS)
    assert {row.old for row in done.weights} == {"conv.weight", "down.weight"}
    found = load_file(tmp_path / "b.safetensors")
    for path in ("conv", "down"):
        assert np.array_equal(found[f"{path}.kernel"], getattr(own, path).weight.detach().numpy().transpose(2, 1, 0))
    for name in ("up.weight", "decoder.conv.weight", "same.weight", "pos.weight", "bilinear.weight"):
        assert np.array_equal(found[name], own.state_dict()[name].numpy())
    assert sum("copied unchanged" in note for note in done.notes) >= 3


def test_dtypes_that_only_torch_has(tmp_path):
    """complex32 is copied to torch's files and refused by name in every other."""
    with pytest.warns(UserWarning, match="ComplexHalf support is experimental"):
        state = {"conv.weight": torch.randn(6, 3, 5), "c": torch.zeros(3, dtype=torch.complex32)}
    torch.save(state, tmp_path / "a.pt")
    words = {"source": "torch", "target": "mindspore", "guess": True}
    cp.convert(tmp_path / "a.pt", tmp_path / "b.pt", **words)
    assert torch.load(tmp_path / "b.pt", weights_only=True)["c"].dtype == torch.complex32
    for suffix in (".npz", ".safetensors"):
        with pytest.raises(cp.InvalidValueError, match="cannot store dtype complex32, which 'c' has"):
            cp.convert(tmp_path / "a.pt", tmp_path / f"c{suffix}", **words)


def test_expanded_tensors(tmp_path):
    """A tensor of 40 TB in a file of 2 KB is refused by its size; one of 4 MB is written as the numbers it has."""
    weight = torch.randn(6, 3, 5)
    torch.save({"conv.weight": weight, "x": torch.zeros(1).expand(10**13)}, tmp_path / "a.pt")
    with pytest.raises(cp.InvalidValueError, match=r"a\.pt has \d+ bytes and claims to contain 40000000000360 bytes"):
        cp.convert(tmp_path / "a.pt", tmp_path / "b.npz", guess=True, **WORDS)
    torch.save({"conv.weight": weight, "x": torch.ones(1).expand(10**6)}, tmp_path / "a.pt")
    cp.convert(tmp_path / "a.pt", tmp_path / "b.npz", guess=True, **WORDS)
    assert np.array_equal(np.load(tmp_path / "b.npz")["x"], np.ones(10**6, "f4"))


def test_other_dictionaries(tmp_path):
    """What is written is a dict, or an OrderedDict where the source had one with its versions."""
    torch.save(collections.defaultdict(list, {"conv.weight": torch.randn(6, 3, 5)}), tmp_path / "a.pt")
    with pytest.raises(cp.InvalidValueError, match="contains more than tensors"):
        cp.convert(tmp_path / "a.pt", tmp_path / "b.pt", guess=True, **WORDS)
    torch.save(model().state_dict(), tmp_path / "c.pt")
    cp.convert(tmp_path / "c.pt", tmp_path / "d.pt", guess=True, source="torch", target="mindspore")
    made = torch.load(tmp_path / "d.pt", weights_only=True)
    assert isinstance(made, collections.OrderedDict)
    assert made._metadata == model().state_dict()._metadata
