"""The layer: its model is a good ONNX file, it takes any length, and it refuses what it cannot do in one sentence."""

from __future__ import annotations

import pickle

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx.reference import ReferenceEvaluator

import convpolicy as cp
from convpolicy import reference

Choice = cp.Choice
LAYERS = {  # what is asked for -> the operators of its model, and whether one model serves every length
    "valid": ({}, ["Conv"], True),
    "unequal pads": ({"padding": (3, 1)}, ["Conv"], True),
    "SAME, stride 1": ({"padding": "same_upper", "dilation": 2}, ["Conv"], True),
    "SAME, stride 2": ({"padding": "same_lower", "stride": 2}, ["Conv"], False),
    "constant": ({"padding": "causal", "padding_mode": Choice("constant", value=1.5)}, ["Pad", "Conv"], True),
    "a constant of 0": ({"padding": "causal", "padding_mode": Choice("constant", value=0.0)}, ["Conv"], True),
    "reflect": ({"padding": (2, 1), "padding_mode": "reflect"}, ["Pad", "Conv"], True),
    "replicate": ({"padding": (2, 1), "padding_mode": "replicate"}, ["Pad", "Conv"], True),
    "circular": ({"padding": (2, 1), "padding_mode": "circular"}, ["Pad", "Conv"], True),
    "circular, wide": ({"padding": (20, 7), "padding_mode": Choice("circular", overflow="periodic")}, ["Pad", "Conv"], True),
    "SAME, stride 2, reflect": ({"padding": "same_upper", "stride": 2, "padding_mode": "reflect"}, ["Pad", "Conv"], False),
    "symmetric": ({"padding": (2, 1), "padding_mode": "symmetric", "groups": 2}, ["Gather", "Conv"], False),
    "reflect, zero-extended": (
        {"padding": (20, 7), "padding_mode": Choice("reflect", overflow="zero-extend")}, ["Pad", "Gather", "Conv"], False,
    ),
    "a cut": ({"padding": Choice("crop", left=1, right=2)}, ["Gather", "Conv"], False),
    "symmetric of nothing": ({"padding_mode": "symmetric"}, ["Conv"], True),
}  # fmt: skip
layers = pytest.mark.parametrize(("options", "operators", "any_length"), LAYERS.values(), ids=LAYERS)


def built(options, **more):
    """A layer of 4 → 8 channels, kernel 4, with a bias."""
    return cp.Conv1d(4, 8, 4, **({"bias": True, "policy": "torch", "backend": "onnx", "seed": 3} | options | more))


def random(*shape):
    """Random data, the same at every call."""
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


@layers
def test_the_saved_model_is_the_layer(options, operators, any_length, tmp_path):
    """It passes the checker, holds no auto_pad, gives the layer's bits in ONNX Runtime, and ONNX's own evaluator agrees."""
    layer = built(options)
    path = tmp_path / "layer.onnx"
    for length in (9, 12):
        model = layer.model(length)
        onnx.checker.check_model(model, full_check=True)
        assert [node.op_type for node in model.graph.node] == operators
        assert [found.version for found in model.opset_import] == [19]
        attributes = {attribute.name for attribute in model.graph.node[-1].attribute}
        assert "pads" in attributes
        assert "auto_pad" not in attributes
        onnx.save(model, path)
        data = random(2, 4, length)
        output = layer(data)
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        assert session.run(None, {"input": data})[0].tobytes() == output.tobytes()
        if options.get("padding_mode") == Choice("circular", overflow="periodic"):
            continue  # onnx's evaluator wraps once only
        evaluated = ReferenceEvaluator(model).run(None, {"input": data})[0]
        np.testing.assert_allclose(evaluated, output, rtol=0, atol=1e-5)


@layers
def test_one_model_for_every_length_or_a_length_is_needed(options, operators, any_length):
    """Without a length: a model of dynamic length and batch, or a sentence."""
    layer = built(options)
    if any_length:
        assert layer.model() == layer.model(9)
        shapes = [
            [d.dim_param or d.dim_value for d in v.type.tensor_type.shape.dim]
            for v in (*layer.model().graph.input, *layer.model().graph.output)
        ]
        assert shapes == [["batch", 4, "length"], ["batch", 8, "length_out"]]
    else:
        with pytest.raises(
            cp.InvalidValueError, match=r"^length must be a number for padding .* with mode .* pass the input length"
        ):
            layer.model()


@layers
def test_the_numpy_backend_agrees(options, operators, any_length):
    """The same weights give NumPy's outputs within rounding, for many lengths, batched, unbatched and empty."""
    layer, other = built(options), built(options, backend="numpy")
    assert np.array_equal(layer.weight, other.weight)
    assert np.array_equal(layer.bias, other.bias)
    for length in range(9, 21):
        data = random(2, 4, length)
        output, expected = layer(data), other(data)
        bound = 2 * reference.tolerance("float32", layer.weight[0].size + 1, np.abs(layer.weight).sum((1, 2)).max() * 4 + 1)
        assert np.abs(output - expected).max() <= bound
        assert layer(data[0]).tobytes() == layer(data[:1])[0].tobytes()
        assert layer(data[:0]).shape == (0, *output.shape[1:])
    assert list(layer._sessions) == ([None] if any_length else list(range(13, 21)))


def test_strides_in_memory_do_not_matter():
    """A transposed view and the caller's array are read, not written."""
    layer = built({})
    data = random(2, 9, 4).transpose(0, 2, 1)
    before = data.copy()
    assert layer(data).tobytes() == layer(before).tobytes()
    assert np.array_equal(data, before)


def test_a_layer_of_another_backend_is_ported():
    """`convpolicy.port` writes its weights, and the models hold them."""
    other = built({"padding": "same_lower", "padding_mode": "reflect"}, backend="numpy")
    layer = cp.port(other, to="onnx")
    assert np.array_equal(layer.weight, other.weight)
    data = random(2, 4, 9)
    bound = 2 * reference.tolerance("float32", 17, np.abs(other.weight).sum((1, 2)).max() * np.abs(data).max() + 1)
    assert np.abs(layer(data) - other(data)).max() <= bound


def test_weights_are_read_only_and_pickled():
    """They stand in the model: writing them raises in place of doing nothing; a pickled layer is the same one."""
    layer = built({"padding_mode": "symmetric", "padding": 2})
    for array in (layer.weight, layer.bias):
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0
    again = pickle.loads(pickle.dumps(layer))
    assert again(random(1, 4, 9)).tobytes() == layer(random(1, 4, 9)).tobytes()
    assert again.policy == layer.policy
    assert built({"bias": False}).bias is None


def test_initial_weights():
    """With a seed the policy's own bits; without one NumPy's global state decides."""
    assert np.array_equal(built({}).weight, cp.policy("torch").initial(4, 8, 4, seed=3)["weight"])
    drawn = []
    for _ in range(2):
        np.random.seed(5)
        drawn.append(built({}, policy="onnx-same-upper", seed=None).weight)
    np.random.seed(5)
    drawn.append(built({}, policy="onnx-same-upper", seed=None, backend="numpy").weight)
    assert np.array_equal(drawn[0], drawn[1])
    assert np.array_equal(drawn[0], drawn[2])


REFUSED = {
    "float64": (lambda: built({}, dtype="float64"), ValueError, "dtype must be one of float32 for backend 'onnx', got 'float64'"),
    "device": (lambda: built({}, device="cuda"), ValueError, "device must be None or 'cpu' for backend 'onnx', got 'cuda'"),
    "dtype": (lambda: built({})(random(1, 4, 9).astype(float)), TypeError, r"input must be float32 like the layer, got float64; convert it with astype\('float32'\)"),
    "channels": (lambda: built({})(random(1, 9, 4)), ValueError, r"input must have shape \(batch, 4, length\) or .* got \(1, 9, 4\); put"),
    "axes": (lambda: built({})(random(9)), ValueError, r"input must have shape \(batch, 4, length\) or .* got \(9,\); put"),
    "ragged": (lambda: built({})([[1.0], [1.0, 2.0]]), TypeError, "rows of different lengths"),
    "empty": (lambda: built({"padding": 9})(random(1, 4, 0)), ValueError, "input must have at least one sample for ONNX Runtime, got length 0; pass a longer"),
    "short": (lambda: built({})(random(1, 4, 3)), ValueError, "input of length 3 is too short"),
    "reflect": (lambda: built({"padding": 3, "padding_mode": "reflect"})(random(1, 4, 3)), ValueError, "padding mode 'reflect' reaches at most 2 for length 3"),
}  # fmt: skip


@pytest.mark.parametrize("fault", REFUSED)
def test_refusals(fault):
    """Each is a ConvPolicyError, says what came, and stands before any work."""
    call, kind, says = REFUSED[fault]
    with pytest.raises(kind, match=says) as raised:
        call()
    assert isinstance(raised.value, cp.ConvPolicyError)
