"""``execution="auto"``: what is timed, what is kept, and that it computes the same; the clock is a counter that the stubs advance."""

from __future__ import annotations

import copy
import json
import logging
import pickle
import threading

import numpy as np
import pytest
import torch
from helpers.differential import Case, Sizes, random_data, referee, same_within
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import convpolicy as cp
from convpolicy.frameworks.torch.execution import auto
from convpolicy.frameworks.torch.execution.lowerings import LOWERINGS
from convpolicy.tuning import results

SHAPE = (1, 8, 40)
SECONDS = dict.fromkeys(LOWERINGS, 0.020) | {"native": 0.010}  # what one call takes, unless a test says otherwise


class Clock:
    """A clock that stands still between the calls of stubs."""

    def __init__(self):
        self.seconds = 0.0
        self.calls = []

    def __call__(self):
        """The time."""
        return self.seconds

    def stub(self, name, run, seconds):
        """An implementation that takes so long."""

        def stubbed(data, weight, bias, work):
            self.seconds += seconds
            self.calls.append(name)
            return run(data, weight, bias, work)

        stubbed.__name__ = name
        return stubbed


@pytest.fixture
def clock(monkeypatch):
    """The clock of the trials, with no result kept from earlier."""
    clock = Clock()
    monkeypatch.setattr(auto, "clock", clock)
    monkeypatch.setattr(auto, "RESULTS", results.Results())
    monkeypatch.setattr(auto, "SETUPS", {})
    return clock


@pytest.fixture
def timed(clock, monkeypatch):
    """``timed(linear=0.001)``: from now on implementations take so many seconds, and wrong ones are given as functions."""

    def set_seconds(wrong=(), **seconds):
        originals = dict(LOWERINGS)
        for name, value in (SECONDS | seconds).items():
            run = unbiased if name in wrong else originals[name].run
            monkeypatch.setitem(LOWERINGS, name, originals[name]._replace(run=clock.stub(name, run, value)))
        return clock

    return set_seconds


def unbiased(data, weight, bias, work):
    """A wrong implementation: it forgets the bias. It calls no stub, whose seconds would count as its own."""
    return nn.functional.conv1d(data, weight, padding=work.plan.left)


def layer(**more):
    """A small dense layer, whose parameters are not those of inference mode."""
    with torch.inference_mode(mode=False):
        return cp.Conv1d(8, 8, 3, padding=1, backend="torch", execution="auto", seed=0, **more).eval()


def data(*shape):
    """Random input."""
    return torch.from_numpy(np.random.default_rng(1).standard_normal(shape or SHAPE, dtype=np.float32))


def taken(conv):
    """Name of the implementation that the last new shape takes."""
    return list(conv._ways.values())[-1][0].__name__


def own(conv, x):
    """What torch's own layer gives."""
    return nn.functional.conv1d(x, conv.weight, conv.bias, padding=1)


@torch.no_grad()
def test_the_fastest_is_kept_and_nothing_is_timed_again(timed):
    """A faster stub is used from the first call on, by an equal layer too, and a shape that is new is timed."""
    clock, conv = timed(linear=0.004, windows=0.006), layer()
    torch.testing.assert_close(conv(data()), own(conv, data()))
    assert taken(conv) == "linear"
    for again in (conv, layer()):
        clock.calls.clear()
        again(data())
        assert clock.calls == ["linear"]
    conv(data(2, 8, 40))
    assert clock.calls.count("native") > 1


@torch.no_grad()
@pytest.mark.parametrize("gain", [1.0, 0.97, 2.0])
def test_the_default_is_kept_without_a_clear_gain(timed, gain):
    """Nothing else is used for less than 5 %."""
    timed(**dict.fromkeys(LOWERINGS, 0.01 * gain))
    conv = layer()
    assert torch.equal(conv(data()), own(conv, data()))
    assert taken(conv) == "native"


@torch.no_grad()
def test_a_wrong_implementation_is_never_used(timed):
    """The fastest are compared with the default before one is kept: the best of the right ones is."""
    timed(wrong=("linear", "windows"), linear=0.001, windows=0.002, pad_first=0.005)
    conv = layer()
    torch.testing.assert_close(conv(data()), own(conv, data()))
    assert taken(conv) == "pad_first"


@torch.inference_mode()
@pytest.mark.parametrize("native", [3e-4, 1e-3, 0.01, 1.0])
@pytest.mark.parametrize("factor", [0.3, 0.99, 1.3, 3.0, 9.0, 100.0])
def test_the_first_calls_cost_at_most_30_calls_of_the_default(timed, caplog, native, factor):
    """However slow the others are; an implementation that is clearly slower is called few times. It is logged once."""
    clock = timed(**dict.fromkeys(LOWERINGS, native * factor) | {"native": native})
    conv = layer()
    with caplog.at_level(logging.DEBUG, logger="convpolicy"):
        conv(data())
    slowest = native * factor if factor > 4 else 0.0  # what one call of an implementation costs that turns out to be very slow
    assert clock.seconds <= 30 * native + len(LOWERINGS) * slowest
    (record,) = caplog.records
    assert record.levelname == "DEBUG"
    assert "conv1d 8-8-3-1-1-1" in record.getMessage()
    conv(data())
    assert len(caplog.records) == 1


def test_nothing_is_timed_where_it_would_count_twice(timed):
    """With gradients, under torch.func, counters, traces and autocast: rules only, and a plain call later times."""
    clock, conv = timed(linear=0.001), layer()
    x = data()
    conv(x).sum().backward()
    expected = conv.weight.grad.clone()
    conv.weight.grad = None
    own(conv, x).sum().backward()
    torch.testing.assert_close(conv.weight.grad, expected)
    with torch.no_grad():
        with FlopCounterMode(display=False) as counter:
            conv(x)
        assert counter.get_total_flops() == 2 * 8 * 8 * 3 * 40
        torch.func.vmap(conv)(x[None])
        torch.jit.trace(conv, x, check_trace=False)
        with torch.autocast("cpu", torch.bfloat16):
            conv(x)
        assert "linear" not in clock.calls
        conv(x)
    assert clock.calls[-1] == "linear"


@torch.no_grad()
def test_other_dtypes_devices_and_shapes_use_the_default(timed):
    """float64 is timed, bfloat16 is not; the meta device and an input without a batch run torch's own code."""
    clock = timed(linear=0.001)
    wide = layer(dtype=torch.float64)
    wide(data().double())
    assert taken(wide) == "linear"
    clock.calls.clear()
    layer(dtype=torch.bfloat16)(data().bfloat16())
    conv = layer()
    assert conv(data()[0]).shape == (8, 40)
    assert conv(data()[:0]).shape == (0, 8, 40)
    assert layer().to("meta")(data().to("meta")).is_meta
    assert set(clock.calls) <= {"native"}


@torch.no_grad()
def test_threads_call_one_layer_at_first(timed, monkeypatch):
    """One thread times, the others run by the rules meanwhile; all outputs are right, and one result is kept."""
    timed(linear=0.001)
    conv, x = layer(), data()
    inside, go = threading.Event(), threading.Event()
    trial = auto._Trial.run

    def slow(self, case):
        inside.set()
        assert go.wait(10)
        return trial(self, case)

    monkeypatch.setattr(auto._Trial, "run", slow)
    outputs = {}

    def call(name):
        with torch.no_grad():
            outputs[name] = conv(x)

    first = threading.Thread(target=call, args=("first",))
    first.start()
    assert inside.wait(10)
    others = [threading.Thread(target=call, args=(number,)) for number in range(4)]
    for thread in others:
        thread.start()
    for thread in others:
        thread.join(10)
    assert not conv._ways  # those that did not time keep nothing
    go.set()
    first.join(10)
    assert len(outputs) == 5
    for output in outputs.values():
        torch.testing.assert_close(output, own(conv, x))
    assert len(conv._ways) == 1


@torch.no_grad()
def test_a_cache_file_is_read_instead_of_timing(timed, tmp_path):
    """The next process takes what the file says, without one call of another; names it does not know are timed again."""
    file, clock = tmp_path / "cache.json", timed(linear=0.004)
    auto.RESULTS.use(file)
    layer()(data())
    stored = json.loads(file.read_text())
    ((_machine, cases),) = stored["results"].items()
    assert list(cases.values()) == [["linear", "linear"]]
    for names, name, at_once in ((["windows", "windows"], "windows", True), (["gone", "gone"], "linear", False)):
        cases[next(iter(cases))] = names
        stored["results"]["another machine"] = {"some call": ["future", "future"]}
        file.write_text(json.dumps(stored))
        auto.RESULTS.clear()
        auto.RESULTS.use(file)
        clock.calls.clear()
        conv = layer()
        conv(data())
        assert taken(conv) == name
        assert (clock.calls == [name]) is at_once
        assert json.loads(file.read_text())["results"]["another machine"] == {"some call": ["future", "future"]}


@torch.inference_mode()
def test_packed_weights_are_used_for_inference_and_thawed_when_they_change(timed):
    """Only under inference_mode, in eval mode, for parameters; state dict, copies and pickles have no packed weight."""
    timed(packed=0.001, linear=0.005)
    conv, x = layer(), data()
    with torch.inference_mode(mode=False), torch.no_grad():
        conv(x)
        assert taken(conv) == "linear"
    conv(x)
    assert taken(conv) == "packed"
    torch.testing.assert_close(conv(x), own(conv, x))
    assert list(conv.state_dict()) == ["weight", "bias"]
    for twin in (copy.deepcopy(conv), pickle.loads(pickle.dumps(conv))):
        assert not twin._ways
        torch.testing.assert_close(twin(x), own(conv, x))
    training = layer().train()
    training(x)
    assert taken(training) == "linear"


@torch.inference_mode()
def test_few_packed_weights_are_kept(timed):
    """A layer that sees many shapes packs its weight for four of them."""
    timed(packed=0.001, linear=0.005)
    conv = layer()
    names = []
    for length in range(20, 28):
        conv(data(1, 8, length))
        names.append(taken(conv))
    assert names == ["packed"] * 4 + ["linear"] * 4


@pytest.mark.parametrize("case", [
    Case(Sizes(3, 1, 1, 1, True), cp.Choice("explicit", left=2, right=1), cp.Choice("odd"), 30),
    Case(Sizes(4, 2, 1, 2, False), cp.Choice("same_upper"), cp.Choice("zeros"), 31),
    Case(Sizes(1, 1, 1, 1, True), cp.Choice("valid"), cp.Choice("zeros"), 9),
], ids=str)  # fmt: skip
@torch.inference_mode()
def test_whatever_is_chosen_computes_the_layer(case):
    """Timed for real, the output is within rounding of the float64 loops."""
    auto.RESULTS.clear()
    exact = case.layer("torch", "torch", 0, "float32")
    conv = cp.capture(exact).build("torch", execution="auto").eval()
    x = random_data(0, case.length, 2)
    weight, bias = exact.weight.detach().numpy(), None if exact.bias is None else exact.bias.detach().numpy()
    judged = referee(case, x, weight, bias)
    for _ in range(3):
        same_within(judged.output, conv(torch.from_numpy(x)).numpy(), judged, "float32", str(case))
