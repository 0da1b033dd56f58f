"""Transposed tensors are made block by block, beside the writing: the bytes are the same."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import convpolicy as cp
from convpolicy.conversion import transposing
from convpolicy.conversion.files import safetensors as files

ONE = {"one": np.ones((1, 1, 1), "f4")}  # a weight, without which convert has nothing to do
SHAPES = [(), (0, 3), (7,), (1, 9), (9, 1), (13, 17), (300, 5), (5, 300), (4, 3, 40), (40, 3, 4), (2, 3, 5, 31)]


@pytest.mark.parametrize("dtype", ["u1", "f2", "f4", "f8"])
def test_blocks_are_the_whole(dtype, monkeypatch):
    """Every order of the axes of every shape, with blocks of a few rows and with one block; most have several."""
    random, several = np.random.default_rng(0), 0
    monkeypatch.setattr(transposing, "TILE", 4)
    monkeypatch.setattr(transposing, "BLOCK", 64)
    for shape in SHAPES:
        array = random.integers(0, 100, shape).astype(dtype)
        views = [array, array.T, array[..., ::-1] if shape else array, np.swapaxes(array, 0, -1) if shape else array]
        for view in views:
            pieces = [bytes(piece) for piece in transposing.packed_pieces(view)]
            assert b"".join(pieces) == view.tobytes()
            several += len(pieces) > 1
    assert several > 10


def test_no_thread_is_left_after_an_error(monkeypatch):
    """A writer that fails between two blocks ends the thread that makes them."""
    monkeypatch.setattr(transposing, "TILE", 4)
    monkeypatch.setattr(transposing, "BLOCK", 64)
    before = threading.active_count()
    pieces = transposing.packed_pieces(np.zeros((30, 40)).T)
    next(pieces)
    assert threading.active_count() == before + 1
    pieces.close()
    assert threading.active_count() == before


@pytest.mark.parametrize("linux", [True, False])
def test_the_disk_starts_early(linux, tmp_path, monkeypatch):
    """With and without it, and for tensors of several sizes, the file is the same."""
    monkeypatch.setattr(files, "LINUX", linux and files.LINUX)
    monkeypatch.setattr(files, "SYNCED", 1000)
    random = np.random.default_rng(0)
    tensors = {f"conv{size}.weight": random.standard_normal((size, 3, 5)).astype("f4") for size in (1, 16, 17, 5_000)}
    save_file(tensors | {"bare": np.arange(999)}, tmp_path / "a.safetensors")
    mapping = {"conv*.weight": "torch"}
    cp.convert(tmp_path / "a.safetensors", tmp_path / "b.safetensors", source="torch", target="keras", mapping=mapping)
    found = load_file(tmp_path / "b.safetensors")
    assert np.array_equal(found["bare"], np.arange(999))
    assert all(np.array_equal(found[key.replace("weight", "kernel")], value.transpose(2, 1, 0)) for key, value in tensors.items())


@pytest.mark.parametrize("name", ["conv.weight", "other"])
def test_an_input_that_becomes_shorter(name, tmp_path):
    """The file is cut while it is converted: inside a tensor that is copied, and inside one that is transposed."""
    save_file(ONE | {"a": np.ones(300, "f4"), name: np.ones((200, 50, 5), "f4")}, tmp_path / "a.safetensors")

    def cut(_name, written, _total):
        if written == 0:
            with (tmp_path / "a.safetensors").open("r+b") as file:
                file.truncate(5000)

    mapping = {"one": "torch"} | ({"conv.weight": "torch"} if name == "conv.weight" else {})
    with pytest.raises(cp.InvalidValueError, match=f"was truncated while it was read, inside '{name}'; start again"):
        cp.convert(
            tmp_path / "a.safetensors", tmp_path / "b.safetensors", source="torch", target="keras", mapping=mapping, progress=cut
        )
    assert [path.name for path in tmp_path.iterdir()] == ["a.safetensors"]
