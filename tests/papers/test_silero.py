"""Silero's voice detector: the convolutions of its ONNX files and of its TorchScript file are the same ones."""

from __future__ import annotations

import functools

import convpolicy_onnx
import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from convpolicy_onnx import read
from onnx import TensorProto, helper, numpy_helper
from published_models import folder

import convpolicy as cp

DATA = folder("silero_vad") / "data"
BRANCHES = {"then": "_model", "else": "_model_8k"}  # of the If for the sampling rate -> module of the TorchScript file
LAYERS = (
    "encoder.0.reparam_conv",
    "encoder.1.reparam_conv",
    "encoder.2.reparam_conv",
    "encoder.3.reparam_conv",
    "decoder.decoder.2",
)
LENGTHS = (3, 8, 65)


@functools.cache
def onnx_file():
    return onnx.load(DATA / "silero_vad.onnx")


@functools.cache
def scripted():
    return torch.jit.load(DATA / "silero_vad.jit", map_location="cpu").eval()


def module_at(path):
    return functools.reduce(getattr, path.split("."), scripted())


def node_name(branch, path):
    return f"If_0_{branch}_branch__Inline_0__/{path.replace('.', '/')}/Conv"


def native(branch, name):
    """Run one Conv node of a branch with ONNX Runtime; found without convpolicy."""
    (choice,) = (node for node in onnx_file().graph.node if node.op_type == "If")
    (graph,) = (attribute.g for attribute in choice.attribute if attribute.name == f"{branch}_branch")
    (conv,) = (node for node in graph.node if node.name == name)
    constants = {node.output[0]: node.attribute[0].t for node in graph.node if node.op_type == "Constant"}
    tensors = [numpy_helper.from_array(numpy_helper.to_array(constants[each]), each) for each in conv.input[1:]]
    data, output = (
        helper.make_tensor_value_info(each, TensorProto.FLOAT, [None] * 3) for each in (conv.input[0], conv.output[0])
    )
    model = helper.make_model(
        helper.make_graph([conv], "alone", [data], [output], tensors), ir_version=8, opset_imports=onnx_file().opset_import
    )
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return lambda array: session.run(None, {conv.input[0]: array})[0]


@pytest.fixture(autouse=True, scope="module")
def plugin():
    """The plugin, which the other tests of papers do not see."""
    cp.register(convpolicy_onnx, "onnx")
    yield
    cp.unregister("onnx")


def random(channels, length):
    return np.random.default_rng(length).standard_normal((2, channels, length), dtype=np.float32)


def test_convolutions_of_the_onnx_file():
    """All twelve are inside an If; each layer gives every bit of what ONNX Runtime computes for its node."""
    ported = cp.port_model(onnx_file(), to="onnx")
    assert not ported.refused
    names = {node_name(branch, path) for branch in BRANCHES for path in (*LAYERS, "stft")}
    assert set(ported.layers) == names
    assert {row.path for row in ported.noted} == {node_name(branch, "stft") for branch in BRANCHES}
    for row in ported.noted:
        assert row.state.startswith("ported, but its parent pads: Pad node ")
    for branch in BRANCHES:
        for path in (*LAYERS, "stft"):
            name = node_name(branch, path)
            layer, run = ported.layers[name], native(branch, name)
            for length in LENGTHS if path != "stft" else (256, 640):
                data = random(layer.weight.shape[1], length)
                assert np.array_equal(layer(data), run(data)), name


def test_the_scripted_model():
    """Ten convolutions are ported from TorchScript and give every bit of their modules; the two of the STFT are named."""
    ported = cp.port_model(scripted(), to="torch")
    assert {row.path: row.state for row in ported.report if not row.reason} == {
        f"{branch}.{path}": "ported" for branch in BRANCHES.values() for path in LAYERS
    }
    assert [row.path for row in ported.refused] == [f"{branch}.stft" for branch in BRANCHES.values()]
    assert all("it changes the output of its convolution" in row.reason for row in ported.refused)
    for path, layer in ported.layers.items():
        module = module_at(path)
        for length in LENGTHS:
            data = torch.as_tensor(random(layer.in_channels, length))
            with torch.no_grad():
                assert torch.equal(layer(data), module(data)), path


@pytest.mark.parametrize("branch", BRANCHES)
def test_both_files_contain_the_same_layers(branch):
    """Sizes, padding, weights and outputs of a layer from ONNX are those of the layer from TorchScript."""
    from_onnx, from_script = (cp.port_model(model, to="torch") for model in (onnx_file(), scripted()))
    for path in LAYERS:
        name, other = node_name(branch, path), f"{BRANCHES[branch]}.{path}"
        spec, policy, weight, bias = read(onnx_file(), name)
        layer, module = from_onnx.layers[name], from_script.layers[other]
        captured = cp.capture(module)
        assert spec == captured.spec
        sizes = spec.kernel_size, spec.stride, spec.dilation
        assert policy.static_pads(*sizes) == captured.policy.static_pads(*sizes)
        assert np.array_equal(weight, captured.weight)
        assert np.array_equal(bias, captured.bias)
        for length in LENGTHS:
            data = torch.as_tensor(random(spec.in_channels, length))
            with torch.no_grad():
                assert torch.equal(layer(data), module(data))
    basis = getattr(scripted(), BRANCHES[branch]).stft.forward_basis_buffer.numpy()
    assert np.array_equal(read(onnx_file(), node_name(branch, "stft")).weight, basis)


@pytest.mark.parametrize("name", ["16k_op15", "op18_ifless", "16k_sequence", "openvino_16k"])
def test_other_exports(name):
    """Four more ONNX files of the package, exported in other ways, have the weights of 16 kHz in their graphs."""
    layers = cp.port_model(onnx.load(DATA / f"silero_vad_{name}.onnx"), to="numpy").layers.values()
    for path in LAYERS:
        captured = cp.capture(module_at(f"_model.{path}"))
        (layer,) = (layer for layer in layers if np.array_equal(layer.weight, captured.weight))
        assert np.array_equal(layer.bias, captured.bias)
        data = random(captured.spec.in_channels, 9)
        assert np.array_equal(layer(data), captured.build("numpy")(data))


def test_the_onnx_file_as_a_checkpoint(tmp_path):
    """`cp.convert` finds the weights inside the If, and transposes those that a map names."""
    mapping = {f"*__{path}.weight": "torch" for path in LAYERS}
    report = cp.convert(DATA / "silero_vad.onnx", tmp_path / "flax.npz", source="torch", target="flax", mapping=mapping)
    assert len(report.weights) == len(BRANCHES) * len(LAYERS)
    with np.load(tmp_path / "flax.npz") as made:
        for branch in BRANCHES:
            for path in LAYERS:
                _spec, _policy, weight, bias = read(onnx_file(), node_name(branch, path))
                name = f"If_0_{branch}_branch__Inline_0__{path}"
                assert np.array_equal(made[f"{name}.kernel"], weight.transpose(2, 1, 0))
                assert np.array_equal(made[f"{name}.bias"], bias)
