"""Files made to deceive `convert`: sizes that are claimed and not there, names that lead elsewhere, stamps and indices of rubbish."""

from __future__ import annotations

import io
import json
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
from helpers.checkpoints import convert, damaged, digest, expected, model, refused, same, written
from safetensors.numpy import load_file, save_file

import convpolicy as cp
from convpolicy.conversion import rows as planning
from convpolicy.conversion.rows import Row


def array(shape=(6, 4, 3), values=None) -> bytes:
    """A member of an archive: the header of this shape, and values of their own number."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": shape})
    return (
        file.getvalue() + (np.random.default_rng(0).standard_normal(shape).astype("<f4") if values is None else values).tobytes()
    )


@pytest.mark.parametrize("name", ["conv.weight", "other"])
@pytest.mark.parametrize("dst", ["b.safetensors", "b.npz"])
def test_an_archive_that_claims_more_than_it_holds(name, dst, tmp_path):
    """The table of contents and the array's header agree on a size, the checksum fits what is there, and less is there."""
    path = tmp_path / "a.npz"
    member = array(values=np.ones(12, "<f4"))
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{name}.npy", member)
        if name == "other":
            archive.writestr("conv.weight.npy", array())
    data = bytearray(path.read_bytes())
    at = data.index(b"PK\1\2")  # the first entry of the table of contents
    data[at + 24 : at + 28] = struct.pack("<I", len(member) + 4 * (6 * 4 * 3 - 12))
    path.write_bytes(data)
    refused(path, f"is not a whole npz file: '{name}' needs 288 bytes, got 48", dst)


@pytest.mark.parametrize("name", ["../conv.weight", "/conv.weight", "..\\conv.weight", "C:\\conv.weight"])
def test_names_that_lead_out_of_the_folder(name, tmp_path):
    """An archive with such a member is not read, and none is written from a file that may hold such names."""
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr(f"{name}.npy", array())
    refused(tmp_path / "a.npz", "a path outside its folder; rename it")
    (tmp_path / "a.npz").unlink()
    save_file({name: np.zeros((2, 2, 2), "float32")}, tmp_path / "a.safetensors")
    refused(tmp_path / "a.safetensors", "a path outside its folder; rename it in a map", "b.npz", mapping={name: "torch"})


def test_two_members_of_one_name(tmp_path):
    """Which of them a reader sees is chance, so neither is taken."""
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr("conv.weight.npy", array())
        archive.writestr("conv.weight.npy", array(values=np.ones(72, "<f4")))
    refused(tmp_path / "a.npz", r"'conv\.weight' and 'conv\.weight' would both be called")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"[" * 100_000, "is not valid JSON: maximum recursion"),
        (b"\xff\xfe\0", "is not valid JSON: 'utf-8' codec"),
        (b"[]", "must contain a 'weight_map'"),
        (b'{"weight_map": {"a": 3}}', "must contain a 'weight_map'"),
        (b'{"weight_map": {}, "metadata": [1]}', r"must contain a table under 'metadata', got \[1\]"),
        (b'{"weight_map": {}, "metadata": {"convpolicy": 5}}', "has a stamp that cannot be read"),
        (b'{"weight_map": {"a": "x\\u0000.safetensors"}}', "in the same folder"),
        (b'{"weight_map": {"a": "\\ud800.safetensors"}}', "in the same folder"),
    ],
)
def test_an_index_of_rubbish(text, says, tmp_path):
    """Refused in one sentence that names the index."""
    path = tmp_path / "a.safetensors.index.json"
    path.write_bytes(text)
    assert str(path) in refused(path, says)


ORIGIN = {"name": "conv.weight", "source": "OIW", "target": "OI1W"}
STAMP = {"schema": 1, "suffix": ".safetensors", "source": "torch", "target": "mindspore", "tensors": {"conv.weight": ORIGIN}}


@pytest.mark.parametrize(
    ("stamp", "says", "kind"),
    [
        ("[[[", "has a stamp that cannot be read", ValueError),
        ("[1]", "has a stamp that cannot be read", ValueError),
        (STAMP | {"schema": 2}, "another schema", ValueError),
        (STAMP | {"target": 5}, "'target' must be", ValueError),
        (STAMP | {"tensors": {"conv.weight": ORIGIN | {"groups": 0}}}, "has a stamp that cannot be read", ValueError),
        (STAMP | {"tensors": {"gone.weight": ORIGIN}}, "lists 'gone.weight', which the file does not have", ValueError),
        (STAMP | {"tensors": {"conv.weight": ORIGIN | {"target": "OWWI"}}}, "the file's stamp: unknown", LookupError),
        (STAMP | {"target": "flax"}, "source must be 'flax', as the metadata of .* records, got 'mindspore'", ValueError),
    ],
)
def test_a_stamp_of_rubbish(stamp, says, kind, tmp_path):
    """A stamp is checked before it is believed."""
    text = stamp if isinstance(stamp, str) else json.dumps(stamp)
    save_file({"conv.weight": np.zeros((6, 4, 1, 3), "float32")}, tmp_path / "a.safetensors", {"convpolicy": text})
    refused(tmp_path / "a.safetensors", says, kind=kind, source="mindspore", target="torch", guess=False)


@pytest.mark.parametrize("suffix", [".safetensors", ".npz"])
def test_damaged_anywhere(suffix, tmp_path):
    """Random bytes changed: refused by a `ConvPolicyError`, or converted whole; nothing else, and nothing is left behind."""
    written(tmp_path / "start.safetensors")
    whole, made = tmp_path / f"a{suffix}", tmp_path / "b.safetensors"
    cp.convert(tmp_path / "start.safetensors", whole, source="torch", target="torch")
    good, outcomes = whole.read_bytes(), set()
    for number in range(150):
        whole.write_bytes(damaged(good, number))
        try:
            convert(whole, made)
        except cp.ConvPolicyError as error:
            assert "\n" not in str(error)
            outcomes.add("refused")
        else:
            outcomes.add("converted")
            load_file(made)
            made.unlink()
        assert sorted(path.name for path in tmp_path.iterdir()) == sorted({"start.safetensors", whole.name})
    assert "refused" in outcomes


def test_a_header_longer_than_any_library_takes(tmp_path):
    """101 MB of header are refused without being parsed."""
    (tmp_path / "a.safetensors").write_bytes(struct.pack("<Q", 101_000_000) + b"{" + b" " * 101_000_000)
    refused(tmp_path / "a.safetensors", "is not a whole safetensors file")


def unmoved(rows):
    """Axes renamed and not moved."""
    return [Row(row.old, row.new, None, row.norm) for row in rows]


def other_tensor(rows):
    """The bytes of one tensor under the name of another of its size."""
    first, second = (next(n for n, row in enumerate(rows) if row.old.name == name) for name in ("one.bias", "two.bias"))
    rows[first], rows[second] = Row(rows[second].old, rows[first].new), Row(rows[first].old, rows[second].new)
    return rows


@pytest.mark.parametrize("wrong", [None, unmoved, other_tensor])
def test_wrong_plans_are_noticed(wrong, tmp_path, monkeypatch):
    """The comparison by name, shape, dtype and bytes passes for what convert does, and fails for axes not moved and swapped tensors."""
    chance = np.random.default_rng(3)
    tensors = {f"{name}.bias": chance.standard_normal(6).astype("float32") for name in ("one", "two")}
    tensors["one.weight"] = chance.standard_normal((6, 4, 3)).astype("float32")
    source = written(tmp_path / "a.safetensors", tensors)
    wanted = {**tensors, "one.kernel": tensors["one.weight"].transpose(2, 1, 0)}
    del wanted["one.weight"]
    if wrong is not None:
        monkeypatch.setattr("convpolicy.conversion.converting.plan", lambda *words: wrong(planning.plan(*words)))
    cp.convert(source, tmp_path / "b.safetensors", source="torch", target="keras", guess=True)
    assert same(load_file(tmp_path / "b.safetensors"), wanted) == (wrong is None)


def test_a_changed_dtype_is_noticed(tmp_path):
    """The same comparison fails for numbers that are equal in another dtype, and the way back is not the same file."""
    source = written(tmp_path / "a.safetensors")
    cp.convert(source, tmp_path / "b.safetensors", source="torch", target="keras", guess=True, dtype="float64")
    assert not same(load_file(tmp_path / "b.safetensors"), expected("keras"))
    cp.convert(tmp_path / "b.safetensors", Path(tmp_path / "c.safetensors"), source="keras", target="torch")
    assert digest(tmp_path / "c.safetensors") != digest(source)
    assert all(np.array_equal(value, model()[name]) for name, value in load_file(tmp_path / "c.safetensors").items())
