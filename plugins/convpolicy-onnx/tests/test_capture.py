"""Layers and models taken apart and built elsewhere: every bit of the weights, the same outputs, or a refusal with its reason."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

import convpolicy as cp
from convpolicy import reference
from convpolicy_onnx import natives

BACKEND = cp.backends()["onnx"]
LAYERS = {
    "pair": {"padding": (3, 1)},
    "by length": {"padding": "same_lower", "stride": 2, "groups": 2, "policy": "mindspore"},
    "reflect": {"padding": (2, 1), "padding_mode": "reflect", "bias": False},
    "symmetric": {"padding": 2, "padding_mode": "symmetric"},
    "constant": {"padding": "causal", "dilation": 2, "padding_mode": cp.Choice("constant", value=1.5)},
}


def run(model, data):
    """What ONNX Runtime makes of a model."""
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"input": data})[0]


def check(layer, expected, data):
    """Capture, build on NumPy, capture that, build on ONNX: every bit stays, and the outputs are those expected."""
    taken = cp.capture(layer)
    assert (taken.backend, taken.dtype) == ("onnx", "float32")
    on_numpy = taken.build("numpy")
    magnitude = np.abs(data).max() * np.abs(taken.weight).sum((1, 2)).max() + 8  # a bias, a constant
    bound = 2 * reference.tolerance("float32", taken.weight[0].size + 1, magnitude)
    assert np.abs(on_numpy(data) - expected).max() <= bound
    again = cp.port(on_numpy, to="onnx")
    back = cp.capture(again)
    assert (back.spec, back.policy.padding, back.policy.padding_mode, back.policy.bias) == (
        taken.spec, taken.policy.padding, taken.policy.padding_mode, taken.policy.bias,
    )  # fmt: skip
    assert back.weight.tobytes() == taken.weight.tobytes()
    assert (back.bias is None) == (taken.bias is None) == (not taken.policy.bias)
    assert taken.bias is None or back.bias.tobytes() == taken.bias.tobytes()
    assert again(data).tobytes() == expected.tobytes()
    assert run(again.model(data.shape[2]), data).tobytes() == expected.tobytes()  # what assign wrote stands in the model
    return taken


@pytest.mark.parametrize("options", LAYERS.values(), ids=LAYERS)
def test_layers_of_the_backend(options):
    """They keep their policy; built again they have the layer's bits."""
    layer = cp.Conv1d(4, 8, 4, **({"policy": "torch", "backend": "onnx", "seed": 1} | options))
    data = np.random.default_rng(0).standard_normal((2, 4, 11)).astype(np.float32)
    assert check(layer, layer(data), data).policy.name == options.get("policy", "torch")


@pytest.mark.parametrize("words", [{}, {"padding": "SAME_UPPER"}, {"padding": "SAME_LOWER"}, {"padding": "VALID"}, {"padding": (3, 1)}], ids=str)  # fmt: skip
@pytest.mark.parametrize("bias", [True, False])
def test_models_of_one_conv(words, bias):
    """An onnx.ModelProto with any auto_pad, with stride and groups."""
    spec = cp.ConvSpec.of(4, 8, 4, 2, 1, 2)
    draw = np.random.default_rng(1)
    layer = natives.build(spec, {**words, "bias": bias})
    natives.give(layer, {"weight": draw.standard_normal(spec.weight_shape), "bias": draw.standard_normal(8)})
    model = natives.model(layer)
    before = model.SerializeToString()
    data = draw.standard_normal((2, 4, 11)).astype(np.float32)
    taken = check(model, natives.run(layer, data), data)
    assert model.SerializeToString() == before
    assert taken.weight.tobytes() == layer["parameters"]["weight"].tobytes()


def test_a_model_is_taken_apart_in_a_fresh_process(tmp_path):
    """The backend is found by the package onnx, before ONNX Runtime is imported; NumPy then needs neither."""
    layer = cp.Conv1d(2, 4, 3, policy="onnx-same-upper", backend="onnx", seed=0)
    onnx.save(layer.model(), tmp_path / "conv.onnx")
    code = f"""
import sys
import onnx, convpolicy as cp
taken = cp.capture(onnx.load({str(tmp_path / "conv.onnx")!r}))
print(taken.backend, float(taken.build("numpy").weight.sum()), "onnxruntime" in sys.modules)
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert found == f"onnx {float(layer.weight.sum())} False\n"


@pytest.mark.parametrize("dtype", ["float64", "float16", "bfloat16"])
def test_models_of_other_dtypes(dtype):
    """The dtype of the stored weight is kept; bfloat16 comes as the float32 numbers it holds."""
    values = np.random.default_rng(3).standard_normal((4, 2, 3))
    if dtype == "bfloat16":
        values = values.astype(np.float32)
        values.view(np.uint32)[...] &= 0xFFFF0000  # numbers that bfloat16 holds
        tensor = helper.make_tensor("w", TensorProto.BFLOAT16, values.shape, values.ravel())
    else:
        values = values.astype(dtype)
        tensor = numpy_helper.from_array(values, "w")
    node = helper.make_node("Conv", ["input", "w"], ["output"])
    ends = [helper.make_tensor_value_info(name, tensor.data_type, None) for name in ("input", "output")]
    taken = cp.capture(helper.make_model(helper.make_graph([node], "g", ends[:1], ends[1:], [tensor])))
    assert (taken.dtype, taken.weight.dtype) == (dtype, "float32" if dtype == "bfloat16" else dtype)
    assert np.array_equal(taken.weight, values)


def test_assign_refuses_other_shapes():
    """Nothing is broadcast, and the layer stays as it was."""
    layer = cp.Conv1d(4, 8, 3, bias=False, backend="onnx", seed=0)
    before = layer.weight
    with pytest.raises(cp.InvalidValueError, match=r"weight must have shape \(8, 4, 3\), like the layer's, got \(8, 4, 1\)"):
        BACKEND.assign(layer, {"weight": np.ones((8, 4, 1), "float32"), "bias": None})
    with pytest.raises(cp.InvalidValueError, match=r"bias must have shape None, like the layer's, got \(8,\)"):
        BACKEND.assign(layer, {"weight": None, "bias": np.ones(8, "float32")})
    assert layer.weight is before


def test_what_cannot_be_taken_apart():
    """A model with other nodes is refused with them named, integers by their dtype, and a node by its class."""
    relu = helper.make_node("Relu", ["c"], ["output"])
    conv = helper.make_node("Conv", ["input", "w"], ["c"])

    def model(nodes, weight):
        ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("input", nodes[-1].output[0])]
        return helper.make_model(helper.make_graph(nodes, "g", ends[:1], ends[1:], [numpy_helper.from_array(weight, "w")]))

    with pytest.raises(cp.InvalidValueError, match="only one Conv and its padding, got also Relu"):
        cp.capture(model([conv, relu], np.ones((2, 2, 3), "float32")))
    with pytest.raises(cp.InvalidValueError, match="its weights are int8; convert them to one of float32"):
        cp.capture(model([conv], np.ones((2, 2, 3), "int8")))
    with pytest.raises(cp.InvalidTypeError, match=r"of one of the backends .*onnx.*got an object of class onnx\..*NodeProto"):
        cp.capture(conv)
