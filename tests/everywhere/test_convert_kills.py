"""A process that is killed while it writes a framework's own files: the source is intact, and the old or the new result is whole."""

from __future__ import annotations

import zipfile

import h5py
import mindspore
import numpy as np
import pytest
import torch
from helpers.checkpoints import random_tensor
from helpers.kills import converted_and_killed
from safetensors.numpy import save_file

import convpolicy as cp

pytestmark = pytest.mark.needs("torch", "mindspore", "h5py")

COUNT = 8
WORDS = {"source": "torch", "target": "keras", "guess": True}


def tensors(seed):
    """The weights of some convolutions."""
    return {f"conv{n}.weight": random_tensor(seed + n, (16, 8, 5)) for n in range(COUNT)}


def of_h5(file):
    """Every dataset of an HDF5 file."""
    with h5py.File(file) as opened:
        return {f"conv{n}.kernel": opened[f"conv{n}/vars/0"][()] for n in range(COUNT)}


def of_keras(path):
    """Those of a .keras file."""
    with zipfile.ZipFile(path) as archive, archive.open("model.weights.h5") as file:
        assert archive.testzip() is None
        return of_h5(file)


def of_checkpoint(path):
    """MindSpore's own parameters."""
    values = mindspore.load_checkpoint(str(path))
    return {name: value.asnumpy() for name, value in values.items() if not isinstance(value, str)}


READERS = {
    ".pt": lambda path: {name: value.numpy() for name, value in torch.load(path, weights_only=True).items()},
    ".ckpt": of_checkpoint, ".weights.h5": of_h5, ".keras": of_keras,
}  # fmt: skip


def written(path, seed):
    """A source: safetensors, or a .keras file, as a .keras file is made from such a one only."""
    if path.suffix != ".keras":
        save_file(tensors(seed), path)
        return path
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", b"{}")
        with archive.open("model.weights.h5", "w") as member, h5py.File(path.with_suffix(".h5"), "w") as file:
            for name, value in tensors(seed).items():
                file[f"{name.removesuffix('.weight')}/vars/0"] = value
            file.close()
            member.write(path.with_suffix(".h5").read_bytes())
    return path


@pytest.mark.parametrize("suffix", READERS)
@pytest.mark.parametrize("kills", [2, pytest.param(50, marks=pytest.mark.grid)])
def test_killed_at_random_moments(suffix, kills, tmp_path):
    """With and without an older result: what has the output's name is opened by its own reader and is the old or the new."""
    end = ".keras" if suffix == ".keras" else ".safetensors"
    source, older = written(tmp_path / f"a{end}", 0), written(tmp_path / f"c{end}", 100)
    moved = tuple(
        {name.replace("weight", "kernel"): value.transpose(2, 1, 0) for name, value in tensors(seed).items()} for seed in (0, 100)
    )
    cp.convert(source, tmp_path / f"warm{suffix}", **WORDS)
    outcomes = converted_and_killed(kills, source, older, (tmp_path, f"x{suffix}"), READERS[suffix], moved, WORDS)
    assert kills < 50 or outcomes == {"old", "new"}


def test_a_half_written_file_is_noticed(tmp_path):
    """The comparison above fails for a file that lacks its end."""
    source = written(tmp_path / "a.safetensors", 0)
    for suffix in (".pt", ".ckpt", ".weights.h5"):
        cp.convert(source, tmp_path / f"x{suffix}", **WORDS)
        (tmp_path / f"x{suffix}").write_bytes((tmp_path / f"x{suffix}").read_bytes()[:-900])
        with pytest.raises(Exception, match=r"."):
            assert np.all([value.size for value in READERS[suffix](tmp_path / f"x{suffix}").values()])
