"""Reading Conv nodes: any ``auto_pad``, a Pad in front, and what is refused."""

from __future__ import annotations

import itertools
import random

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

import convpolicy as cp
from convpolicy_onnx import natives, read

IN, OUT = 4, 8
Choice = cp.Choice
PADDINGS = (0, (3, 1), "half", "causal", "semicausal", "same_static", Choice("same_upper", odd_side="left"), "same_lower", "full")
READABLE = ("zeros", "constant", "reflect", "replicate", "circular")  # modes of ONNX's own Pad


def rebuilt(found, backend="onnx"):
    """The layer of what was read."""
    spec = found.spec
    return cp.Conv1d(
        spec.in_channels, spec.out_channels, spec.kernel_size, spec.stride, dilation=spec.dilation, groups=spec.groups,
        policy=found.policy, backend=backend, weight_init=found.weight, bias_init=found.bias,
    )  # fmt: skip


@pytest.mark.parametrize("auto_pad", ["NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"])
def test_any_auto_pad_is_read(auto_pad):
    """What is read gives the bits of the node that was read, or, where ONNX Runtime refuses the node, what ONNX defines."""
    for kernel, stride, dilation, groups, bias in itertools.product(range(1, 6), (1, 2, 3), (1, 2), (1, 2, IN), (True, False)):
        spec = cp.ConvSpec.of(IN, OUT, kernel, stride, dilation, groups)
        layer = natives.build(spec, {"padding": (2, 0) if auto_pad == "NOTSET" else auto_pad, "bias": bias})
        draw = np.random.default_rng(kernel)
        natives.give(layer, {name: draw.standard_normal(value.shape) for name, value in layer["parameters"].items()})
        found = read(natives.model(layer))
        assert found.spec == spec
        assert np.array_equal(found.weight, layer["parameters"]["weight"])
        assert (found.bias is not None) == bias == found.policy.bias
        data = draw.standard_normal((2, IN, 17)).astype(np.float32)
        if auto_pad.startswith("SAME") and dilation > 1:
            assert found.policy.padding == Choice(auto_pad.lower())
            assert found.policy.plan(kernel, stride, dilation, length=17).length_out == -(-17 // stride)
        else:
            assert rebuilt(found)(data).tobytes() == natives.run(layer, data).tobytes()


@pytest.mark.parametrize("auto_pad", ["SAME_UPPER", "SAME_LOWER"])
def test_what_onnx_runtime_departs_from_is_read_as_onnx_defines_it(auto_pad):
    """A stride at which ONNX Runtime skips samples: what is read computes what ONNX's own evaluator does, at every length."""
    spec = cp.ConvSpec.of(1, 1, 2, 9, 1, 1)
    layer = natives.build(spec, {"padding": auto_pad})
    natives.give(layer, {"weight": np.array([[[1.0, 100.0]]])})
    found, model = read(natives.model(layer)), natives.model(layer)
    departs = 0
    for length in range(2, 30):
        data = np.arange(1, length + 1, dtype=np.float32)[None, None]
        defined = ReferenceEvaluator(model).run(None, {"input": data})[0]
        assert np.array_equal(rebuilt(found)(data), defined)
        departs += not np.array_equal(natives.run(layer, data), defined)
    assert departs >= 5


def layers(mode, count=18, length=19):
    """Layers of random weights over strides, dilations, groups and paddings, and data for each."""
    sizes = itertools.product(PADDINGS, (1, 2, 3), (1, 2), (1, 2, IN))
    for number, (padding, stride, dilation, groups) in enumerate(random.Random(str(mode)).sample(list(sizes), count)):
        draw, kernel = np.random.default_rng(number), 2 + number % 4
        weight = draw.standard_normal((OUT, IN // groups, kernel)).astype(np.float32)
        bias = draw.standard_normal(OUT).astype(np.float32) if number % 2 else None

        def build(weight=weight, bias=bias, padding=padding, stride=stride, dilation=dilation, groups=groups):
            return cp.Conv1d(
                IN, OUT, weight.shape[2], stride, padding, dilation, groups, bias is not None, mode, backend="onnx",
                policy=cp.policy("torch").evolve(name="any", random_stream="numpy"), weight_init=weight, bias_init=bias, seed=0,
            )  # fmt: skip

        yield build, weight, bias, draw.standard_normal((1, IN, length)).astype(np.float32)


@pytest.mark.parametrize("mode", READABLE)
def test_built_read_and_built_again(mode):
    """A model that this backend built is read back as a layer whose model is the same, byte for byte."""
    for build, _weight, _bias, data in layers(Choice("constant", value=1.5) if mode == "constant" else Choice(mode)):
        layer, length = build(), data.shape[2]
        model = layer.model(length)
        again = rebuilt(read(model))
        assert again(data).tobytes() == layer(data).tobytes()
        expected, actual = layer.plan(length), again.plan(length)
        assert (expected.left_sources, expected.right_sources) == (actual.left_sources, actual.right_sources)
        assert not layer._any_length or again.model(length) == model


FAULTS = {
    "kernel flipped": lambda weight, bias: {"weight": weight[..., ::-1]},
    "weight rounded": lambda weight, bias: {"weight": weight.astype("float16").astype("float32")},
    "bias along the wrong axis": lambda weight, bias: {"bias": None if bias is None else bias[::-1]},
    "one more on the left": lambda weight, bias: {"padding": (1, 0)},
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_wrong_reading_would_show(fault):
    """The bits above tell a layer with a fault from the right one."""
    shown = 0
    for build, weight, bias, data in layers(Choice("zeros")):
        wrong = build(**FAULTS[fault](weight, bias))
        shown += rebuilt(read(wrong.model(data.shape[2])))(data).tobytes() != build()(data).tobytes()
    assert shown >= 5


def test_a_capture_runs_on_another_backend(tmp_path):
    """From a file to a torch-free NumPy layer."""
    layer = cp.Conv1d(2, 4, 4, 2, policy="onnx-same-lower", backend="onnx", seed=0)
    onnx.save(layer.model(9), tmp_path / "conv.onnx")
    data = np.random.default_rng(0).standard_normal((1, 2, 9)).astype(np.float32)
    np.testing.assert_allclose(rebuilt(read(tmp_path / "conv.onnx"), "numpy")(data), layer(data), atol=1e-5)
    assert read(str(tmp_path / "conv.onnx")).spec == layer._request.spec


def model_of(nodes, tensors, inputs=("input",)):
    """A model of these nodes."""
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in inputs],
        [helper.make_tensor_value_info(nodes[-1].output[0], TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in tensors.items()],
    )  # fmt: skip
    return helper.make_model(graph, ir_version=9, opset_imports=[helper.make_opsetid("", 19)])


W1, W2 = np.ones((2, 2, 3), np.float32), np.ones((2, 2, 3, 3), np.float32)


def conv(source="input", output="output", **attributes):
    """A Conv node."""
    return helper.make_node("Conv", [source, "w"], [output], **attributes)


def pad(pads="pads", *more, **attributes):
    """A Pad node in front of it."""
    return helper.make_node("Pad", ["input", pads, *more], ["padded"], **attributes)


def test_constant_nodes_pads_by_axis_and_named_nodes():
    """Weights in a Constant node, a Pad with axes, and a node named in a larger model."""
    constant = helper.make_node("Constant", [], ["w"], value=numpy_helper.from_array(W1))
    assert np.array_equal(read(model_of([constant, conv()], {})).weight, W1)
    by_axis = read(model_of([pad("pads", "", "axes", mode="edge"), conv("padded")], {"w": W1, "pads": [3, 1], "axes": [-1]}))
    assert (by_axis.policy.padding, by_axis.policy.padding_mode) == (Choice("explicit", left=3, right=1), Choice("replicate"))
    default = read(model_of([pad(), conv("padded")], {"w": W1, "pads": [0, 0, 1, 0, 0, 2]})).policy
    assert (default.padding, default.padding_mode) == (Choice("explicit", left=1, right=2), Choice("zeros"))
    chain = model_of([conv(output="middle", name="first"), conv("middle", strides=[2])], {"w": W1})
    assert [read(chain, name).spec.stride for name in ("first", "middle", "output")] == [1, 1, 2]


UNREADABLE = {
    "2-D": (model_of([conv()], {"w": W2}), "", r"Conv node 'output' must be a 1-D convolution with a weight of 3 axes, got shape \(2, 2, 3, 3\)"),
    "computed weight": (model_of([conv(name="c")], {}, ["input", "w"]), "", "Conv node 'c' must have stored tensors, got 'w', which is computed or an input; fold"),
    "two": (model_of([conv(output="m"), conv("m")], {"w": W1}), "", "node must name one Conv or ConvTranspose of the model, got ''; it has 'm', 'output'"),
    "none": (model_of([helper.make_node("Relu", ["input"], ["output"])], {}), "", "node must name one Conv or ConvTranspose of the model, got ''; it has none"),
    "no such name": (model_of([conv()], {"w": W1}), "cnv", "node must name one Conv or ConvTranspose of the model, got 'cnv'; it has 'output'"),
    "more than a Conv": (model_of([conv(output="m"), helper.make_node("Relu", ["m"], ["output"])], {"w": W1}), "", "only one Conv and its padding, got also Relu"),
    "pads of channels": (model_of([pad(), conv("padded")], {"w": W1, "pads": [0, 1, 1, 0, 0, 2]}), "", "Pad node 'padded' must add samples to the length only"),
    "a crop": (model_of([pad(), conv("padded")], {"w": W1, "pads": [0, 0, -1, 0, 0, 2]}), "", "Pad node 'padded' must add samples to the length only"),
    "padded twice": (model_of([pad(), conv("padded", pads=[1, 0])], {"w": W1, "pads": [0, 0, 1, 0, 0, 2]}), "", "must precede a Conv without pads"),
    "SAME after a Pad": (model_of([pad(), conv("padded", auto_pad="SAME_UPPER")], {"w": W1, "pads": [0, 0, 1, 0, 0, 2]}), "", "must precede a Conv without pads"),
    "an index map": (cp.Conv1d(2, 2, 3, padding=1, padding_mode="symmetric", backend="onnx").model(5), "", "got also Gather"),
}  # fmt: skip


@pytest.mark.parametrize("fault", UNREADABLE)
def test_what_cannot_be_read(fault):
    """One sentence each, with the node."""
    model, node, says = UNREADABLE[fault]
    with pytest.raises(cp.InvalidValueError, match=says):
        read(model, node)


def test_no_model():
    """Something else is refused by its type."""
    with pytest.raises(cp.InvalidTypeError, match=r"model must be an onnx\.ModelProto or a path, got NodeProto; pass onnx.load"):
        read(conv())
