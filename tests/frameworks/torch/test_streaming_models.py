"""Whole models whose input comes in chunks give the outputs of the whole."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from helpers.streamed_models import (
    MODELS,
    Recurrent,
    UNet,
    assert_streams,
    bound,
    built,
    cuttings,
    data,
    old_weight_norm,
    streamed,
    temporal_network,
)
from torch import nn

import convpolicy as cp
from convpolicy.frameworks.torch.chunks import fusing, steps
from convpolicy.frameworks.torch.chunks.recurrent import Recurrent as RecurrentForm
from convpolicy.frameworks.torch.chunks.weights import Weights

pytestmark = pytest.mark.usefixtures("one_thread")
LENGTH = 36


@pytest.mark.parametrize("name", MODELS)
def test_any_chunks_give_the_whole(name):
    """Outputs differ by rounding alone, for chunks of one sample, one chunk, and random chunks; a causal model has no delay."""
    streaming = assert_streams(built(name), data(2, 3, LENGTH), cuttings(LENGTH, 3))
    assert MODELS[name][1] in (None, streaming.delay)


@pytest.mark.parametrize("name", ["tcn", "unet", "lstm"])
def test_single_precision(name):
    """The same in float32: the state has the dtype of the model."""
    model = built(name, torch.float32)
    assert_streams(model, data(2, 3, LENGTH, torch.float32), cuttings(LENGTH, 1))
    state = cp.streaming(model).initial_state(1)
    assert {array.dtype for array in state.values()} <= {torch.float32, torch.int64}


@pytest.mark.parametrize("name", MODELS)
def test_a_state_stays_within_its_shapes(name):
    """However the input is cut, each array has the batch first and is at most as long as state_shapes says, and is once that long."""
    model = built(name)
    streaming, longest = cp.streaming(model), {}
    with torch.no_grad():
        for cuts in cuttings(LENGTH, 3, seed=1):
            state = streaming.initial_state(2)
            for chunk in torch.tensor_split(data(2, 3, LENGTH), cuts, dim=-1):
                _outputs, state = streaming.step(chunk, state)
                assert state.keys() == streaming.state_shapes.keys()
                for key, array in state.items():
                    assert array.shape[0] == 2
                    longest[key] = max(longest.get(key, ()), tuple(array.shape[1:]))
    for key, shape in longest.items():
        assert all(size <= most for size, most in zip(shape, streaming.state_shapes[key][1:])), key
        if ".waiting" in key:
            assert shape == streaming.state_shapes[key][1:], key


def test_a_step_returns_what_its_counts_say():
    """delay and latency come from counts: the outputs after each sample are as many as the stage counts."""
    for name in MODELS:
        streaming = cp.streaming(built(name))
        state, came = streaming.initial_state(1), 0
        with torch.no_grad():
            for samples in range(1, 30):
                output, state = streaming.step(data(1, 3, 1, seed=samples), state)
                came += output.shape[streaming._stage.output_arrays.axis]
                assert came == streaming._stage.outputs(samples), (name, samples)


def test_gradients():
    """Gradients through all steps are those of the whole model."""
    model, x = built("unet"), data(2, 3, 24).requires_grad_()

    def gradients(run):
        model.zero_grad()
        x.grad = None
        run().square().sum().backward()
        return [x.grad, *(parameter.grad.clone() for parameter in model.parameters())]

    whole = gradients(lambda: model(x))
    chunks = gradients(lambda: streamed(cp.streaming(model), x, [3, 9, 10])[0])
    for one, other in zip(whole, chunks):
        assert float((one - other).abs().max()) <= bound(model, one)


@pytest.mark.parametrize("name", ["tcn", "unet", "lstm"])
def test_rows_that_start_anew(name):
    """A row that is reset while the others go on gives the outputs of its new input alone."""
    model = built(name)
    old, new = data(3, 3, 30), data(3, 3, 18, seed=1)
    live, rows = cp.streaming(model).start(3), [[], [], []]
    axis = live._stage.output_arrays.axis

    def collect(output):
        for row in range(3):
            rows[row].append(output[row].narrow(axis - 1, 0, int(live.lengths[row])))

    with torch.no_grad():
        collect(live(old[..., :12]))
        live.reset(np.array([False, True, False]))
        rows[1] = []
        rest = torch.cat([old[:1, :, 12:], new[1:2], old[2:, :, 12:]])
        collect(live(rest[..., :5]))
        collect(live(rest[..., 5:]))
        collect(live.flush())
        for row, x in enumerate((old[:1], new[1:2], old[2:])):
            whole = model(x)[0]
            assert float((torch.cat(rows[row], axis - 1) - whole).abs().max()) <= bound(model, whole)


def test_models_and_layers_in_a_row():
    """A list of a layer and models is a row; the state has the number of each in its names."""
    row = [nn.Conv1d(1, 3, 4, 2, padding=1).double(), built("tcn"), built("lstm").conv, nn.Sequential(nn.Tanh())]
    row[2] = nn.Sequential(nn.Conv1d(6, 2, 3, padding=1).double(), nn.ELU())
    x = data(2, 1, 41)
    with torch.no_grad():
        whole = row[3](row[2](row[1](row[0](x))))
        outputs, state = streamed(cp.streaming(row), x, [1, 7, 20])
    assert float((outputs - whole).abs().max()) <= 1e4 * torch.finfo(torch.float64).eps
    assert {name.partition(".")[0] for name in state} == {"0", "1", "2", "3"}


def test_the_model_is_left_as_it_was():
    """Neither its attributes nor its parameters, its mode, its hooks or torch's random state change."""
    for name in MODELS:
        model = built(name)
        before = [(module, dict(vars(module))) for module in model.modules()]
        values, random = copy.deepcopy(model.state_dict()), torch.random.get_rng_state()
        with torch.no_grad():
            streamed(cp.streaming(model), data(1, 3, 24), [5])
        assert torch.equal(torch.random.get_rng_state(), random)
        for module, attributes in before:
            assert vars(module).keys() == attributes.keys()
            assert not module._forward_hooks
            assert module.training is False
        assert all(torch.equal(value, values[key]) for key, value in model.state_dict().items())


def test_torch_compile_needs_one_graph():
    """After the first steps, a step is one graph: the lengths of the arrays say where the stream is. Torch compiles no LSTM or GRU."""
    for name in ("tcn", "unet"):
        model = built(name)
        streaming = cp.streaming(model)
        step = torch.compile(streaming.step, backend="eager", fullgraph=True, dynamic=False)
        x, state = data(1, 3, 24), streaming.initial_state(1)
        with torch.no_grad():
            outputs = []
            for place in range(0, 24, 8):
                output, state = (step if place >= 8 else streaming.step)(x[..., place : place + 8], state)
                outputs.append(output)
            outputs.append(streaming.flush(state))
            whole = model(x)
        joined = torch.cat(outputs, streaming._stage.output_arrays.axis)
        assert float((joined - whole).abs().max()) <= bound(model, whole)
    torch.compiler.reset()


# -- weight normalization ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("norm", [nn.utils.parametrizations.weight_norm, old_weight_norm])
def test_changed_weights_are_used(norm):
    """A normalized weight is computed once, and anew after each way to change its parameters."""
    torch.manual_seed(0)
    model = temporal_network(norm).double().eval()
    streaming, x = cp.streaming(model), data(1, 3, 20)

    def assert_equal():
        with torch.no_grad():
            whole = model(x)
            outputs, _state = streamed(streaming, x, [4, 5])
        assert float((outputs - whole).abs().max()) <= bound(model, whole)

    def replace():
        for module in model.modules():
            for key, parameter in list(module._parameters.items()):
                if parameter is not None:
                    module._parameters[key] = nn.Parameter(parameter.detach() * 1.2)

    def give_data():
        for parameter in model.parameters():
            parameter.data = parameter.data * 0.8

    def optimize():
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        model(x).square().sum().backward()
        optimizer.step()

    assert_equal()
    for change in (
        lambda: [parameter.mul_(1.5) for parameter in model.parameters()],
        lambda: model.load_state_dict({key: value * 0.7 for key, value in model.state_dict().items()}),
        replace,
        give_data,
    ):
        with torch.no_grad():
            change()
        assert_equal()
    optimize()
    assert_equal()


@pytest.mark.parametrize("norm", [nn.utils.parametrizations.weight_norm, old_weight_norm])
def test_a_normalized_weight_is_kept_without_gradients_alone(norm):
    """The same tensor comes twice without gradients; with them, the weight has a gradient."""
    layer = norm(nn.Conv1d(2, 3, 3))
    weights = Weights(layer)
    with torch.inference_mode():
        first = weights.get("weight")
        assert weights.get("weight") is first
        assert not first.is_inference()
    assert weights.get("weight").requires_grad
    for parameter in layer.parameters():
        parameter.requires_grad_(False)
    assert weights.get("weight") is first
    assert copy.copy(weights)._kept == {}


# -- wrong streams are rejected ----------------------------------------------------------------------------------------------------


def differs(model):
    """True if some chunks do not give the outputs of the whole."""
    try:
        assert_streams(model, data(2, 3, LENGTH), cuttings(LENGTH, 3))
    except (AssertionError, RuntimeError, ValueError):
        return True
    return False


def test_wrong_steps(monkeypatch):
    """Branches that do not wait for each other, a recurrent state that is lost, and a cut of one sample less are noticed."""
    assert not differs(built("unet"))
    with monkeypatch.context() as patch:
        patch.setattr(
            steps.Join, "advance",
            lambda self, chunks, state, last, arguments: (self.call(chunks, arguments), state),
        )  # fmt: skip
        assert differs(UNet().double().eval())
    for name, wrong in (("lstm", Recurrent(nn.LSTM(8, 6, batch_first=True), 6)), ("gru", Recurrent(nn.GRU(8, 6), 6))):
        with monkeypatch.context() as patch:
            step = RecurrentForm.step
            patch.setattr(
                RecurrentForm, "step",
                lambda self, chunk, state, step=step: step(self, chunk, {key: array * 0 for key, array in state.items()}),
            )  # fmt: skip
            assert differs(wrong.double().eval()), name
    with monkeypatch.context() as patch:
        without = fusing._without
        patch.setattr(fusing, "_without", lambda stage, captured, first, last: without(stage, captured, first, last - 1))
        assert differs(built("tcn"))
