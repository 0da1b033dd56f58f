"""What the core alone cannot try: Keras's, torch's and MindSpore's files made to deceive `convert`, and full disks, format by format."""

from __future__ import annotations

import subprocess
import sys
import zipfile

import h5py
import numpy as np
import pytest
from helpers.checkpoints import damaged, refused
from safetensors.numpy import load_file, save_file

import convpolicy as cp

pytestmark = pytest.mark.needs("torch", "mindspore", "h5py")

WEIGHT = np.random.default_rng(0).standard_normal((3, 4, 6)).astype("float32")
KERAS = {"source": "keras", "target": "torch"}


def absurd(file):
    """12 TiB, of which nothing was ever written."""
    file.create_dataset("l/vars/0", shape=(2**20, 2**20, 3), chunks=(64, 64, 3), dtype="f4")


def almost_absurd(file):
    """12 TiB, of which one chunk was written."""
    absurd(file)
    file["l/vars/0"][:64, :64] = 1


def elsewhere(file):
    """Numbers that stand in another file."""
    file.create_dataset("l/vars/0", shape=(2, 2, 3), dtype="f4", external=[("/etc/passwd", 0, 48)])


def endless(file):
    """A group that holds the group that holds it."""
    file.create_group("a")["b"] = file["/"]


def metadata(file):
    """Metadata that is no table."""
    file["l/vars/0"] = WEIGHT
    file.attrs["convpolicy"] = "[1]"


def datatype(file):
    """A type that is kept beside the datasets."""
    file["l/vars/0"] = WEIGHT
    file["t"] = np.dtype("f4")


def bomb(file):
    """128 MiB of zeros in a few kilobytes."""
    file.create_dataset("l/vars/0", data=np.zeros((2**25,), "f4"), chunks=(2**23,), compression="gzip")


H5 = {
    "12 TiB": (absurd, "whose data was never written"),
    "12 TiB and a chunk": (almost_absurd, "whose data was never written"),
    "another file's numbers": (elsewhere, "whose data is in another file"),
    "a link into another file": (lambda file: file.__setitem__("a", h5py.ExternalLink("/etc/passwd", "/")), "the link 'a'"),
    "a soft link": (lambda file: file.__setitem__("a", h5py.SoftLink("/b")), "the link 'a'"),
    "a loop": (endless, "contains the group 'a/b' twice"),
    "a type": (datatype, "'t', a Datatype and not a tensor"),
    "a bomb": (bomb, "claims to contain 134217728 bytes, more than 100 times as many"),
    "a model of Keras 2": (
        lambda file: file.attrs.__setitem__("model_config", "{}"),
        "a whole model in HDF5, or weights as Keras 2 saved them",
    ),
    "weights of Keras 2": (
        lambda file: file.attrs.__setitem__("layer_names", [b"a"]),
        "a whole model in HDF5, or weights as Keras 2 saved",
    ),
    "metadata": (metadata, "its metadata is not a table of strings"),
}


@pytest.mark.parametrize("fault", H5)
def test_h5(fault, tmp_path):
    """Sizes that are only claimed, links and loops are refused before anything is read."""
    fill, says = H5[fault]
    with h5py.File(tmp_path / "a.weights.h5", "w") as file:
        fill(file)
    refused(tmp_path / "a.weights.h5", says, **KERAS)


@pytest.mark.parametrize("name", ["a//conv.weight", "./conv.weight", "a\0conv.weight"])
def test_names_that_hdf5_has_not(name, tmp_path):
    """Refused with the name of the tensor, not written under another."""
    save_file({name: WEIGHT}, tmp_path / "a.safetensors")
    refused(
        tmp_path / "a.safetensors", "which not every file format can store; rename it in a map", "b.weights.h5", target="keras"
    )


@pytest.mark.parametrize(
    ("members", "says"),
    [
        ({"../x": b"1", "model.weights.h5": b""}, "contains '../x', a path outside its folder"),
        ({"config.json": b"{}"}, "must contain 'model.weights.h5' once"),
        ({"model.weights.h5": b""}, "is not a whole Keras file"),
        ({"model.weights.h5": bytes(80_000_000)}, "claims to contain 80000000 bytes, more than 100 times as many"),
        ({"model.weights.h5": b"\x89HDF\r\n\x1a\n" + bytes(600)}, "is not a whole Keras file"),
    ],
)
def test_keras(members, says, tmp_path):
    """A .keras file without weights, with damaged ones, or with a member that would be unpacked elsewhere."""
    with zipfile.ZipFile(tmp_path / "a.keras", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    refused(tmp_path / "a.keras", says, **KERAS)


def test_a_damaged_member_of_a_model(tmp_path):
    """A .keras file whose configuration is damaged is refused before anything is written, also where only the weights are read."""
    with h5py.File(tmp_path / "w.h5", "w") as file:
        file["layers/conv1d/vars/0"] = WEIGHT
    with zipfile.ZipFile(tmp_path / "a.keras", "w") as archive:
        archive.writestr("config.json", b"a configuration")
        archive.write(tmp_path / "w.h5", "model.weights.h5")
    (tmp_path / "w.h5").unlink()
    data = (tmp_path / "a.keras").read_bytes()
    (tmp_path / "a.keras").write_bytes(data.replace(b"a configuration", b"a CONfiguration", 1))
    for dst in ("b.keras", "b.safetensors"):
        refused(tmp_path / "a.keras", "is not a whole Keras file: Bad CRC-32 for file 'config.json'", dst, **KERAS)


@pytest.mark.parametrize("rows", [1, 16, 64])
def test_chunks_are_unpacked_once(rows, tmp_path, monkeypatch):
    """Compressed chunks of one, 16 and 64 rows: every row of a chunk is in one piece, and the values are right."""
    data = np.random.default_rng(0).standard_normal((64, 16, 2048)).astype("f4")  # 8 MiB, read in pieces of 1 MiB or a chunk
    with h5py.File(tmp_path / "a.weights.h5", "w") as file:
        file.create_dataset("layers/conv1d/vars/0", data=data, chunks=(rows, 16, 2048), compression="gzip", compression_opts=1)
    read, original = [], h5py.Dataset.__getitem__

    def counted(self, at, *more):
        read.append(at)
        return original(self, at, *more)

    monkeypatch.setattr(h5py.Dataset, "__getitem__", counted)
    cp.convert(tmp_path / "a.weights.h5", tmp_path / "b.npz", guess=True, **KERAS)
    assert all(at.start % rows == 0 for at in read)
    assert len(read) == min(8, 64 // rows)
    assert np.array_equal(np.load(tmp_path / "b.npz")["layers.conv1d.weight"], data.transpose(2, 1, 0))


@pytest.mark.parametrize(("suffix", "target"), [(".pt", "mindspore"), (".ckpt", "mindspore"), (".weights.h5", "keras")])
def test_damaged_anywhere(suffix, target, tmp_path):
    """Random bytes changed, some files cut too: a `ConvPolicyError` of one line, or a whole result; nothing is left behind."""
    start, whole, made = tmp_path / "s.safetensors", tmp_path / f"a{suffix}", tmp_path / "b.safetensors"
    save_file({"conv.weight": WEIGHT, "conv.bias": WEIGHT[:, 0, 0]}, start)
    cp.convert(start, whole, source="torch", target=target, guess=True)
    good, outcomes = whole.read_bytes(), set()
    for number in range(100):
        data = damaged(good, number)
        whole.write_bytes(data if number % 5 else data[: number * len(data) // 100])
        try:
            cp.convert(whole, made, source=target, target="torch", guess=True)
        except cp.ConvPolicyError as error:
            assert "\n" not in str(error)
            outcomes.add("refused")
        else:
            load_file(made)
            made.unlink()
            outcomes.add("converted")
        assert sorted(path.name for path in tmp_path.iterdir()) == sorted([start.name, whole.name])
    assert outcomes == {"refused", "converted"}


FULL = """
import resource, sys
import h5py, mindspore, torch
import convpolicy as cp
folder = sys.argv[1]
resource.setrlimit(resource.RLIMIT_FSIZE, (1_500_000, 1_500_000))
for name, target in (("b.pt", "mindspore"), ("b.ckpt", "mindspore"), ("b.weights.h5", "keras")):
    try:
        cp.convert(f"{folder}/a.safetensors", f"{folder}/{name}", source="torch", target=target, guess=True)
    except OSError as error:
        print(error)
"""


@pytest.mark.parametrize("rows", [64, 128])
def test_full_disks(rows, tmp_path):
    """In a process that may write 1.5 MB, after tensors of 1 MiB and within one of 2 MiB: one sentence with the output's name, whichever library writes, and nothing is left."""
    save_file({f"conv{n}.weight": np.ones((rows, 64, 64), "float32") for n in range(4)}, tmp_path / "a.safetensors")
    result = subprocess.run([sys.executable, "-c", FULL, str(tmp_path)], capture_output=True, text=True, check=True)
    assert [line for line in result.stdout.splitlines() if "Errno" in line] == [
        f"[Errno 27] File too large: '{tmp_path / name}'" for name in ("b.pt", "b.ckpt", "b.weights.h5")
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["a.safetensors"]
