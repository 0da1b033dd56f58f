"""What `convert` refuses, and what it leaves behind: damaged and malicious files, a full disk, a kill; the source is never touched."""

from __future__ import annotations

import json
import os
import resource
import signal
import struct
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from helpers.checkpoints import convert, refused
from safetensors.numpy import save_file

import convpolicy as cp
from convpolicy.cli import group as cli


def random(shape, dtype="float32"):
    """Random values."""
    return np.random.default_rng(0).standard_normal(shape).astype(dtype)


@pytest.fixture
def source(tmp_path):
    """A small safetensors file."""
    path = tmp_path / "a.safetensors"
    save_file({"conv.weight": random((6, 3, 5)), "conv.bias": random(6), "head.weight": random((4, 6))}, path, {"format": "pt"})
    return path


def test_truncated_anywhere(source):
    """A file cut at any of many places is not whole, and nothing is written."""
    whole = source.read_bytes()
    for length in {0, 1, 7, 8, 9, 60, *range(0, len(whole), 37), len(whole) - 1}:
        source.write_bytes(whole[:length])
        assert str(source) in refused(source, "is not a whole safetensors file")


def header(rows: dict, data: bytes = b"") -> bytes:
    """A safetensors file of this header."""
    text = json.dumps(rows).encode()
    return struct.pack("<Q", len(text)) + text + data


ROW = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
MALFORMED = {
    "no file at all": b"hello, this is no checkpoint, and never was one",
    "a header of 2**63 bytes": struct.pack("<Q", 2**63) + b"{}",
    "a header longer than the file": struct.pack("<Q", 10**6) + b"{}",
    "broken JSON": struct.pack("<Q", 4) + b"{{{{",
    "a shape of 2**62": header({"x": {"dtype": "F32", "shape": [2**62, 4], "data_offsets": [0, 8]}}, b"\0" * 8),
    "a negative shape": header({"x": {"dtype": "F32", "shape": [-2], "data_offsets": [0, 8]}}, b"\0" * 8),
    "offsets past the end": header({"x": {"dtype": "F32", "shape": [2], "data_offsets": [0, 800]}}, b"\0" * 8),
    "overlapping tensors": header({"x": ROW, "y": ROW}, b"\0" * 8),
    "a hole": header({"x": ROW, "y": {"dtype": "F32", "shape": [2], "data_offsets": [16, 24]}}, b"\0" * 24),
    "bytes behind the last tensor": header({"x": ROW}, b"\0" * 16),
    "an unknown dtype": header({"x": {"dtype": "F33", "shape": [2], "data_offsets": [0, 8]}}, b"\0" * 8),
}


@pytest.mark.parametrize("fault", MALFORMED)
def test_malformed(fault, tmp_path):
    """Each is refused by the name of the file, before anything is written and without taking the memory it claims."""
    path = tmp_path / "a.safetensors"
    path.write_bytes(MALFORMED[fault])
    refused(path, "is not a whole safetensors file")


@pytest.mark.parametrize(
    "place",
    ["../secret.safetensors", "/etc/secret.safetensors", "sub/secret.safetensors", "..\\secret.safetensors", "secret.bin"],
)
def test_an_index_does_not_lead_out_of_its_folder(place, tmp_path):
    """Names with a path, and names of other files, are refused without opening them."""
    path = tmp_path / "model.safetensors.index.json"
    path.write_text(json.dumps({"weight_map": {"conv.weight": place}}), encoding="utf-8")
    refused(path, "must be a .safetensors file in the same folder", "b.safetensors")


def test_an_index_and_a_link(source, tmp_path):
    """A link of a harmless name that leads out of the folder is refused; so is an index that its files contradict."""
    inner = tmp_path / "model"
    inner.mkdir()
    (inner / "part.safetensors").symlink_to(source)
    path = inner / "model.safetensors.index.json"
    path.write_text(json.dumps({"weight_map": {"conv.weight": "part.safetensors"}}), encoding="utf-8")
    refused(path, "a link to .* outside its folder", "b.safetensors")
    (inner / "part.safetensors").unlink()
    (inner / "part.safetensors").write_bytes(source.read_bytes())
    refused(path, "do not agree about", "b.safetensors")
    path.write_text("{", encoding="utf-8")
    refused(path, "is not valid JSON", "b.safetensors")


def test_npz(tmp_path):
    """Pickled objects are never loaded; a cut archive, a member that is no array and a false size are refused."""
    path = tmp_path / "a.npz"
    np.savez(path, **{"conv.weight": random((6, 3, 5)), "x": np.array([print], dtype=object)})
    refused(path, "contains 'x' as pickled objects, which could run code")
    np.savez(path, **{"conv.weight": random((6, 3, 5))})
    whole = path.read_bytes()
    for length in range(0, len(whole) - 1, 41):
        path.write_bytes(whole[:length])
        refused(path, "is not a whole npz file")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("../conv.weight.txt", "x")
    refused(path, "which is not an array")


ARGUMENTS = {
    "suffix of src": ({}, "a.txt", "b.safetensors", r"src must end in one of .safetensors, .*, got 'a.txt'; rename the file"),
    "suffix of dst": ({}, "a.safetensors", "b.tensors", "dst must end in one of .safetensors, .*, got 'b.tensors'; rename the file"),
    "source": ({"source": "troch"}, "a.safetensors", "b.safetensors", "source: unknown policy 'troch'.*Did you mean 'torch'"),
    "target": ({"target": "NCW"}, "a.safetensors", "b.safetensors", "target must be a weight layout, got the data layout 'NCW'"),
    "dtype": ({"dtype": "float33"}, "a.safetensors", "b.safetensors", "dtype must be one of float64, float32, float16, bfloat16 or None, got"),
    "nothing said": ({"guess": False}, "a.safetensors", "b.safetensors", "does not know which tensors are Conv1d weights; pass layers"),
    "no weights": ({"source": "keras"}, "a.safetensors", "b.safetensors", r"has no Conv1d weight in the layout of keras \(axes WIO"),
    "a map": ({"mapping": {"nothing.*": "torch"}}, "a.safetensors", "b.safetensors", "mapping has 'nothing.\\*', which matches no remaining tensor"),
    "a map of a map": ({"mapping": {"conv.*": {"layuot": "torch"}}}, "a.safetensors", "b.safetensors", "must be the name of a layout, or a table"),
    "layers": ({"layers": 3}, "a.safetensors", "b.safetensors", "layers must be a PortedModel, a model of one of the backends .*torch.*, or a mapping of paths to layers, got int; pass one"),
    "depthwise": ({"target": "WIM"}, "a.safetensors", "b.safetensors", "layout 'WIM' is depthwise, so groups must be known"),
}  # fmt: skip


@pytest.mark.parametrize("fault", ARGUMENTS)
def test_arguments(fault, source):
    """A bad argument is named, with what came and what is allowed, before anything is written."""
    words, src, dst, says = ARGUMENTS[fault]
    kind = {"source": LookupError, "target": TypeError, "layers": TypeError}.get(fault, ValueError)
    refused(source.with_name(src), says, dst, kind, **words)


def test_the_output_is_never_replaced_unasked(source, tmp_path):
    """An output that exists is refused, and replaced with force; the input, however it is spelt, is never the output."""
    made = tmp_path / "b.safetensors"
    made.write_text("precious")
    refused(source, r"output '.*b.safetensors' exists already; pass force \(--force\) to replace it, or another name")
    convert(source, made, force=True)
    assert made.stat().st_size > source.stat().st_size
    (tmp_path / "linked.safetensors").symlink_to(source)
    os.link(source, tmp_path / "hard.safetensors")
    for name in ("a.safetensors", "linked.safetensors", "hard.safetensors", f"../{tmp_path.name}/a.safetensors"):
        refused(source, "is the input .*; choose another name", name, force=True)
    refused(tmp_path / "linked.safetensors", "is the input .*; choose", "a.safetensors", force=True)
    (tmp_path / "folder.safetensors").mkdir()
    refused(source, "is a folder; name a file|exists already", "folder.safetensors", force=True)


def test_an_output_that_appears_meanwhile_is_kept(source, tmp_path):
    """A file that another process makes under the same name while the conversion runs is not replaced."""
    made = tmp_path / "b.safetensors"
    with pytest.raises(cp.InvalidValueError, match="exists already"):
        convert(source, made, progress=lambda *_step: made.write_text("theirs"))
    assert made.read_text() == "theirs"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.safetensors", "b.safetensors"]


def test_an_error_in_the_middle_leaves_nothing(source, tmp_path):
    """An exception or Ctrl-C out of the progress function: no output, no hidden file."""
    for error in (RuntimeError("stop"), KeyboardInterrupt()):

        def stop(name, *_rest, error=error):
            if name:
                raise error

        with pytest.raises(type(error)):
            convert(source, tmp_path / "b.safetensors", progress=stop)
        assert [path.name for path in tmp_path.iterdir()] == ["a.safetensors"]


LIMITED = """
import resource, sys
import convpolicy as cp
from convpolicy.cli.group import main
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
sys.argv = ["convpolicy", *sys.argv[1:]]
main()
"""


def large(path: Path) -> Path:
    """A file of 64 MiB."""
    weight = random((256, 256, 64))
    save_file({f"conv{n}.weight": weight for n in range(4)}, path)
    return path


@pytest.mark.parametrize("name", ["b.safetensors", "b.npz"])
def test_a_full_disk(tmp_path, name):
    """A disk that takes no more: one sentence with the output's name, exit status 2, and nothing is left."""
    assert resource.RLIMIT_FSIZE is not None
    source = large(tmp_path / "a.safetensors")
    words = [
        sys.executable,
        "-c",
        LIMITED,
        "convert",
        str(source),
        str(tmp_path / name),
        "--source",
        "torch",
        "--target",
        "keras",
    ]
    result = subprocess.run([*words, "--guess", "--yes"], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.strip().splitlines()[-1] == f"convpolicy: {tmp_path / name}: File too large."
    assert [path.name for path in tmp_path.iterdir()] == ["a.safetensors"]


SLOW = """
import sys, time
import convpolicy as cp
def slowly(name, done, total):
    print(name, flush=True)
    time.sleep(30 if done else 0)
cp.convert(sys.argv[1], sys.argv[2], source="torch", target="keras", guess=True, progress=slowly)
"""


def test_a_kill_in_the_middle(tmp_path):
    """SIGKILL after a tensor: the output's name is not there, the source is whole, and a second try succeeds."""
    source, made = large(tmp_path / "a.safetensors"), tmp_path / "b.safetensors"
    before = source.read_bytes()
    with subprocess.Popen([sys.executable, "-c", SLOW, str(source), str(made)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline().strip() == "conv0.kernel"
        assert process.stdout.readline().strip() == "conv1.kernel"
        process.send_signal(signal.SIGKILL)
    assert not made.exists()
    hidden = [path.name for path in tmp_path.iterdir() if path.name.startswith(".b.safetensors.")]
    assert len(hidden) == 1
    assert source.read_bytes() == before
    convert(source, made, target="keras")
    assert made.stat().st_size > source.stat().st_size


def test_a_polite_end_leaves_nothing(tmp_path):
    """SIGTERM to the command: exit status 143, no output and no hidden file."""
    source = tmp_path / "a.safetensors"
    weight = random((256, 256, 64))
    save_file({f"conv{n}.weight": weight for n in range(24)}, source)
    words = [
        "convert",
        str(source),
        str(tmp_path / "b.safetensors"),
        "--source",
        "torch",
        "--target",
        "keras",
        "--guess",
        "--yes",
    ]
    with subprocess.Popen([sys.executable, "-m", "convpolicy", *words], stderr=subprocess.DEVNULL) as process:
        while process.poll() is None and not any(path.name.startswith(".b.safetensors.") for path in tmp_path.iterdir()):
            time.sleep(0.01)
        process.send_signal(signal.SIGTERM)
    assert process.returncode == 128 + signal.SIGTERM
    assert [path.name for path in tmp_path.iterdir()] == ["a.safetensors"]


def test_files_that_are_not_there(source):
    """One sentence on stderr and exit status 2, on the command line too."""
    for src, dst in ((source.with_name("none.safetensors"), "b.safetensors"), (source, "none/b.safetensors")):
        words = ["convert", str(src), str(source.parent / dst), "--source", "torch", "--target", "keras", "--guess", "--yes"]
        result = CliRunner().invoke(cli.build(), words)
        assert (result.exit_code, result.stderr.count("\n")) == (2, 1), result.stderr
        assert "No such file or directory" in result.stderr
