"""MindSpore's checkpoints read from their own bytes: what MindSpore itself reads, and what would end its process is refused."""

from __future__ import annotations

import mindspore
import numpy as np
import pytest
from mindspore.train.checkpoint_pb2 import Checkpoint
from safetensors.numpy import save_file

import convpolicy as cp
from convpolicy.frameworks.mindspore import checkpoint
from convpolicy.frameworks.mindspore.files import DTYPES, MindSporeReader

RANDOM = np.random.default_rng(0)


@pytest.mark.parametrize("crc", [False, True])
def test_as_mindspore_reads_it(crc, tmp_path):
    """Every dtype, a number, texts, with a checksum and without: the same names, shapes, dtypes and bytes as load_checkpoint's."""
    tensors = {dtype: RANDOM.integers(0, 2, (2, 3)).astype(dtype) for dtype in sorted(DTYPES - {"bfloat16"})}
    tensors |= {"a/b.weight": RANDOM.standard_normal((3, 1, 5)).astype("f4"), "number": np.float64(2.5), "one": np.ones(1, "f4")}
    rows = [{"name": name, "data": mindspore.Tensor(value)} for name, value in tensors.items()]
    rows.append({"name": "bfloat16", "data": mindspore.Tensor(RANDOM.standard_normal(6).astype("f4"), mindspore.bfloat16)})
    path = tmp_path / "a.ckpt"
    mindspore.save_checkpoint(rows, str(path), append_dict={"epoch": 3, "note": "hé", "lr": 0.5}, crc_check=crc)
    native, reader = mindspore.load_checkpoint(str(path)), MindSporeReader(path)
    assert reader.texts == {name: value for name, value in native.items() if isinstance(value, str)}
    assert [entry.name for entry in reader.entries] == [name for name in native if name not in reader.texts]
    for entry in reader.entries:
        value = native[entry.name]
        assert (entry.shape, entry.dtype) == (tuple(value.shape), str(value.dtype).lower())
        assert reader.array(entry).tobytes() == value.asnumpy().tobytes()
    reader.close()


def test_a_tensor_in_several_entries(tmp_path):
    """As MindSpore splits what is larger than 512 MiB: entries of one tag after another are one tensor."""
    value = RANDOM.standard_normal((6, 4)).astype("f4")
    path = tmp_path / "a.ckpt"
    path.write_bytes(b"".join(message(("w", [6, 4], "Float32", part.tobytes())) for part in np.array_split(value, 3)))
    reader = MindSporeReader(path)
    assert np.array_equal(reader.array(reader.entries[0]), value)
    assert np.array_equal(mindspore.load_checkpoint(str(path))["w"].asnumpy(), value)
    reader.close()


def message(*rows) -> bytes:
    """A checkpoint of these entries, written by protobuf itself."""
    made = Checkpoint()
    for tag, dims, kind, content in rows:
        value = made.value.add()
        value.tag, value.tensor.tensor_type, value.tensor.tensor_content = tag, kind, content
        value.tensor.dims.extend(dims)
    return made.SerializeToString()


A = ("a", [2], "Float32", bytes(8))
HOSTILE = {
    "a tensor and a text of one name": (message(A, ("a", [0], "str", "x".encode("utf-32-le") * 90)), r"contains 'a' twice, as"),
    "two tensors of one name": (message(A, ("a", [3], "Float32", bytes(12))), r"contains 'a' twice, as"),
    "apart from one another": (message(A, ("b", [1], "UInt8", b"1"), A), "contains 'a' twice, so the right one is unknown"),
    "too many bytes": (message(A, A), r"'a' of shape \(2,\) needs 8 bytes, got 16"),
    "too few bytes": (message(("a", [2**40], "Float32", bytes(8))), "needs 4398046511104 bytes, got 8"),
    "a negative length": (message(("a", [-2, -1], "Float32", bytes(8))), "is incomplete"),
    "another type": (
        message(("a", [2], "Complex64", bytes(16))),
        "contains 'a' of type Complex64, which is not a dtype of numbers",
    ),
    "no type": (message(("a", [2], "", bytes(8))), "'a' has no type or no data"),
    "cut": (message(A)[:-1], "the field at byte 0 needs"),
    "a number without an end": (b"\xff" * 30, "is too long"),
    "a group": (b"\x0b\x0c", "no field begins at byte"),
    "nothing": (b"", "it is empty"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile(case, tmp_path):
    """Refused in one sentence that names the file, before MindSpore's own loader, which joins entries of one name, sees it."""
    data, says = HOSTILE[case]
    (tmp_path / "a.ckpt").write_bytes(data)
    with pytest.raises(cp.InvalidValueError, match=says) as raised:
        cp.convert(tmp_path / "a.ckpt", tmp_path / "b.npz", source="mindspore", target="torch", guess=True)
    assert "\n" not in str(raised.value)
    assert "a.ckpt" in str(raised.value)
    assert not (tmp_path / "b.npz").exists()


def test_the_name_of_the_stamp(tmp_path):
    """A tensor called as the entry that holds the stamp is refused, and under another name comes back with the stamp."""
    made = {"convpolicy": np.zeros(2, "f4"), "conv.weight": RANDOM.standard_normal((1, 1, 2)).astype("f4")}
    save_file(made, tmp_path / "a.safetensors")
    words = {"source": "torch", "target": "mindspore", "guess": True}
    with pytest.raises(
        cp.InvalidValueError, match=r"the name 'convpolicy' belongs to a text entry of the \.ckpt file, so no tensor can have it"
    ):
        cp.convert(tmp_path / "a.safetensors", tmp_path / "b.ckpt", **words)
    assert [path.name for path in tmp_path.iterdir()] == ["a.safetensors"]
    cp.convert(tmp_path / "a.safetensors", tmp_path / "b.ckpt", mapping={"convpolicy": {"name": "other"}}, **words)
    cp.convert(tmp_path / "b.ckpt", tmp_path / "c.safetensors", source="mindspore", target="torch")
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "c.safetensors").read_bytes()


def test_wrong_readers_are_noticed(tmp_path, monkeypatch):
    """The comparison with MindSpore fails for a reader that is off by a byte."""
    value = RANDOM.standard_normal((2, 3)).astype("f4")
    path = tmp_path / "a.ckpt"
    mindspore.save_checkpoint([{"name": "a", "data": mindspore.Tensor(value)}], str(path))
    right = checkpoint._value

    def wrong(*words):
        found = right(*words)
        return checkpoint.Value(found.tag, found.kind, found.lengths, found.start - 1, found.end - 1)

    monkeypatch.setattr(checkpoint, "_value", wrong)
    reader = MindSporeReader(path)
    assert not np.array_equal(reader.array(reader.entries[0]), value)
    reader.close()
