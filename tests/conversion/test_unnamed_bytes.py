"""Bytes without a meaning in NumPy's archives: copied as they are, and named by a framework's own format."""

from __future__ import annotations

import re
from typing import ClassVar

import numpy as np
import pytest
from safetensors.numpy import load_file

import convpolicy as cp
from convpolicy.conversion.files.npz import NpzReader, NpzWriter

RANDOM = np.random.default_rng(0)
WEIGHT = RANDOM.standard_normal((6, 3, 4)).astype("float32")  # OIW
OTHER = RANDOM.integers(0, 9, (2, 5))
HALF = (WEIGHT.view("<u4") >> 16).astype("<u2")  # bfloat16, cut off


class Bfloat16Reader(NpzReader):
    """Archives of a framework that stores bfloat16 so."""

    dtypes: ClassVar = {"|V2": "bfloat16"}


class Bfloat16Writer(NpzWriter):
    """The same."""

    dtypes = Bfloat16Reader.dtypes


def test_unnamed_bytes_are_copied_and_named(tmp_path):
    """Their axes may move; they are never cast, and only an archive takes them."""
    np.savez(tmp_path / "a.npz", **{"conv.weight": HALF.view("V2"), "x": OTHER})
    words = {"source": "torch", "target": "mindspore", "guess": True}
    done = cp.convert(tmp_path / "a.npz", tmp_path / "b.npz", **words)
    assert any(
        re.match(r"'conv\.weight' is \|V2.*copied byte by byte: this is how NumPy stores a dtype that it lacks", note)
        for note in done.notes
    )
    found = np.load(tmp_path / "b.npz")["conv.weight"]
    assert found.shape == (6, 3, 1, 4)
    assert found.tobytes() == HALF.tobytes()
    with pytest.raises(
        cp.InvalidValueError,
        match=r"safetensors cannot store dtype \|V2, which 'conv\.weight' has; this is how NumPy stores a dtype that",
    ):
        cp.convert(tmp_path / "a.npz", tmp_path / "c.safetensors", **words)
    with pytest.raises(
        cp.InvalidValueError, match=r"'conv\.weight' is \|V2, which cannot be cast to float32: this is how NumPy stores"
    ):
        cp.convert(tmp_path / "a.npz", tmp_path / "c.npz", dtype="float32", **words)


@pytest.mark.needs("h5py")
def test_they_have_no_place_in_h5(tmp_path):
    """HDF5 would need to know what they are."""
    np.savez(tmp_path / "a.npz", **{"conv.weight": HALF.view("V2")})
    with pytest.raises(
        cp.InvalidValueError, match=r"an \.h5 file has no dtype \|V2, which 'conv/vars/0' needs; this is how NumPy stores"
    ):
        cp.convert(tmp_path / "a.npz", tmp_path / "c.weights.h5", source="torch", target="mindspore", guess=True)


def test_a_framework_says_what_they_are(register, tmp_path):
    """Files of its policies are read and written as bfloat16; those of others are as before."""
    register(cp.FileFormat("torch.npz", Bfloat16Reader, Bfloat16Writer, keeps_metadata=False))
    np.savez(tmp_path / "a.npz", **{"conv.weight": HALF.view("V2")})
    cp.convert(tmp_path / "a.npz", tmp_path / "b.safetensors", source="torch", target="keras", guess=True, dtype="float32")
    numbers = (HALF.astype("<u4") << 16).view("<f4")
    assert np.array_equal(load_file(tmp_path / "b.safetensors")["conv.kernel"], numbers.transpose(2, 1, 0))
    cp.convert(tmp_path / "b.safetensors", tmp_path / "c.npz", source="keras", target="torch", guess=True, dtype="bfloat16")
    assert np.load(tmp_path / "c.npz")["conv.weight"].tobytes() == HALF.tobytes()
    assert np.load(tmp_path / "c.npz")["conv.weight"].dtype == np.dtype("V2")
    with pytest.raises(cp.InvalidValueError, match=r"a \.npz file cannot store dtype bfloat16, which 'conv\.weight' has"):
        cp.convert(tmp_path / "a.npz", tmp_path / "d.npz", source="torch", target="OI1W", guess=True)
