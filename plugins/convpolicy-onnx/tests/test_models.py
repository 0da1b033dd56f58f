"""Whole ONNX models: the convolutions of all their graphs, with what is around each."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

import convpolicy as cp
from convpolicy_onnx import read

RANDOM = np.random.default_rng(0)
SIZES = {"one": (4, 4, 3), "two": (4, 2, 5), "three": (4, 4, 2)}
WEIGHTS = {name: RANDOM.standard_normal(shape, dtype=np.float32) for name, shape in SIZES.items()}
BIAS = RANDOM.standard_normal(4, dtype=np.float32)


def value(name, *shape):
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def constant(name, array):
    """A Constant node."""
    return helper.make_node("Constant", [], [name], value=numpy_helper.from_array(np.asarray(array), name))


def branches(names=("left", "right")):
    """A model whose If has a convolution in each branch: one with its own weight, one with a weight of the main graph."""
    then = helper.make_graph(
        [
            constant("pads", [0, 0, 2, 0, 0, 0]),
            helper.make_node("Pad", ["x", "pads"], ["padded"], "before", mode="reflect"),
            constant("deep.weight", WEIGHTS["one"]),
            helper.make_node("Conv", ["padded", "deep.weight", "deep.bias"], ["then"], names[0], strides=[2]),
        ],
        "then_graph",
        [],
        [value("then", 1, 4, None)],
        [numpy_helper.from_array(BIAS, "deep.bias")],
    )
    other = helper.make_graph(
        [helper.make_node("Conv", ["x", "two.weight"], ["else"], names[1], pads=[1, 3], group=2)],
        "else_graph",
        [],
        [value("else", 1, 4, None)],
    )
    nodes = [
        helper.make_node("If", ["wanted"], ["chosen"], "if", then_branch=then, else_branch=other),
        helper.make_node("Relu", ["chosen"], ["active"], "relu"),
        helper.make_node("ConvTranspose", ["active", "three.weight"], ["y"], "last", strides=[2]),
    ]
    tensors = [numpy_helper.from_array(WEIGHTS[name], f"{name}.weight") for name in ("two", "three")]
    inputs = [value("x", 1, 4, 12), helper.make_tensor_value_info("wanted", TensorProto.BOOL, [])]
    graph = helper.make_graph(nodes, "main", inputs, [value("y", 1, 4, None)], tensors)
    model = helper.make_model(graph, ir_version=9, opset_imports=[helper.make_opsetid("", 19)])
    onnx.checker.check_model(model)
    return model


def run(model, **data):
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, data)[0]


def test_convolutions_of_all_graphs():
    """A model's layers, put together by hand, give every bit of what ONNX Runtime computes for either branch."""
    model = branches()
    ported = cp.port_model(model, to="onnx")
    assert {(row.path, row.class_name, row.state) for row in ported.report} == {
        ("last", "ConvTranspose", "ported"),
        ("left", "Conv", "ported"),
        ("right", "Conv", "ported"),
    }
    data = RANDOM.standard_normal((1, 4, 12), dtype=np.float32)
    for wanted, name in ((True, "left"), (False, "right")):
        expected = run(model, x=data, wanted=np.array(wanted))
        active = np.maximum(ported.layers[name](data), 0)
        assert np.array_equal(ported.layers["last"](active), expected)


def test_reading_inside():
    """A node of a branch is read by its name, with weights of the graphs around it."""
    model = branches()
    left, right = read(model, "left"), read(model, "right")
    assert (left.policy.padding, left.policy.padding_mode) == (cp.Choice("explicit", left=2, right=0), cp.Choice("reflect"))
    assert np.array_equal(left.weight, WEIGHTS["one"])
    assert np.array_equal(left.bias, BIAS)
    assert (right.policy.padding, right.spec.groups, right.bias) == (cp.Choice("explicit", left=1, right=3), 2, None)
    assert np.array_equal(right.weight, WEIGHTS["two"])
    with pytest.raises(cp.InvalidValueError, match="it has 'last', 'right', 'left'"):
        read(model, "middle")


def test_two_nodes_of_one_name():
    """The name of the graph is in front, in a report and for `read`; the name alone names two."""
    model = branches(("same", "same"))
    ported = cp.port_model(model, to="numpy")
    assert list(ported.layers) == ["last", "else_graph/same", "then_graph/same"]
    assert np.array_equal(read(model, "else_graph/same").weight, WEIGHTS["two"])
    with pytest.raises(cp.InvalidValueError, match="got 'same'; it has 'last', 'else_graph/same', 'then_graph/same'"):
        read(model, "same")


def test_what_is_around_a_node():
    """A Pad that an activation separates and a Slice of the length are named; a Slice of all samples and one of channels are not."""
    nodes = [
        helper.make_node("Pad", ["x", "pads"], ["padded"], "far"),
        helper.make_node("Relu", ["padded"], ["active"]),
        helper.make_node("Conv", ["active", "one"], ["a"], "first"),
        helper.make_node("Slice", ["a", "start", "stop", "length"], ["b"], "cut"),
        helper.make_node("Conv", ["b", "one"], ["c"], "second"),
        helper.make_node("Slice", ["c", "zero", "end", "length"], ["d"], "whole"),
        helper.make_node("Slice", ["d", "start", "stop", "channels"], ["e"], "half"),
        helper.make_node("Identity", ["e"], ["y"]),
    ]
    numbers = {
        "start": [1],
        "stop": [-1],
        "zero": [0],
        "end": [2**63 - 1],
        "length": [2],
        "channels": [1],
        "pads": [0, 0, 1, 0, 0, 1],
    }
    tensors = [numpy_helper.from_array(np.array(array), name) for name, array in numbers.items()]
    tensors.append(numpy_helper.from_array(WEIGHTS["one"], "one"))
    model = helper.make_model(helper.make_graph(nodes, "g", [value("x", 1, 4, None)], [value("y", 1, 4, None)], tensors))
    assert {row.path: row.state for row in cp.port_model(model, to="numpy").report} == {
        "first": "ported, but its parent pads: Pad node 'far' before it, Slice node 'cut' after it",
        "second": "ported",
    }


def test_what_is_refused_or_left_out():
    """A computed weight is a row with its reason; a convolution of two axes is none."""
    nodes = [
        helper.make_node("Relu", ["one"], ["computed"]),
        helper.make_node("Conv", ["x", "computed"], ["y"], "computing"),
        helper.make_node("Conv", ["image", "flat"], ["z"], "flat", kernel_shape=[3, 3]),
    ]
    tensors = [numpy_helper.from_array(WEIGHTS["one"], "one"), numpy_helper.from_array(np.ones((4, 4, 3, 3), np.float32), "flat")]
    model = helper.make_model(
        helper.make_graph(nodes, "g", [value("x", 1, 4, 9), value("image", 1, 4, 9, 9)], [value("y"), value("z")], tensors)
    )
    (row,) = cp.port_model(model, to="numpy").report
    assert (row.path, row.class_name) == ("computing", "Conv")
    assert "must have stored tensors, got 'computed'" in row.reason


def test_a_file_with_weights_inside(tmp_path):
    """`cp.convert` finds the weights of all graphs; the model says which ones are of convolutions."""
    model = branches()
    onnx.save(model, tmp_path / "m.onnx")
    report = cp.convert(tmp_path / "m.onnx", tmp_path / "m.npz", source="torch", target="flax", layers=model)
    axes = {row.name: row.axes for row in report.weights}
    assert axes == {"deep.kernel": "OIW -> WIO", "two.kernel": "OIW -> WIO", "three.kernel": "IOW -> WIO, reversed"}
    with np.load(tmp_path / "m.npz") as file:
        assert sorted(file) == ["deep.bias", "deep.kernel", "three.kernel", "two.kernel"]
        assert np.array_equal(file["deep.kernel"], WEIGHTS["one"].transpose(2, 1, 0))
        assert np.array_equal(file["two.kernel"], WEIGHTS["two"].transpose(2, 1, 0))


def test_two_weights_of_one_name(tmp_path):
    """Branches may use one name for two tensors, which a checkpoint cannot."""
    model = branches()
    for graph, size in zip((model.graph.node[0].attribute[0].g, model.graph.node[0].attribute[1].g), (2, 3)):
        graph.initializer.append(numpy_helper.from_array(np.ones(size, np.float32), "twice"))
    onnx.save(model, tmp_path / "m.onnx")
    with pytest.raises(cp.InvalidValueError, match="must have one tensor of each name, got two of 'twice' in two graphs"):
        cp.convert(tmp_path / "m.onnx", tmp_path / "m.npz", source="torch", target="flax", layers=model)
