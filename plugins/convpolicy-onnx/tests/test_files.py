"""The initializers of ``.onnx`` files, as a checkpoint."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

import convpolicy as cp

RANDOM = np.random.default_rng(0)
WEIGHT = RANDOM.standard_normal((6, 4, 3), dtype=np.float32)


def saved(path, *tensors):
    """Save a model with initializers."""
    graph = helper.make_graph([], "g", [], [], initializer=tensors)
    path.write_bytes(helper.make_model(graph).SerializeToString())
    return path


def test_every_initializer(tmp_path):
    """Raw bytes, lists of numbers, whole numbers and bfloat16 are read; a weight gets the target's layout."""
    half = helper.make_tensor("half", TensorProto.BFLOAT16, [2], [1.5, -2.0])
    numbers = helper.make_tensor("numbers", TensorProto.INT64, [3], [1, 2, 3])
    listed = helper.make_tensor("listed", TensorProto.FLOAT, [2], [0.5, 0.25])
    path = saved(tmp_path / "m.onnx", numpy_helper.from_array(WEIGHT, "conv.weight"), half, numbers, listed)
    report = cp.convert(path, tmp_path / "o.safetensors", source="torch", target="keras", mapping={"conv.weight": "torch"})
    assert {row.name: row.dtype for row in report.tensors} == {
        "conv.kernel": "float32",
        "half": "bfloat16",
        "numbers": "int64",
        "listed": "float32",
    }
    cp.convert(path, tmp_path / "o.npz", source="torch", target="keras", mapping={"conv.weight": "torch"}, dtype="float32")
    with np.load(tmp_path / "o.npz") as file:
        assert np.array_equal(file["conv.kernel"], WEIGHT.transpose(2, 1, 0))
        assert file["half"].tolist() == [1.5, -2.0]
        assert file["numbers"].tolist() == [1, 2, 3]
        assert file["listed"].tolist() == [0.5, 0.25]


def test_bad_files(tmp_path):
    """Data in another file, too few bytes, a text, and no ONNX at all: one sentence each; nothing is written."""
    outside = numpy_helper.from_array(WEIGHT, "outside")
    outside.data_location = TensorProto.EXTERNAL
    outside.external_data.add(key="location", value="../../etc/passwd")
    short = numpy_helper.from_array(WEIGHT, "short")
    short.raw_data = short.raw_data[:-4]
    text = helper.make_tensor("text", TensorProto.STRING, [1], [b"a"])
    cases = {"outside": "whose data is in another file", "short": "m.onnx", "text": "'text' of type STRING"}
    for tensor in (outside, short, text):
        path = saved(tmp_path / "m.onnx", tensor)
        with pytest.raises(cp.InvalidValueError, match=cases[tensor.name]):
            cp.convert(path, tmp_path / "o.npz", source="torch", target="keras", mapping={"*": "torch"})
    (tmp_path / "m.onnx").write_bytes(b"\xff" * 99)
    with pytest.raises(cp.InvalidValueError, match="not a whole ONNX file"):
        cp.convert(tmp_path / "m.onnx", tmp_path / "o.npz", source="torch", target="keras", guess=True)
    assert [path.name for path in tmp_path.iterdir()] == ["m.onnx"]
