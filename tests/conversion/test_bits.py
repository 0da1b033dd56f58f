"""Tensors that NumPy has no dtype for, arrays stored otherwise, folded weights on their way back, bad stamps and names."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import convpolicy as cp

TO_KERAS = {"source": "torch", "target": "keras", "guess": True}


def random(shape, dtype="float32"):
    """Random values."""
    return np.random.default_rng(0).standard_normal(shape).astype(dtype)


def raw(path: Path, rows: dict[str, tuple[str, tuple[int, ...], bytes]]) -> Path:
    """Write a safetensors file from bytes."""
    header, data = {}, b""
    for name, (dtype, shape, content) in rows.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": (len(data), len(data) + len(content))}
        data += content
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)
    return path


def data_of(path: Path) -> bytes:
    """The bytes behind the header."""
    whole = path.read_bytes()
    return whole[8 + struct.unpack("<Q", whole[:8])[0] :]


def test_bits_without_a_dtype_in_numpy(tmp_path):
    """bfloat16 and float8 weights are moved bit by bit, NaN payloads included, and come back to the same file."""
    generator = np.random.default_rng(1)
    wide, narrow = generator.integers(0, 2**16, (6, 70, 3), "u2"), generator.integers(0, 2**8, (2, 3, 5), "u1")
    rows = {"aconv.weight": ("BF16", wide.shape, wide.tobytes()), "bconv.weight": ("F8_E4M3", narrow.shape, narrow.tobytes())}
    source = raw(tmp_path / "a.safetensors", rows)
    cp.convert(source, tmp_path / "b.safetensors", **TO_KERAS)
    assert data_of(tmp_path / "b.safetensors") == wide.transpose(2, 1, 0).tobytes() + narrow.transpose(2, 1, 0).tobytes()
    cp.convert(tmp_path / "b.safetensors", tmp_path / "c.safetensors", source="keras", target="torch")
    assert (tmp_path / "c.safetensors").read_bytes() == source.read_bytes()


def test_elements_narrower_than_a_byte(tmp_path):
    """Four-bit numbers are copied where their order stays, and refused by name where it would change."""
    source = raw(tmp_path / "a.safetensors", {"aconv.weight": ("F4", (2, 4, 2), bytes(range(8)))})
    cp.convert(source, tmp_path / "b.safetensors", source="torch", target="mindspore", guess=True)
    assert data_of(tmp_path / "b.safetensors") == bytes(range(8))
    with pytest.raises(cp.InvalidValueError, match=r"'aconv.weight' has dtype safetensors:F4, whose elements cannot be moved"):
        cp.convert(source, tmp_path / "c.safetensors", **TO_KERAS)
    with pytest.raises(cp.InvalidValueError, match=r"a .npz file cannot store dtype safetensors:F4, which 'aconv.weight' has"):
        cp.convert(source, tmp_path / "c.npz", source="torch", target="mindspore", guess=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.safetensors", "b.safetensors"]


def test_arrays_stored_otherwise(tmp_path):
    """An .npz with arrays by columns, big-endian, of text and of dates keeps every value."""
    arrays = {
        "aconv.weight": np.asfortranarray(random((4, 3, 5), "float64")), "bconv.weight": random((4, 3, 5), ">f4"),
        "text": np.array(["ab", "c"]), "date": np.array("2020-02-03", "M8[D]"), "big": np.array(5, ">i2"),
    }  # fmt: skip
    np.savez(tmp_path / "a.npz", **arrays)
    cp.convert(tmp_path / "a.npz", tmp_path / "b.npz", **TO_KERAS)
    with np.load(tmp_path / "b.npz", allow_pickle=False) as found:
        assert all(np.array_equal(found[f"{stem}conv.kernel"], arrays[f"{stem}conv.weight"].transpose(2, 1, 0)) for stem in "ab")
        assert all(np.array_equal(found[name], arrays[name]) for name in ("text", "date", "big"))
        assert found["bconv.kernel"].dtype == np.float32


@pytest.mark.parametrize("first", [True, False], ids=["folded there", "folded on the way back"])
def test_a_folded_weight_is_called_as_a_plain_one(first, tmp_path):
    """Multiplied out, a weight is never again called a half of weight normalisation, whichever way it was folded."""
    source, made, back = (tmp_path / f"{word}.safetensors" for word in "abc")
    save_file({"conv.weight_g": random((6, 1, 1)), "conv.weight_v": random((6, 3, 5)), "x": random(3)}, source)
    cp.convert(source, made, source="torch", target="mindspore", guess=True, fold_weight_norm=first)
    cp.convert(made, back, source="mindspore", target="torch", fold_weight_norm=not first)
    assert {name: array.shape for name, array in load_file(back).items()} == {"conv.weight": (6, 3, 5), "x": (3,)}
    assert b"convpolicy" not in back.read_bytes()


STAMPS = {
    "no JSON": "{",
    "a list": "[]",
    "no tensors": '{"schema":1}',
    "another schema": '{"schema":9,"suffix":".npz","source":"torch","target":"mindspore","tensors":{}}',
    "a name that is a number": '{"schema":1,"suffix":".npz","source":"torch","target":"mindspore","tensors":{"c":{"name":1}}}',
    "no such layout": (
        '{"schema":1,"suffix":".npz","source":"torch","target":"mindspore",'
        '"tensors":{"conv.weight":{"name":"d","source":"OIW","target":"XYZ"}}}'
    ),
    "no such tensor": '{"schema":1,"suffix":".npz","source":"torch","target":"mindspore","tensors":{"d":{"name":"e"}}}',
}


@pytest.mark.parametrize("fault", STAMPS)
def test_a_bad_stamp(fault, tmp_path):
    """A stamp that was tampered with is refused in one sentence."""
    save_file({"conv.weight": random((2, 3, 1, 4))}, tmp_path / "a.safetensors", {"convpolicy": STAMPS[fault]})
    with pytest.raises(cp.ConvPolicyError, match=r"stamp|unknown layout 'XYZ'") as raised:
        cp.convert(tmp_path / "a.safetensors", tmp_path / "b.safetensors", source="mindspore", target="torch")
    assert "\n" not in str(raised.value)
    assert "Attribute(" not in str(raised.value)
    assert not (tmp_path / "b.safetensors").exists()


def test_names(tmp_path):
    """Names that archives would cut, two tensors that would share one, and paths with a zero are refused by name."""
    source = tmp_path / "a.safetensors"
    save_file({"conv.weight": random((2, 3, 4)), "x\0y": random(2)}, source)
    with pytest.raises(cp.InvalidValueError, match=r"'x\\x00y' would be called .* which not every file format can store"):
        cp.convert(source, tmp_path / "b.npz", **TO_KERAS)
    save_file({"conv.weight": random((2, 3, 4)), "conv.kernel": random(2)}, source)
    with pytest.raises(cp.InvalidValueError, match=r"would both be called 'conv.kernel'"):
        cp.convert(source, tmp_path / "b.npz", **TO_KERAS)
    with pytest.raises(cp.InvalidValueError, match=r"dst must be a path, got .* which contains a null character"):
        cp.convert(source, f"{tmp_path}/b\0.npz", **TO_KERAS)
    index = tmp_path / "m.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"conv.weight": "a\0.safetensors"}}), encoding="utf-8")
    with pytest.raises(cp.InvalidValueError, match=r"must be a .safetensors file in the same folder"):
        cp.convert(index, tmp_path / "b.npz", **TO_KERAS)
