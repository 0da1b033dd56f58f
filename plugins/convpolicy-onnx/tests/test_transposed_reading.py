"""ConvTranspose nodes are read, and transposed layers captured and built elsewhere, or refused in one sentence."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import helper
from transposed_nodes import IN, LAYERS, OUT, built, ideal, model_of, node_model, random, run

import convpolicy as cp
from convpolicy_onnx import read

layers = pytest.mark.parametrize(("options", "operators"), LAYERS.values(), ids=LAYERS)
READ = {
    "defaults": ({}, None),
    "pads": ({"pads": [3, 1], "group": 2}, None),
    "output_padding": ({"pads": [1, 1], "output_padding": [1], "strides": [3], "dilations": [2]}, None),
    "SAME_UPPER": ({"auto_pad": "SAME_UPPER", "strides": [3]}, "onnx-same-upper"),
    "SAME_LOWER": ({"auto_pad": "SAME_LOWER", "strides": [2], "output_padding": [1]}, "onnx-same-lower"),
    "SAME_UPPER, kernel below stride": ({"auto_pad": "SAME_UPPER", "strides": [7]}, "onnx-same-upper"),
    "VALID": ({"auto_pad": "VALID", "strides": [2], "output_padding": [1]}, None),
    "output_shape": ({"output_shape": [14], "strides": [2]}, None),
    "output_shape of three axes": ({"output_shape": [1, OUT, 15], "strides": [2]}, None),
    "output_shape, SAME_UPPER": ({"output_shape": [14], "strides": [2], "auto_pad": "SAME_UPPER"}, "onnx-same-upper"),
    "output_shape and pads": ({"output_shape": [14], "strides": [2], "pads": [2, 0]}, None),
}


@pytest.mark.parametrize(("attributes", "policy"), READ.values(), ids=READ)
@pytest.mark.parametrize("has_bias", [True, False])
def test_a_node_is_read(attributes, policy, has_bias, tmp_path):
    """From a file: sizes, policy, weight and bias; built again it has the node's bits, and NumPy agrees with the reference."""
    weight, bias = random(IN, OUT // attributes.get("group", 1), 5), random(OUT) if has_bias else None
    model, data = node_model(weight, bias, **attributes), random(1, IN, 6)
    onnx.save(model, tmp_path / "up.onnx")
    found = read(tmp_path / "up.onnx")
    assert found.spec.transposed
    assert (found.spec.in_channels, found.spec.out_channels) == (IN, OUT)
    assert (found.policy.name, found.policy.bias) == (policy or "onnx", has_bias)
    captured = cp.capture(model)
    assert captured.weight.tobytes() == weight.tobytes()
    assert captured.policy == found.policy
    expected = run(model, data)
    assert captured.build("onnx")(data).tobytes() == expected.tobytes()
    plan = found.policy.plan(5, found.spec.stride, found.spec.dilation, length=6)
    reference_output, bound = ideal(plan, weight, bias, data)
    assert reference_output.shape == expected.shape
    assert (np.abs(captured.build("numpy")(data) - reference_output) <= bound).all()


@layers
def test_a_layer_is_captured(options, operators):
    """Capture, NumPy, capture, ONNX: every bit of the weights and of the outputs."""
    layer, data = built(options), random(2, IN, 9)
    captured = cp.capture(layer)
    again = cp.port(captured.build("numpy"), to="onnx")
    assert again.weight.tobytes() == layer.weight.tobytes()
    assert again(data).tobytes() == layer(data).tobytes()
    assert np.array_equal(layer.weight, cp.policy("onnx").half().initial(IN, OUT, 4, options.get("groups", 1), seed=3)["weight"])


def pad_before():
    """A Pad and a ConvTranspose."""
    pad = helper.make_node("Pad", ["input", "pads"], ["padded"], name="pad")
    up = helper.make_node("ConvTranspose", ["padded", "w"], ["output"], name="up")
    return model_of([pad, up], {"pads": np.array([0, 0, 1, 0, 0, 1]), "w": random(2, 2, 3)})


REFUSED = {
    "float64": (lambda: built({}, dtype="float64"), "dtype must be one of float32 for backend 'onnx'"),
    "reflect": (lambda: built({"padding_mode": "reflect"}), "padding_mode of a transposed convolution must be one of zeros, circular"),
    "output_padding": (lambda: built({}, policy="onnx-same-upper", output_padding=2), "output_padding must be below the stride, 2, under policy 'onnx-same-upper', as onnxruntime requires for every dilation, got 2"),
    "everything is cut": (lambda: built({"padding": 9})(random(1, IN, 2)), "input of length 2 is too short: 9 and 9 samples are cut"),
    "channels": (lambda: built({})(random(1, 9, IN)), r"input must have shape \(batch, 4, length\) or .* got \(1, 9, 4\); put"),
    "empty": (lambda: built({})(random(1, IN, 0)), "input must have at least one sample"),
    "an output_size that SAME cannot give": (
        lambda: cp.policy("onnx-same-upper").half().plan(5, 2, length=6, output_size=13),
        "output_size must be 12 for crop rule 'onnx_same_upper', whose parameter output_padding does not lengthen this output, got 13",
    ),
    "a Pad before": (lambda: read(pad_before(), "up"), "ConvTranspose node 'up' must read the input of the model, got the output of Pad node 'pad'"),
    "more nodes": (lambda: read(built({"padding": (-1, 2)}).model()), "only one ConvTranspose and its padding, got also Add, Pad; name"),
    "2-D": (lambda: read(node_model(random(2, 2, 3, 3), None)), "must be a 1-D convolution with a weight of 3 axes"),
    "attributes": (lambda: read(node_model(random(2, 2, 3), None, output_padding=[2])), r"ConvTranspose node 'up' cannot be read: .*output_padding must be below the stride"),
}  # fmt: skip


@pytest.mark.parametrize("fault", REFUSED)
def test_refusals(fault):
    """Each in one sentence, with what came."""
    call, says = REFUSED[fault]
    with pytest.raises(cp.InvalidValueError, match=says):
        call()
