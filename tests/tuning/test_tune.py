"""`tune`: what gains is put in place and nothing else changes; what cannot be tuned is listed with the reason."""

from __future__ import annotations

import copy
import io
import json
import time
import warnings

import numpy as np
import pytest
import torch
from helpers.tuned import OWN, data, tune
from torch import nn

import convpolicy as cp
from convpolicy.frameworks.torch.execution import lowerings as torch_lowerings
from convpolicy.frameworks.torch.execution import tuning as torch_tuning
from convpolicy.tuning.timing import FEWEST_ROUNDS

pytestmark = pytest.mark.needs("torch")


def test_what_gains_is_replaced_and_the_rest_is_not(untuned, timed):
    """The fastest legal lowering of each layer, the layer's own way where none gains; state dict, classes and modes unchanged."""
    timed(pad_first=0.2, matmul=0.5, edges=0.97, channels_last=0.9)
    x = data(2, 6, 80)
    state = {name: value.clone() for name, value in untuned.state_dict().items()}
    classes = [type(module) for module in untuned.modules()]
    before = untuned(x)
    found = tune(untuned, x)
    assert {row.path: row.lowering for row in found.layers} == {
        "pointwise": "matmul", "depthwise": "pad_first", "reflect": "channels_last", "normed": "channels_last", "unused": "",
    }  # fmt: skip
    assert [round(row.ratio, 3) for row in found.layers] == [0.5, 0.2, 0.9, 0.9, 1.0]
    assert found.layers[-1].reason == "the example inputs do not reach it"
    assert list(state) == list(untuned.state_dict())
    assert all(torch.equal(value, untuned.state_dict()[name]) for name, value in state.items())
    assert [type(module) for module in untuned.modules()] == classes
    assert not untuned.training
    after = untuned(x)
    torch.testing.assert_close(after, before)
    assert found.difference == float((after - before).abs().max().detach())
    assert cp.untune(untuned) == ("pointwise", "depthwise", "reflect", "normed")
    assert torch.equal(untuned(x), before)
    assert cp.untune(untuned) == ()


def test_the_lowering_really_runs(untuned, timed, monkeypatch):
    """A tuned layer's call goes through its lowering, an untuned one's does not."""
    timed(pad_first=0.1)
    calls = []
    run = torch_lowerings.LOWERINGS["pad_first"].run
    lowering = torch_lowerings.LOWERINGS["pad_first"]._replace(run=lambda *a: calls.append(1) or run(*a))
    monkeypatch.setitem(torch_lowerings.LOWERINGS, "pad_first", lowering)
    tune(untuned, data(1, 6, 50))
    calls.clear()
    untuned(data(1, 6, 50))
    assert calls == [1]
    cp.untune(untuned)
    untuned(data(1, 6, 50))
    assert calls == [1]


def test_a_wrong_lowering_is_not_put_in_place(untuned, timed, monkeypatch):
    """One whose outputs are off by more than rounding explains is left out, however fast it is."""
    timed(pad_first=0.1)
    run = torch_lowerings.LOWERINGS["pad_first"].run
    wrong = torch_lowerings.LOWERINGS["pad_first"]._replace(run=lambda *a: run(*a) + 1e-4)
    monkeypatch.setitem(torch_lowerings.LOWERINGS, "pad_first", wrong)
    assert "pad_first" not in {row.lowering for row in tune(untuned, data(1, 6, 50)).layers}


def test_what_is_clearly_slower_in_long_calls_is_left_out(untuned, timed, monkeypatch):
    """After two calls. In training mode, where the backward pass counts, nothing is."""
    seen, x = timed(pad_first=0.1), data(1, 6, 50)
    monkeypatch.setattr(torch_tuning, "TIMED_SECONDS", 0.0)
    monkeypatch.setattr(torch_tuning, "SLOWER", 0.0)
    assert {row.lowering for row in tune(untuned, x).layers} == {""}
    assert {names for names, _ in seen} == {(OWN,)}
    monkeypatch.setattr(torch_tuning, "SLOWER", float("inf"))
    seen.clear()
    assert "pad_first" in {row.lowering for row in tune(untuned, x).layers}
    monkeypatch.setattr(torch_tuning, "SLOWER", 0.0)
    assert "pad_first" in {row.lowering for row in tune(untuned.train(), x).layers}


def test_what_is_slow_in_its_first_call_only_is_measured(timed, monkeypatch):
    """Packing a large weight takes longer than a call."""
    timed(pad_first=0.1)
    monkeypatch.setattr(torch_tuning, "TIMED_SECONDS", 0.0)
    monkeypatch.setattr(torch_tuning, "SLOWER", 1000.0)
    run, calls = torch_lowerings.LOWERINGS["pad_first"].run, []

    def slow_once(*arguments):
        if not calls:
            time.sleep(0.5)
        calls.append(1)
        return run(*arguments)

    lowering = torch_lowerings.LOWERINGS["pad_first"]._replace(run=slow_once)
    monkeypatch.setitem(torch_lowerings.LOWERINGS, "pad_first", lowering)
    assert [row.lowering for row in tune(nn.Conv1d(6, 8, 3, padding=1).eval(), data(1, 6, 50)).layers] == ["pad_first"]


def test_only_those_close_to_the_fastest_are_measured_again(timed):
    """The others were measured in three rounds; the fastest is measured once more beside the layer's own code."""
    seen = timed(pad_first=0.5, concatenate=0.55, windows=0.9)
    model = nn.Conv1d(6, 8, 3, padding=1).eval()
    assert [row.lowering for row in tune(model, data(1, 6, 50), rounds=7).layers] == ["pad_first"]
    first, *again = [(names, rounds) for names, rounds in seen if len(names) > 1]
    assert set(first[0]) >= {OWN, "pad_first", "concatenate", "windows"}
    assert first[1] == FEWEST_ROUNDS
    assert again == [((OWN, *sorted({"pad_first", "concatenate"}, key=first[0].index)), 7), ((OWN, "pad_first"), 7)]


def test_long_calls_are_measured_in_one_round_less(timed, monkeypatch):
    """Those close to the fastest are not measured again; the fastest is, beside the layer's own code."""
    seen = timed(pad_first=0.5, concatenate=0.55)
    monkeypatch.setattr(torch_tuning, "LONG", 0.0)
    assert [row.lowering for row in tune(nn.Conv1d(6, 8, 3, padding=1).eval(), data(1, 6, 50)).layers] == ["pad_first"]
    assert [names for names, _ in seen].count((OWN, "pad_first")) == 1
    assert len(seen) == 2


def test_exact_keeps_every_bit(untuned, timed):
    """With execution="exact" only what copies in another way is tried, and no output bit changes."""
    seen = timed(concatenate=0.5, pad_first=0.1, matmul=0.1)
    x = data(3, 6, 70)
    before = untuned(x)
    found = tune(untuned, x, execution="exact")
    assert {row.path: row.lowering for row in found.layers if row.lowering} == {"reflect": "concatenate"}
    assert {name for names, _ in seen for name in names} <= {OWN, "concatenate", "gather"}
    assert torch.equal(untuned(x), before)
    assert found.difference == 0.0


def test_every_example_must_gain(untuned, timed, monkeypatch):
    """A lowering that gains for one length and loses for another is left out; lengths that were not measured take it too."""
    timed(pad_first=0.1)
    fake = torch_tuning.interleaved
    monkeypatch.setattr(
        torch_tuning, "_timed", lambda layer, way, x: lambda: way(x, layer.weight, layer.bias)
    )  # as it is, for the sake of the shape below

    def slower_when_long(ways, rounds):
        longer = next(iter(ways.values()))().shape[-1] > 60
        return {name: [t * 30 if longer and name != OWN else t for t in times] for name, times in fake(ways, rounds).items()}

    assert "pad_first" in {row.lowering for row in tune(untuned, [data(1, 6, 40), data(1, 6, 50)]).layers}
    other = untuned(data(1, 6, 47))
    cp.untune(untuned)
    torch.testing.assert_close(untuned(data(1, 6, 47)), other)
    monkeypatch.setattr(torch_tuning, "interleaved", slower_when_long)
    assert "pad_first" not in {row.lowering for row in tune(untuned, [data(1, 6, 40), data(1, 6, 90)]).layers}


def test_equal_layers_are_measured_once(timed):
    """Layers of the same sizes that get the same shapes share one measurement, and each is replaced."""
    seen = timed(windows=0.5)
    model = nn.Sequential(*(nn.Conv1d(4, 4, 3, padding=1) for _ in range(5))).eval()
    found = tune(model, data(1, 4, 30))
    assert [row.lowering for row in found.layers] == ["windows"] * 5
    assert len(seen) == 2  # a first look, the best alone


def test_training_and_eval(untuned, timed):
    """A model that trains is measured with its backward pass; what is put in place holds in that mode only, with right gradients."""
    timed(pad_first=0.1, matmul=0.2)
    x = data(2, 6, 60)
    untuned.train()
    running = untuned.norm.running_mean.clone()
    found = tune(untuned, x)
    assert untuned.training
    assert torch.equal(untuned.norm.running_mean, running)
    assert {row.lowering for row in found.layers} >= {"pad_first", "matmul"}
    tuned, plain = copy.deepcopy(untuned), copy.deepcopy(untuned)
    cp.untune(plain)
    gradients = []
    for each in (tuned, plain):
        torch.manual_seed(5)
        each(x).square().sum().backward()
        gradients.append([parameter.grad for parameter in each.parameters() if parameter.grad is not None])
    for a, b in zip(*gradients):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)  # float32 sums of 1e3 terms, through a normalisation
    tuned.load_state_dict(plain.state_dict())  # the normalisation saw numbers that differ by rounding
    assert torch.equal(tuned.eval()(x), plain.eval()(x))  # another mode: the layers' own way


def test_other_calls_take_the_layers_own_way(untuned, timed):
    """bfloat16 weights, autocast and unbatched input are computed as by the untuned model; a trace holds for any length."""
    timed(pad_first=0.1, matmul=0.2)
    plain = copy.deepcopy(untuned)
    x = data(2, 6, 60)
    tune(untuned, x)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(untuned(x), plain(x))
    assert torch.equal(untuned.depthwise(x[0, :1].expand(8, -1)), plain.depthwise(x[0, :1].expand(8, -1)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        traced = torch.jit.trace(untuned, x, check_trace=False)
    torch.testing.assert_close(traced(data(1, 6, 99)), plain(data(1, 6, 99)))
    untuned, plain = untuned.bfloat16(), plain.bfloat16()
    assert torch.equal(untuned(x.bfloat16()), plain(x.bfloat16()))


def test_bfloat16_is_tuned_too(untuned, timed):
    """A bfloat16 model is measured in bfloat16 and stays within its rounding."""
    timed(pad_first=0.1, matmul=0.2)
    untuned = untuned.bfloat16()
    found = tune(untuned, data(2, 6, 60).bfloat16())
    assert {row.lowering for row in found.layers} >= {"pad_first", "matmul"}
    assert found.difference <= 2**-6  # two roundings of numbers up to 2


def test_compiled(untuned, timed):
    """A tuned model compiles as a whole, for lengths not seen too; one that is compiled already is refused."""
    torch._dynamo.reset()  # what other tests compiled counts against the limit of this one
    timed(pad_first=0.1, matmul=0.2, windows=0.3)
    plain = copy.deepcopy(untuned)
    tune(untuned, data(2, 6, 60))
    compiled = torch.compile(untuned, fullgraph=True, dynamic=True, backend="aot_eager")
    with torch.no_grad():
        for length in (60, 61, 90):
            torch.testing.assert_close(compiled(data(2, 6, length)), plain(data(2, 6, length)))
    with pytest.raises(TypeError, match="tune the model first, then compile it"):
        tune(compiled, data(2, 6, 60))


def test_copies_pickles_and_captures(timed):
    """A copied or pickled model stays tuned, each copy by itself; `capture` and `port` see through it."""
    timed(pad_first=0.1)
    model = nn.Sequential(nn.Conv1d(4, 4, 15, padding=7, groups=4)).eval()
    x = data(1, 4, 40)
    tune(model, x)
    expected = model(x)
    buffer = io.BytesIO()
    torch.save(model, buffer)
    buffer.seek(0)
    for other in (copy.deepcopy(model), torch.load(buffer, weights_only=False)):
        assert vars(other[0])["_conv_forward"].layer is other[0]
        assert torch.equal(other(x), expected)
        other[0].weight.data.zero_()
        assert not torch.equal(other(x), expected)
    assert torch.equal(model(x), expected)
    assert cp.capture(model[0]).spec.kernel_size == 15
    np.testing.assert_allclose(cp.port(model[0], to="numpy")(x.numpy()), expected.detach().numpy(), atol=1e-5)


def test_inputs_of_every_kind(untuned, timed):
    """Positional, keyword and NumPy inputs, and lists of calls, reach the same layers."""
    timed(matmul=0.5)
    x = data(1, 6, 60)
    for inputs in (x, (x,), (x, 2.0), {"x": x, "scale": 2.0}, x.numpy(), [x, {"x": x.numpy()}]):
        assert [row.path for row in tune(untuned, inputs).replaced] == ["pointwise"]


def test_the_report(untuned, timed, capsys):
    """The table holds one aligned row per layer, the numbers of those replaced, the reasons of the others, and a last line."""
    timed(matmul=0.5)
    found = cp.tune(untuned, data(1, 6, 60))
    printed = capsys.readouterr().out
    lines = str(found).splitlines()
    assert printed == str(found) + "\n"
    assert lines[0].split() == ["layer", "implementation", "before", "µs", "after", "µs", "ratio", "difference"]
    assert lines[1].split()[:5] == ["pointwise", "matmul", "1000000", "500000", "0.50"]
    assert lines[2].split()[:2] == ["depthwise", "1000000"]
    assert lines[2].endswith("its own implementation is the fastest")
    assert lines[-1].startswith("1 of 5 layers replaced, 1000000 µs -> 500000 µs; outputs differ by up to ")
    assert json.loads(json.dumps(found.to_dict()))["layers"][0]["lowering"] == "matmul"


def test_on_the_real_clock():
    """Unfaked: what is put in place gained at least what it must, and the outputs stay within rounding."""
    model = nn.Sequential(nn.Conv1d(512, 512, 31, padding=15, groups=512)).eval()
    x = data(1, 512, 600)
    before = model(x)
    (row,) = tune(model, x, rounds=5).layers
    assert row.before > 0
    assert row.ratio <= torch_tuning.GAIN if row.lowering else row.reason
    torch.testing.assert_close(model(x), before)
