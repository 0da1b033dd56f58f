"""Models of sums, and of a mode or a constant for each side or channel: their nodes, their lengths, and what is refused."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx.reference import ReferenceEvaluator

import convpolicy as cp
from convpolicy import reference
from convpolicy_onnx import read

Choice = cp.Choice
PER_CHANNEL = np.array([0.5, -1.0, 2.0, 3.0])
ADDED = Choice("constant", value=PER_CHANNEL)
LAYERS = {  # what is asked for -> the operators before the Conv, and whether one model serves every length
    "two modes": ({"padding_mode": ("reflect", "replicate")}, ["Pad", "Pad"], True),
    "zeros on one side": ({"padding_mode": ("zeros", "reflect")}, ["Pad", "Pad"], True),
    "wrapped on one side": ({"padding_mode": ("reflect", "circular")}, ["Pad", "Pad"], True),
    "one mode said twice": ({"padding_mode": ("reflect", "reflect")}, ["Pad"], True),
    "two constants": ({"padding_mode": Choice("constant", left=1.5, right=-2.0)}, ["Pad", "Pad"], True),
    "one constant said twice": ({"padding_mode": Choice("constant", left=1.5, right=1.5)}, ["Pad"], True),
    "constants of 0": ({"padding_mode": Choice("constant", left=0.0, right=0.0)}, [], True),
    "one side, a mode that is not used": ({"padding": (0, 2), "padding_mode": ("odd", "replicate")}, ["Pad"], True),
    "a constant per channel": ({"padding_mode": ADDED}, ["Shape", "Concat", "Expand"] * 2 + ["Concat"], True),
    "reflect, and a constant per channel": ({"padding_mode": ("reflect", ADDED)}, ["Pad", "Shape", "Concat", "Expand", "Concat"], True),
    "two modes, by length": ({"padding": "same_upper", "stride": 2, "padding_mode": ("reflect", "replicate")}, None, False),
    "one symmetric side": ({"padding_mode": ("symmetric", "zeros")}, ["Pad", "Gather"], False),
    "odd": ({"padding_mode": "odd"}, None, False),
    "odd, folded": ({"padding": (20, 7), "padding_mode": Choice("odd", overflow="periodic")}, None, False),
    "odd, zero-extended": ({"padding": (20, 7), "padding_mode": Choice("odd", overflow="zero-extend")}, None, False),
    "extrapolate": ({"padding_mode": "extrapolate", "groups": 2}, None, False),
    "ramp": ({"padding_mode": Choice("linear_ramp", value=PER_CHANNEL, right=-1.0)}, None, False),
    "odd and cut": ({"padding": Choice("crop", left=-2, right=1), "padding_mode": "odd"}, None, False),
    "odd, and a constant per channel": ({"padding_mode": ("odd", ADDED), "stride": 2}, None, False),
}  # fmt: skip
layers = pytest.mark.parametrize(("options", "operators", "any_length"), LAYERS.values(), ids=LAYERS)
COMPUTED = {"Gather", "Mul", "Add", "Where", "Shape", "Concat", "Expand", "Slice", "Pad"}


def built(options, **more):
    """A layer of 4 → 8 channels, kernel 4, with a bias, that pads 3 on the left and 2 on the right."""
    words = {"bias": True, "policy": "torch", "backend": "onnx", "seed": 3, "padding": (3, 2)}
    return cp.Conv1d(4, 8, 4, **(words | options | more))


def random(*shape):
    """Random data, the same at every call."""
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


@layers
def test_the_saved_model_is_the_layer(options, operators, any_length, tmp_path):
    """It has these nodes, gives the layer's bits in ONNX Runtime, and NumPy's layer and ONNX's own evaluator agree."""
    layer, other = built(options), built(options, backend="numpy")
    assert layer._any_length == any_length
    for length in (9, 12):
        model = layer.model(length)
        onnx.checker.check_model(model, full_check=True)
        found = [node.op_type for node in model.graph.node]
        assert found[-1] == "Conv"
        assert set(found[:-1]) <= COMPUTED if operators is None else found[:-1] == operators
        onnx.save(model, tmp_path / "layer.onnx")
        data = random(2, 4, length)
        output = layer(data)
        session = onnxruntime.InferenceSession(str(tmp_path / "layer.onnx"), providers=["CPUExecutionProvider"])
        assert session.run(None, {"input": data})[0].tobytes() == output.tobytes()
        wide = 40 * np.abs(data).max() + 3  # a fold of a fold of a fold adds the edges again and again
        bound = 2 * reference.tolerance("float32", 17 + reference.SUM_ROUNDINGS, wide * np.abs(other.weight).sum((1, 2)).max())
        assert np.abs(output - other(data)).max() <= bound
        assert np.abs(ReferenceEvaluator(model).run(None, {"input": data})[0] - output).max() <= bound


@layers
def test_one_model_for_every_length_or_a_length_is_needed(options, operators, any_length):
    """What ONNX can say of any length and batch is one model; of the others a sentence asks for the length."""
    layer = built(options)
    if not any_length:
        with pytest.raises(
            cp.InvalidValueError, match=r"length must be a number for padding .* with mode .*; pass the input length"
        ):
            layer.model()
        return
    model = layer.model()
    assert model == layer.model(9)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    for batch, length in ((1, 6), (3, 9), (2, 30)):
        data = random(batch, 4, length)
        assert session.run(None, {"input": data})[0].tobytes() == layer(data).tobytes()


@pytest.mark.parametrize("mode", [Choice("constant", value=1.5, learned=True), ("reflect", Choice("constant", value=PER_CHANNEL, learned=True))], ids=str)  # fmt: skip
def test_a_learned_constant_is_refused(mode):
    """ONNX does not train: when a layer is built, and when one is ported from a backend that does."""
    says = r"padding_mode must not be learned on backend 'onnx', whose layers have no parameter for it, got .*; pick one of: "
    with pytest.raises(cp.InvalidValueError, match=says):
        built({"padding_mode": mode})
    weight, policy = np.ones((8, 4, 4), np.float32), cp.policy("torch").evolve(padding=2, padding_mode=mode, bias=False)
    with pytest.raises(cp.InvalidValueError, match=says):
        cp.Capture(cp.ConvSpec.of(4, 8, 4, 1, 1, 1), policy, weight, None).build("onnx")


READ_BACK = {  # what the backend writes -> what is read; None: the same mode
    "two modes": (("reflect", "replicate"), None),
    "zeros on one side": (("zeros", "reflect"), None),
    "wrapped": ((Choice("circular", overflow="periodic"), "replicate"), None),
    "two constants": (Choice("constant", left=1.5, right=-2.0), None),
    "one constant": (Choice("constant", left=1.5, right=0.0), None),
    "constants of two modes": (("zeros", Choice("constant", value=2.0)), Choice("constant", left=0.0, right=2.0)),
    "one mode said twice": (("reflect", "reflect"), "reflect"),
}


@pytest.mark.parametrize(("mode", "expected"), READ_BACK.values(), ids=READ_BACK)
def test_two_pads_are_read_back(mode, expected):
    """The same mode, and a model that is the same, byte for byte."""
    layer = built({"padding_mode": mode})
    model = layer.model()
    found = read(model)
    policy = layer.policy.evolve(padding_mode=mode if expected is None else expected)
    assert (found.policy.padding, found.policy.padding_mode) == (layer.policy.padding, policy.padding_mode)
    again = cp.capture(model).build("onnx")
    assert again.model() == model
    assert again(random(2, 4, 9)).tobytes() == layer(random(2, 4, 9)).tobytes()


NOT_READ = {
    "a sum": ({"padding_mode": "odd"}, 9, "only one Conv and its padding, got also Add, Concat, Gather, Mul; name"),
    "per channel": ({"padding_mode": ADDED}, None, "only one Conv and its padding, got also Concat, Expand, Shape; name"),
    "reflected after a wrap": (
        {"padding_mode": ("reflect", "circular")}, None,
        "'pad_2' must read samples of the input only, got reflect on the left, which repeats samples of",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", NOT_READ)
def test_what_is_written_and_not_read(name):
    """Refused in one sentence, with the nodes."""
    options, length, says = NOT_READ[name]
    with pytest.raises(cp.InvalidValueError, match=says):
        cp.capture(built(options).model(length))


def test_the_layer_itself_is_captured():
    """A layer keeps its policy, whatever its model is."""
    for options, _operators, _any_length in LAYERS.values():
        layer = built(options)
        taken = cp.capture(layer)
        assert taken.policy.padding_mode == layer.policy.padding_mode
        assert taken.build("onnx")(random(1, 4, 9)).tobytes() == layer(random(1, 4, 9)).tobytes()
