"""Files of Flax, Paddle and Keras 2, which are read without their frameworks; hostile ones are refused in one sentence."""

from __future__ import annotations

import io
import os
import pickle
import struct

import numpy as np
import pytest

import convpolicy as cp
from convpolicy.frameworks.flax.messages import MessagesReader
from convpolicy.frameworks.paddle.files import PaddleReader

RANDOM = np.random.default_rng(0)
TENSORS = {
    "encoder.conv.kernel": RANDOM.standard_normal((3, 4, 6), dtype=np.float32),
    "encoder.conv.bias": RANDOM.standard_normal(6, dtype=np.float32),
    "large.kernel": RANDOM.standard_normal((70, 1000)),
    **{f"many.{at}": np.array(at, np.int64) for at in range(20)},
}


def converted(tmp_path, suffix, *, tensors=TENSORS):
    """Write tensors as ``.npz`` and convert them to a format; return the path."""
    np.savez(tmp_path / "a.npz", **tensors)
    path = tmp_path / f"a{suffix}"
    cp.convert(tmp_path / "a.npz", path, source="flax", target="flax", mapping={"encoder.conv.kernel": "flax"})
    return path


def as_flax_packs(value):
    """Return MessagePack as ``flax.serialization`` writes it, with the widest forms of every header."""
    if isinstance(value, dict):
        return (
            b"\xdf"
            + struct.pack(">I", len(value))
            + b"".join(as_flax_packs(key) + as_flax_packs(row) for key, row in value.items())
        )
    if isinstance(value, str):
        data = value.encode()
        return b"\xdb" + struct.pack(">I", len(data)) + data
    if isinstance(value, np.ndarray):
        shape = b"\xdc" + struct.pack(">H", value.ndim) + b"".join(b"\xcf" + struct.pack(">Q", length) for length in value.shape)
        inner = b"\x93" + shape + as_flax_packs(value.dtype.name) + b"\xc6" + struct.pack(">I", value.nbytes) + value.tobytes()
        return b"\xc9" + struct.pack(">I", len(inner)) + b"\x01" + inner
    return b"\xcb" + struct.pack(">d", value)


def test_flax_there_and_back(tmp_path):
    """Every tensor comes back from ``.msgpack``, in tables in tables; numbers that are no arrays are named."""
    path = converted(tmp_path, ".msgpack")
    cp.convert(path, tmp_path / "b.npz", source="flax", target="flax", mapping={"encoder/conv/kernel": "flax"})
    with np.load(tmp_path / "b.npz") as file:
        assert {name.replace("/", "."): file[name].dtype for name in file} == {
            name: value.dtype for name, value in TENSORS.items()
        }
        assert all(np.array_equal(file[name], TENSORS[name.replace("/", ".")]) for name in file)
    chunks = {str(at): TENSORS["large.kernel"].reshape(-1)[at * 35000 :][:35000] for at in range(2)}
    large = {"__msgpack_chunked_array__": 1.0, "shape": {"0": 70, "1": 1000}, "chunks": chunks}
    (tmp_path / "c.msgpack").write_bytes(as_flax_packs({"a": {"b": TENSORS["encoder.conv.bias"]}, "x": 2.5}))
    reader = MessagesReader(tmp_path / "c.msgpack")
    assert reader.others == ("x",)
    assert np.array_equal(reader.array(reader.entries[0]), TENSORS["encoder.conv.bias"])
    reader.close()
    packed = as_flax_packs({"large": large})
    for length in (70, 1000):
        packed = packed.replace(b"\xcb" + struct.pack(">d", length), b"\xcd" + struct.pack(">H", length))
    (tmp_path / "d.msgpack").write_bytes(packed)
    reader = MessagesReader(tmp_path / "d.msgpack")
    assert np.array_equal(reader.array(reader.entries[0]), TENSORS["large.kernel"])
    reader.close()


def array(shape, data, dtype="float32"):
    """Return MessagePack of an array with any shape and any bytes."""
    inner = b"\x93" + bytes([0x90 | len(shape)]) + b"".join(b"\xcf" + struct.pack(">Q", length) for length in shape)
    inner += as_flax_packs(dtype) + b"\xc6" + struct.pack(">I", len(data)) + data
    return b"\xc9" + struct.pack(">I", len(inner)) + b"\x01" + inner


HOSTILE = {
    "empty": b"",
    "no table": b"\x93\x01\x02\x03",
    "a table that is longer than the file": b"\xdf\xff\xff\xff\xff",
    "a text that is longer than the file": b"\x81\xdb\xff\xff\xff\xff",
    "deep": b"\x81\xa1a" * 5000 + b"\x01",
    "a byte that is not MessagePack": b"\x81\xa1a\xc1",
    "twice the same key": b"\x82\xa1a\x01\xa1a\x01",
    "a slash in a key": b"\x81\xa3a/b\x01",
    "more after the table": b"\x80\x80",
    "too few bytes": b"\x81\xa1a" + array((2, 2), b"\0" * 12),
    "a huge shape": b"\x81\xa1a" + array((2**60, 2**60), b""),
    "a dtype of objects": b"\x81\xa1a" + array((1,), b"\0" * 8, "object"),
    "bytes beyond the array": b"\x81\xa1a\xc7\x05\x01\x93\x90\xa1f\xc4\xff",
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_messages(case, tmp_path):
    """One sentence that names the file, and nothing is written."""
    (tmp_path / "a.msgpack").write_bytes(HOSTILE[case])
    with pytest.raises(cp.ConvPolicyError, match=r"a\.msgpack") as raised:
        cp.convert(tmp_path / "a.msgpack", tmp_path / "b.npz", source="flax", target="torch", guess=True)
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "b.npz").exists()


def test_cut_anywhere(tmp_path):
    """A file that ends early, at any byte, is refused."""
    whole = converted(tmp_path, ".msgpack", tensors={name: TENSORS[name] for name in list(TENSORS)[:2]}).read_bytes()
    for end in range(len(whole)):
        (tmp_path / "cut.msgpack").write_bytes(whole[:end])
        with pytest.raises(cp.InvalidValueError, match=r"cut\.msgpack"):
            MessagesReader(tmp_path / "cut.msgpack")


def test_paddle_there_and_back(tmp_path):
    """Every array comes back from ``.pdparams``, whichever protocol wrote it; what is no array is named."""
    path = converted(tmp_path, ".pdparams")
    cp.convert(path, tmp_path / "b.npz", source="flax", target="flax", mapping={"encoder.conv.kernel": "flax"})
    with np.load(tmp_path / "b.npz") as file:
        assert all(np.array_equal(file[name], value) for name, value in TENSORS.items())
    for protocol in (2, 3, 4):
        content = {**TENSORS, "pair": ("w_0", np.ones(2)), "StructuredToParameterName@@": {"a": "b"}, "lr": 0.5}
        (tmp_path / "p.pdparams").write_bytes(pickle.dumps(content, protocol=protocol))
        reader = PaddleReader(tmp_path / "p.pdparams")
        found = {row.name: reader.array(row) for row in reader.entries}
        assert reader.others == ("lr",)
        assert set(found) == {*TENSORS, "pair"}
        assert all(np.array_equal(found[name], value) for name, value in TENSORS.items())


class Attack:
    """Runs a command when it is unpickled."""

    def __init__(self, function, *arguments):
        self._reduced = (function, arguments)

    def __reduce__(self):
        return self._reduced


def pickled(content):
    """Return a pickle of the oldest protocol in use."""
    return pickle.dumps(content, protocol=2)


PICKLES = {
    "a command": lambda: pickled({"a": Attack(os.system, "touch hacked")}),
    "a function of numpy": lambda: pickled({"a": Attack(np.load, "x.npy")}),
    "eval": lambda: pickled({"a": Attack(eval, "1")}),
    "a huge array": lambda: pickled({"a": Attack(np.ndarray, (2**40,))}),
    "an array of objects": lambda: pickled({"a": np.array([None, {}])}),
    "no dict": lambda: pickled([np.ones(2)]),
    "not a pickle": lambda: b"PK\x03\x04",
    "cut": lambda: pickled({"a": np.ones(100)})[:-50],
    "two pickles": lambda: pickled({"a": np.ones(2)}) + pickled({"b": np.ones(2)}),
    "a shape that the bytes do not fill": lambda: pickled({"a": np.ones(4)}).replace(b"K\x04\x85", b"K\x05\x85"),
}


@pytest.mark.parametrize("case", PICKLES)
def test_hostile_pickles(case, tmp_path, monkeypatch):
    """Nothing of the file runs, and one sentence says what is wrong."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.pdparams").write_bytes(PICKLES[case]())
    with pytest.raises(cp.ConvPolicyError) as raised:
        cp.convert("a.pdparams", "b.npz", source="paddle", target="torch", guess=True)
    assert "\n" not in str(raised.value)
    assert [path.name for path in tmp_path.iterdir()] == ["a.pdparams"]


def test_the_attacks_are_real(tmp_path, monkeypatch):
    """The first of them does run where a pickle is simply loaded."""
    monkeypatch.chdir(tmp_path)
    pickle.load(io.BytesIO(PICKLES["a command"]()))
    assert (tmp_path / "hacked").exists()


@pytest.mark.needs("h5py")
def test_keras_2(tmp_path):
    """A whole model and a file of weights of Keras 2: names without ``:0``, in the order of the layers."""
    import h5py

    kernel = RANDOM.standard_normal((3, 4, 6), dtype=np.float32)
    for group in ("", "model_weights/"):
        with h5py.File(tmp_path / "m.h5", "w") as file:
            root = file.require_group(group or "/")
            root.attrs["layer_names"] = np.array([b"z_conv1d", b"a_lstm"])
            root.create_dataset("z_conv1d/z_conv1d/kernel:0", data=kernel)
            root.create_dataset("z_conv1d/z_conv1d/bias:0", data=kernel[0, 0])
            root.create_dataset("a_lstm/a_lstm/lstm_cell/kernel:0", data=kernel[0])
            if group:
                file.create_dataset("optimizer_weights/Adam/m:0", data=kernel)
        report = cp.convert(tmp_path / "m.h5", tmp_path / "o.npz", source="keras", target="torch", guess=True, force=True)
        assert [row.old for row in report.tensors] == ["z_conv1d/bias", "z_conv1d/kernel", "a_lstm/lstm_cell/kernel"]
        with np.load(tmp_path / "o.npz") as file:
            assert np.array_equal(file["z_conv1d.weight"], kernel.transpose(2, 1, 0))
    with h5py.File(tmp_path / "new.h5", "w") as file:
        file.create_dataset("layers/conv1d/vars/0", data=kernel)
    with pytest.raises(cp.InvalidValueError, match=r"rename it to \.weights\.h5"):
        cp.convert(tmp_path / "new.h5", tmp_path / "p.npz", source="keras", target="torch", guess=True)
    with h5py.File(tmp_path / "link.h5", "w") as file:
        file.attrs["layer_names"] = np.array([b"a"])
        file["a"] = h5py.ExternalLink("m.h5", "/")
    with pytest.raises(cp.InvalidValueError, match="contains the link 'a'"):
        cp.convert(tmp_path / "link.h5", tmp_path / "p.npz", source="keras", target="torch", guess=True)
