"""torch.export with a dynamic length and ONNX with explicit pads, run by onnxruntime."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

import convpolicy as cp
from convpolicy import reference

pytestmark = pytest.mark.needs("onnx", "onnxruntime", "onnxscript")

pytestmark = pytest.mark.filterwarnings("ignore")  # the exporters warn about themselves, and torch about its own even 'same'
LAYERS = {
    "native": {},
    "torch same": {"padding": "same"},
    "mindspore": {"policy": "mindspore"},
    "mindspore, stride 2": {"policy": "mindspore", "stride": 2},
    "same_lower, stride 3, dilation 2": {"padding": "same_lower", "stride": 3, "dilation": 2},
    "causal": {"padding": "causal", "dilation": 2},
    "semicausal": {"padding": "semicausal", "stride": 2},
    "pair": {"padding": (3, 1)},
    "constant": {"padding": (3, 1), "padding_mode": cp.Choice("constant", value=1.5)},
    "reflect": {"padding": (2, 1), "padding_mode": "reflect"},
    "replicate": {"policy": "mindspore", "stride": 2, "padding_mode": "replicate"},
}
LENGTHS = (16, 17, 24, 31)
layers = pytest.mark.parametrize("options", LAYERS.values(), ids=LAYERS)


def built(options):
    """A seeded layer of 4 → 6 channels, kernel 4."""
    return cp.Conv1d(4, 6, 4, backend="torch", seed=0, **options).eval()


def random(length):
    """Random input."""
    return torch.randn(2, 4, length, generator=torch.Generator().manual_seed(length))


@layers
def test_exported_for_every_length(options):
    """One exported program, traced at one length, gives the layer's bits at others, shorter and longer, even and odd."""
    layer = built(options)
    program = torch.export.export(
        layer, (random(20),), dynamic_shapes=({0: torch.export.Dim.DYNAMIC, 2: torch.export.Dim.DYNAMIC},)
    )
    module = program.module()
    for length in LENGTHS:
        assert torch.equal(module(random(length)), layer(random(length))), length


@pytest.mark.grid(every=3)
@layers
def test_onnx(options, tmp_path):
    """The ONNX model has explicit pads, no auto_pad, and onnxruntime gives the layer's output within the rounding of both."""
    layer = built(options)
    path = tmp_path / "layer.onnx"
    dims = {0: torch.export.Dim.DYNAMIC, 2: torch.export.Dim.DYNAMIC}
    torch.onnx.export(layer, (random(20),), path, dynamo=True, dynamic_shapes=(dims,), verbose=False)
    model = onnx.load(path)
    onnx.checker.check_model(model)
    for node in model.graph.node:
        attributes = {attribute.name: attribute for attribute in node.attribute}
        assert attributes["auto_pad"].s == b"NOTSET" if "auto_pad" in attributes else True
        if node.op_type == "Conv":
            assert "pads" in attributes
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    weight = layer.weight.detach().numpy()
    for length in LENGTHS:
        data = random(length)
        (output,) = session.run(None, {name: data.numpy()})
        expected = layer(data).detach().numpy()
        assert output.shape == expected.shape
        magnitude = abs(weight).sum((1, 2)).max() * max(data.abs().max().item(), 1.5) + 1
        assert abs(output - expected).max() <= 2 * reference.tolerance("float32", weight[0].size + 1, magnitude)


FOLDING = {
    "Flax REFLECT": {"policy": "flax", "padding": "REFLECT"},
    "Flax CIRCULAR": {"policy": "flax", "padding": "CIRCULAR"},
    "EnCodec": {"padding": "encodec", "padding_mode": cp.Choice("reflect", overflow="zero-extend"), "stride": 2},
    "reflect, wide": {"padding": (30, 23), "padding_mode": cp.Choice("reflect", overflow="periodic")},
    "symmetric, wide": {"padding": (29, 7), "padding_mode": cp.Choice("symmetric", overflow="periodic")},
    "circular, wide": {"padding": (9, 26), "padding_mode": cp.Choice("circular", overflow="periodic")},
    "reflect, extended": {"padding": (30, 23), "padding_mode": cp.Choice("reflect", overflow="zero-extend")},
    "symmetric, extended": {"padding": (29, 7), "padding_mode": cp.Choice("symmetric", overflow="zero-extend")},
    "circular, extended": {"padding": (9, 26), "padding_mode": cp.Choice("circular", overflow="zero-extend")},
}


@pytest.mark.parametrize("options", FOLDING.values(), ids=FOLDING)
def test_modes_that_fold_at_every_length(options):
    """Exported with a named Dim, and compiled once: the eager layer's bits at lengths where pads fold and where they do not."""
    layer, graphs = built(options), []
    program = torch.export.export(layer, (random(20),), dynamic_shapes=({2: torch.export.Dim("length", min=7, max=99)},)).module()
    torch.compiler.reset()
    compiled = torch.compile(
        layer, fullgraph=True, dynamic=True, backend=lambda graph, _inputs: graphs.append(1) or graph.forward
    )
    for length in (7, 8, 16, 31, 50):
        data = random(length)
        assert torch.equal(program(data), layer(data)), length
        assert torch.equal(compiled(data), layer(data)), length
    assert len(graphs) == 1


@pytest.mark.parametrize("label", ["EnCodec", "circular, wide"])
def test_onnx_of_modes_that_fold(label):
    """The ONNX model has a dynamic length, and onnxruntime gives the layer's output at lengths where pads fold too."""
    layer = built(FOLDING[label])
    dims = ({2: torch.export.Dim("length", min=7, max=99)},)
    model = torch.onnx.export(layer, (random(20),), dynamo=True, dynamic_shapes=dims, verbose=False).model_proto
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (entry,) = session.get_inputs()
    assert entry.shape[2] == "length"
    for length in (7, 16, 50):
        (output,) = session.run(None, {entry.name: random(length).numpy()})
        torch.testing.assert_close(torch.from_numpy(output), layer(random(length)).detach(), rtol=1e-5, atol=1e-5)


def test_a_plugins_mode_is_refused_for_a_dynamic_length():
    """torch.export and torch.onnx.export say why, and export one length; nothing is exported for one length in silence."""
    mode = cp.PaddingMode("every-other", source=lambda positions, length: np.clip(positions // 2 * 2, 0, length - 1))
    cp.register(type("Mine", (), {"convpolicy_padding_modes": cp.hookimpl(lambda _self: [mode])})(), "mine")
    try:
        layer = built({"padding": (3, 1), "padding_mode": "every-other"})
        dims = ({2: torch.export.Dim("length", min=7, max=99)},)
        with pytest.raises(
            cp.ConvPolicyError, match=r"padding_mode 'every-other' must be one of zeros, constant, .* for a dynamic length"
        ):
            torch.export.export(layer, (random(20),), dynamic_shapes=dims)
        with pytest.raises(torch.onnx.errors.OnnxExporterError, match="padding_mode 'every-other' must be one of"):
            torch.onnx.export(layer, (random(20),), dynamo=True, dynamic_shapes=dims, verbose=False)
        assert torch.equal(torch.export.export(layer, (random(20),)).module()(random(20)), layer(random(20)))
        compiled = torch.compile(layer, fullgraph=True, backend="eager")
        for length in (7, 20):
            assert torch.equal(compiled(random(length)), layer(random(length)))
    finally:
        cp.unregister("mine")


def test_pads_stand_in_the_model(tmp_path):
    """The unequal pads of a static rule are numbers in the file, left before right."""
    path = tmp_path / "layer.onnx"
    torch.onnx.export(built({"padding": (3, 1)}), (random(20),), path, dynamo=True, verbose=False)
    model = onnx.load(path)
    numbers = {tensor.name: onnx.numpy_helper.to_array(tensor).ravel().tolist() for tensor in model.graph.initializer}
    pads = [list(a.ints) for node in model.graph.node for a in node.attribute if a.name == "pads"]
    pads += [numbers[name] for node in model.graph.node if node.op_type == "Pad" for name in node.input[1:2]]
    assert [pad for pad in pads if any(pad)] in ([[3, 1]], [[0, 0, 3, 0, 0, 1]])
