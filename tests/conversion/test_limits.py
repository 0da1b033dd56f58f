"""What a file claims and no result can hold: reserved names, shapes, sizes and names, refused before anything is written."""

from __future__ import annotations

import io
import json
import os
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from helpers.checkpoints import convert, model, refused, written
from safetensors.numpy import load_file, save_file

from convpolicy.conversion import limits
from convpolicy.conversion.files import npz

WEIGHT = np.random.default_rng(0).standard_normal((6, 3, 5)).astype("f4")


def archive(path: Path, compression=zipfile.ZIP_STORED, **members) -> Path:
    """An .npz file of a weight and of members with a header of their own."""
    with zipfile.ZipFile(path, "w", compression) as made:
        for name, (shape, data) in {"conv.weight": (WEIGHT.shape, WEIGHT.tobytes()), **members}.items():
            file = io.BytesIO()
            np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": shape})
            made.writestr(f"{name}.npy", file.getvalue() + data)
    return path


def header(path: Path, name: str, shape: list[int], size: int) -> Path:
    """A .safetensors file of a weight and of a tensor of any shape."""
    rows = {
        "conv.weight": {"dtype": "F32", "shape": WEIGHT.shape, "data_offsets": [0, WEIGHT.nbytes]},
        name: {"dtype": "F32", "shape": shape, "data_offsets": [WEIGHT.nbytes, WEIGHT.nbytes + size]},
    }
    text = json.dumps(rows).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + WEIGHT.tobytes() + bytes(size))
    return path


INPUTS = {
    "the name of the metadata": (lambda folder: archive(folder / "a.npz", __metadata__=((2,), bytes(8))), "b.safetensors", "reserves the name '__metadata__'"),
    "negative lengths": (lambda folder: archive(folder / "a.npz", x=((-2, -2), bytes(16))), "b.safetensors", r"'x' has shape \(-2, -2\)"),
    "negative lengths again": (lambda folder: archive(folder / "a.npz", x=((-2, -2), bytes(16))), "b.npz", r"'x' has shape \(-2, -2\)"),
    "70 axes": (lambda folder: archive(folder / "a.npz", x=((1,) * 70, bytes(4))), "b.npz", "cannot store 'x' of shape 70 axes"),
    "70 axes from safetensors": (lambda folder: header(folder / "a.safetensors", "x", [1] * 70, 4), "b.npz", "cannot store 'x' of shape 70 axes"),
    "2**63 bytes of nothing": (lambda folder: header(folder / "a.safetensors", "x", [0, 2**61], 0), "b.npz", "cannot store 'x' of shape"),
    "lengths beyond 64 bits": (lambda folder: archive(folder / "a.npz", x=((0, 2**64), b"")), "b.safetensors", "a length is from 0 to"),
    "a weight of nothing": (lambda folder: header(folder / "a.safetensors", "w.weight", [0, 2**61, 3], 0), "b.npz", "cannot be a Conv1d weight"),
    "a name of 70 000 bytes": (lambda folder: header(folder / "a.safetensors", "n" * 70_000, [1], 4), "b.npz", "cannot store a name of 70000 bytes"),
    "two names for one": (lambda folder: archive(folder / "a.npz", **{"x": ((1,), bytes(4)), "x.npy": ((1,), bytes(4))}), "b.npz", "cannot store both 'x' and 'x.npy'"),
    "a bomb": (lambda folder: archive(folder / "a.npz", zipfile.ZIP_DEFLATED, x=((2**25,), bytes(2**27))), "b.npz", "claims to contain .* bytes, more than 100 times"),
}  # fmt: skip


@pytest.mark.parametrize("case", INPUTS)
def test_refused(case, tmp_path):
    """In one sentence with the tensor's name; nothing is written."""
    make, output, says = INPUTS[case]
    refused(make(tmp_path), says, output, mapping={"*.weight": "torch"}, guess=False)


def test_small_files_may_expand(tmp_path):
    """64 MiB of zeros compress a thousandfold and are taken."""
    source = archive(tmp_path / "a.npz", zipfile.ZIP_DEFLATED, x=((2**20,), bytes(2**22)))
    assert source.stat().st_size * limits.EXPANSION < 2**22 < limits.SMALL
    convert(source, tmp_path / "b.npz")
    assert np.load(tmp_path / "b.npz")["x"].size == 2**20


@pytest.mark.parametrize("case", ["70 axes", "2**63 bytes of nothing"])
def test_a_writer_that_does_not_check_is_noticed(case, tmp_path, monkeypatch):
    """Without the check NumPy refuses the result, which is what the check is for."""
    monkeypatch.setattr(npz, "check_array", lambda *_words: None)
    convert(INPUTS[case][0](tmp_path), tmp_path / "b.npz")
    with (
        pytest.raises(ValueError, match=r"maximum supported dimension|too big|Maximum allowed"),
        np.load(tmp_path / "b.npz") as made,
    ):
        print(made["x"])


@pytest.mark.parametrize("size", ["text", None, [1], float("nan"), True, -1])
def test_a_size_that_is_none(size, tmp_path):
    """An index whose total size is no number of bytes is refused before anything is written."""
    save_file({"conv.weight": WEIGHT}, tmp_path / "a.safetensors")
    index = tmp_path / "a.safetensors.index.json"
    index.write_text(
        json.dumps({"metadata": {"total_size": size}, "weight_map": {"conv.weight": "a.safetensors"}}), encoding="utf-8"
    )
    (tmp_path / "b").mkdir()
    refused(index, "must contain a number of bytes under 'total_size'", "b/a.safetensors.index.json")


def test_a_stamp_without_end(tmp_path):
    """Brackets nested 100 000 deep in the metadata."""
    save_file({"conv.weight": WEIGHT}, tmp_path / "a.safetensors", {"convpolicy": "[" * 100_000})
    refused(tmp_path / "a.safetensors", "has a stamp that cannot be read")


@pytest.mark.parametrize("name", ["a" * 243 + ".safetensors", "é" * 121 + ".safetensors", "a" * 251 + ".npz"])
def test_names_as_long_as_can_be(name, tmp_path):
    """255 bytes, of which a hidden name takes no more; nothing else is left."""
    source = written(tmp_path / "s.safetensors")
    convert(source, tmp_path / name)
    assert (load_file(tmp_path / name) if name.endswith("s") else np.load(tmp_path / name)).keys() == model().keys()
    assert len(list(tmp_path.iterdir())) == 2


def test_names_that_are_too_long(tmp_path):
    """The system's own error, with the name that was asked for, before the work."""
    source, steps = written(tmp_path / "s.safetensors"), []
    with pytest.raises(OSError, match="File name too long") as raised:
        convert(source, tmp_path / ("a" * 244 + ".safetensors"), progress=lambda *step: steps.append(step))
    assert (Path(raised.value.filename).name, steps) == ("a" * 244 + ".safetensors", [])


@pytest.mark.skipif(os.geteuid() == 0 and not Path("/proc").is_dir(), reason="no folder that nobody can write")
@pytest.mark.parametrize("suffix", [".safetensors", ".npz"])
def test_a_folder_that_cannot_be_written(suffix, tmp_path):
    """The error names the output and not the hidden file."""
    with pytest.raises(OSError, match=rf"/proc/x{suffix}'$"):
        convert(written(tmp_path / "s.safetensors"), Path(f"/proc/x{suffix}"))


FULL = """
import os, resource, sys
import convpolicy as cp
for limit in sys.argv[3:]:
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), resource.RLIM_INFINITY))
    try:
        cp.convert(sys.argv[1], sys.argv[2], source="torch", target="keras", guess=True)
    except OSError as error:
        print(limit, error.strerror, os.listdir("."))
"""


def test_an_archive_on_a_full_disk(tmp_path):
    """One error wherever the disk is full, and nothing on stderr: no archive is closed once more when it is forgotten."""
    save_file({f"conv{n}.weight": np.zeros((64, 16, 16), "f4") for n in range(3)}, tmp_path / "a.safetensors")
    words, limits = [sys.executable, "-c", FULL, "a.safetensors", "b.npz"], ["10", "200", "4096", "70000"]
    done = subprocess.run([*words, *limits], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout.splitlines() == [f"{limit} File too large ['a.safetensors']" for limit in limits]
    assert done.stderr == ""


def test_the_report_counts_what_is_left_out(tmp_path):
    """The command prints a guess with what it leaves, before anything is written."""
    from click.testing import CliRunner

    from convpolicy.cli import group

    save_file({"conv.weight": WEIGHT, "pos.weight": WEIGHT}, tmp_path / "a.safetensors")
    words = [
        "convert",
        str(tmp_path / "a.safetensors"),
        str(tmp_path / "b.npz"),
        "--source",
        "torch",
        "--target",
        "OWI",
        "--guess",
    ]
    shown = CliRunner().invoke(group.build(), words)
    assert shown.exit_code == 2
    assert "'pos.weight' is copied unchanged: its name does not mention a convolution" in shown.output
