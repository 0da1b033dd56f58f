"""Streams of ONNX models, and models of a step and of a flush against `convpolicy.streaming`."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
from onnx import checker

import convpolicy as cp
from convpolicy_onnx.streaming import flush_model, step_model

RANDOM = np.random.default_rng(0)
CASES = 50
CHUNKS = (0, 1, 2, 3, 7)
PADDINGS = ("causal", "semicausal", "valid", "half", "full", "reverse_causal", "same_static")
MODES = ("zeros", cp.Choice("constant", value=1.5), cp.Choice("constant", value=np.array([0.5, -2.0])))
ROUNDINGS = 128 * 2.0**-24  # of sums of fewer than 60 products of numbers around 1, computed twice


def data(*shape):
    return RANDOM.standard_normal(shape).astype(np.float32)


def drawn():
    """The stream of a random layer with constant padding, and its models, or None if its rule refuses its sizes or its padding depends on samples."""
    kernel, stride, dilation, groups = (int(RANDOM.integers(low, high)) for low, high in ((1, 7), (1, 6), (1, 4), (1, 3)))
    pair = int(RANDOM.integers(-3, 9)), int(RANDOM.integers(-3, 9))
    words = {"dilation": dilation, "groups": groups, "bias": bool(RANDOM.integers(2)), "policy": "torch", "seed": 0}
    try:
        if RANDOM.random() < 0.5:
            layer = cp.ConvTranspose1d(2, 4, kernel, stride, padding=pair, **words)
        else:
            padding = pair if RANDOM.random() < 0.5 else str(RANDOM.choice(PADDINGS))
            layer = cp.Conv1d(2, 4, kernel, stride, padding=padding, padding_mode=MODES[RANDOM.integers(len(MODES))], **words)
        return cp.streaming(layer), step_model(layer), flush_model(layer)
    except cp.InvalidValueError:
        return None


def runs(model):
    """A function that runs a model: inputs by name -> outputs by name."""
    checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return lambda inputs: dict(zip(names, session.run(None, inputs)))


def same(a, b):
    assert (a.shape, a.dtype) == (b.shape, b.dtype)
    assert np.abs(a - b).max(initial=0) <= ROUNDINGS * np.abs(b).max(initial=1)


def test_models_of_steps():
    """Outputs and states of random layers, for chunks of any length, 0 included, and for batches of one and three rows."""
    cases = 0
    while cases < CASES:
        case = drawn()
        if case is None:
            continue
        streaming, *models = case
        step, flush = map(runs, models)
        for batch in (1, 3):
            state = streaming.initial_state(batch)
            for samples in RANDOM.choice(CHUNKS, 5):
                chunk = data(batch, 2, samples)
                results = step({"chunk": chunk, **{f"state.{name}": array for name, array in state.items()}})
                output, state = streaming.step(chunk, state)
                same(results.pop("output"), output)
                assert results.keys() == {f"next_state.{name}" for name in state}
                for name, array in state.items():
                    same(results[f"next_state.{name}"], array)
            try:
                output = streaming.flush(state)
            except cp.InvalidValueError:  # the input was too short, which a model does not check
                continue
            same(flush({f"state.{name}": array for name, array in state.items()})["output"], output)
        cases += 1


def test_names_and_shapes():
    """A batch and a chunk of any size; the names are those of `initial_state`."""
    layer = cp.Conv1d(2, 4, 5, 2, padding="semicausal", backend="onnx", seed=0)
    model = step_model(layer)
    shapes = {
        value.name: [axis.dim_param or axis.dim_value for axis in value.type.tensor_type.shape.dim]
        for value in (*model.graph.input, *model.graph.output)
    }
    assert shapes["chunk"] == ["batch", 2, "samples"]
    assert shapes["output"] == ["batch", 4, "samples_out"]
    assert shapes["state.pending"] == ["batch", 2, "pending"]
    assert shapes["next_state.pending"] == ["batch", 2, "next_pending"]
    assert {name.removeprefix("state.") for name in shapes if name.startswith("state.")} == cp.streaming(
        layer
    ).state_shapes.keys()


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ({"padding": (2, 2), "padding_mode": "reflect"}, r"got explicit\(left=2, right=2\) with mode reflect; use 'causal'"),
        ({"padding": "same_upper", "stride": 1}, None),
        ({"padding": (-1, 0)}, r"must not read or remove samples at the start"),
        ({"padding": "causal", "dtype": "float64"}, "layer must be float32, got float64"),
        ({"padding": "causal", "padding_mode": cp.Choice("constant", learned=True), "backend": "torch"}, "must not be learned"),
    ],
)
def test_refusals(words, text):
    """One sentence for each reason; a rule of one padding for all lengths is accepted."""
    layer = cp.Conv1d(2, 4, 4, **words)
    for model in (step_model, flush_model):
        if text is None:
            model(layer)
            continue
        with pytest.raises(cp.InvalidValueError, match=text):
            model(layer)


def test_new_weights_and_a_model():
    """A stream runs the weights that `assign` wrote last, and takes a model with one node."""
    layer, x = cp.Conv1d(2, 4, 3, padding=(1, 2), backend="onnx", seed=0), data(2, 2, 9)
    streaming = cp.streaming(layer)
    for live in (streaming.start(2), cp.streaming(layer.model()).start(2)):
        same(np.concatenate([live(x[..., :4]), live(x[..., 4:]), live.flush()], axis=2), layer(x))
    cp.backends()["onnx"].assign(layer, {"weight": data(4, 2, 3), "bias": data(4)})
    live = streaming.start(2)
    same(np.concatenate([live(x[..., :4]), live(x[..., 4:]), live.flush()], axis=2), layer(x))


def test_an_empty_batch():
    """It has the outputs of the lengths of other batches."""
    streaming = cp.streaming(cp.Conv1d(2, 4, 3, padding="causal", backend="onnx", seed=0))
    output, _state = streaming.step(data(0, 2, 5), streaming.initial_state(0))
    assert output.shape == (0, 4, 5)
