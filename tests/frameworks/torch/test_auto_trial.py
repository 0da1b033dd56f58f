"""One comparison of ``execution="auto"``: what is timed again before it is used, and how outputs are compared."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import convpolicy as cp
from convpolicy.frameworks.torch.execution import auto
from convpolicy.frameworks.torch.execution.lowering import Work
from convpolicy.frameworks.torch.execution.lowerings import LOWERINGS
from convpolicy.frameworks.torch.execution.rules import TABLE
from convpolicy.tuning import results

CALLS = 1 + 2 + auto.ROUNDS  # of the default, before the fastest is timed again


def chosen(monkeypatch, x, windows, native_seconds, windows_seconds, setups=None, began=0.0, ruled="native"):
    """The choice between torch's own way and ``windows``; the n-th call of each takes so many seconds.

    ``setups`` is what earlier trials remember, ``began`` the time when the layer's call began; the trial begins at 0. ``ruled`` is what the rules
    of fast layers select.
    """
    now, counts = [0.0], {"native": 0, "windows": 0}
    monkeypatch.setattr(auto, "clock", lambda: now[0])
    monkeypatch.setattr(auto, "SETUPS", {} if setups is None else setups)

    def stub(name, run, seconds):
        def stubbed(*arguments):
            now[0] += seconds(counts[name])
            counts[name] += 1
            return run(*arguments)

        return TABLE.lowerings[name]._replace(run=stubbed)

    lowerings = {
        "native": stub("native", TABLE.lowerings["native"].run, native_seconds),
        "windows": stub("windows", windows, windows_seconds),
    }
    layer = cp.Conv1d(8, 8, 3, padding=1, backend="torch", execution="auto", seed=0)
    request = layer._request
    work = Work(request.plan(x.shape[-1]), 1, layer._pad_by)
    table = TABLE._replace(lowerings=lowerings, tried=("windows",))
    setting = auto.Setting(request, table, work, "native", freezes=False, ruled=ruled)
    with torch.no_grad():
        return auto._Trial(setting, x, layer.weight, layer.bias, began).run("case").lowering


def slow_at_first(call):
    """Seconds of a call while another process runs, and after that."""
    return 0.010 if call < CALLS else 0.007


def unbiased(data, weight, _bias, work):
    """A wrong implementation: it forgets the bias."""
    return nn.functional.conv1d(data, weight, padding=work.plan.left)


def test_a_small_gain_is_timed_again(monkeypatch):
    """Where the default was slow only for a time, it stays; a gain that lasts is used, and a large one too."""
    x, windows = torch.randn(1, 8, 40), TABLE.lowerings["windows"].run
    assert chosen(monkeypatch, x, windows, slow_at_first, lambda _call: 0.008) == "native"
    assert chosen(monkeypatch, x, windows, lambda _call: 0.010, lambda _call: 0.008) == "windows"
    assert chosen(monkeypatch, x, windows, slow_at_first, lambda _call: 0.001) == "windows"


def test_a_wrong_implementation_is_noticed_beside_an_infinite_sample(monkeypatch):
    """One infinite sample makes the bound of whole channels infinite, but not that of outputs that do not read it."""
    x = torch.randn(1, 8, 40)
    x[0, 3, 20] = torch.inf
    for run, name in ((unbiased, "native"), (TABLE.lowerings["windows"].run, "windows")):
        assert chosen(monkeypatch, x, run, lambda _call: 0.010, lambda _call: 0.001) == name


def test_a_long_first_call_is_remembered_and_forgotten(monkeypatch):
    """The next trials of cheap calls leave the implementation out, until so many have passed that it gets another chance."""
    x, windows, setups = torch.randn(1, 8, 40), TABLE.lowerings["windows"].run, {}

    def choice(first):
        return chosen(monkeypatch, x, windows, lambda _call: 0.010, lambda call: 0.001 if call else first, setups)

    assert choice(first=0.5) == "native"
    assert setups == {"windows": pytest.approx(0.49)}
    chances = [choice(first=0.001) for _ in range(40)]
    assert chances[0] == "native"
    assert chances.index("windows") > 10


def test_what_a_call_took_before_its_trial_counts(monkeypatch):
    """A layer that took long to make its plan has less time left."""
    x, windows = torch.randn(1, 8, 40), TABLE.lowerings["windows"].run
    for began, name in ((0.0, "windows"), (-0.25, "native")):
        assert chosen(monkeypatch, x, windows, lambda _call: 0.010, lambda _call: 0.001, began=began) == name


def test_the_rules_decide_where_nothing_can_be_timed(monkeypatch):
    """Calls of a few µs use what a fast layer uses; where there is time, the rules lose against a measurement."""
    x, windows = torch.randn(1, 8, 40), TABLE.lowerings["windows"].run
    for native, ruled, name in ((1e-5, "windows", "windows"), (1e-5, "native", "native"), (0.01, "windows", "native")):
        taken = chosen(monkeypatch, x, windows, lambda _call, t=native: t, lambda _call, t=native: 2 * t, ruled=ruled)
        assert taken == name


def timed(monkeypatch, seconds):
    """Names of the implementations in the order of their calls, of which each takes ``seconds(name)``; nothing is kept from earlier."""
    now, names = [0.0], []
    monkeypatch.setattr(auto, "clock", lambda: now[0])
    monkeypatch.setattr(auto, "RESULTS", results.Results())
    monkeypatch.setattr(auto, "SETUPS", {})

    def stub(name, run, seconds):
        def stubbed(*arguments):
            now[0] += seconds
            names.append(name)
            return run(*arguments)

        return stubbed

    for name, lowering in dict(LOWERINGS).items():
        monkeypatch.setitem(LOWERINGS, name, lowering._replace(run=stub(name, lowering.run, seconds(name))))
    return names


@pytest.fixture
def seen(monkeypatch):
    """The names when each implementation takes 20 ms, torch's own 10 ms and packed ones 1 ms."""
    packs = {name for name, lowering in LOWERINGS.items() if lowering.pack is not None}
    return timed(monkeypatch, lambda name: 0.01 if name == "native" else 0.001 if name in packs else 0.02)


def auto_layer(*sizes, **options):
    """A layer whose parameters are not those of inference mode."""
    with torch.inference_mode(mode=False):
        return cp.Conv1d(*sizes, **options, backend="torch", execution="auto", seed=0).eval()


def test_a_weight_is_packed_once(seen, monkeypatch):
    """The weight that the trial packed is that of the following calls."""
    packs, pack = [], LOWERINGS["packed"].pack
    lowering = LOWERINGS["packed"]._replace(pack=lambda *arguments: packs.append(1) or pack(*arguments))
    monkeypatch.setitem(LOWERINGS, "packed", lowering)
    conv, x = auto_layer(8, 8, 3, padding=1), torch.randn(1, 8, 40)
    with torch.inference_mode():
        for _ in range(3):
            torch.testing.assert_close(conv(x), nn.functional.conv1d(x, conv.weight, conv.bias, padding=1))
    assert seen[-3:] == ["packed"] * 3
    assert packs == [1]


@pytest.mark.parametrize(
    ("sizes", "options", "names"),
    [
        ((8, 8, 1), {}, {"native", "matmul", "packed", "packed_linear"}),
        ((8, 8, 9), {"padding": 4, "groups": 8}, {"native", "packed", "taps", "windows"}),
        ((8, 8, 11), {"padding": 5, "groups": 8}, {"native", "packed", "packed_padded", "pad_first", "concatenate", "taps"}),
        ((8, 8, 17), {"groups": 8}, {"native", "packed"}),
    ],
)
def test_what_was_the_fastest_nowhere_is_not_timed(seen, sizes, options, names):
    """Products over rows of pointwise layers, narrow pads of depthwise ones that are added first, sums of more than 16 taps."""
    with torch.inference_mode():
        auto_layer(*sizes, **options)(torch.randn(1, 8, 40))
    assert set(seen) == names


def test_the_implementation_of_the_rules_is_timed_first(seen, monkeypatch):
    """It is most often the fastest, so it should not be left out for lack of time; also if nothing else would time it."""
    for ruled in ("overpad", "linear", "gather"):
        auto.RESULTS.clear()
        seen.clear()
        monkeypatch.setattr("convpolicy.frameworks.torch.execution.ruled.choose", lambda *_call, name=ruled, **_more: name)
        with torch.no_grad():
            auto_layer(8, 8, 3, padding=(2, 1), padding_mode="replicate" if ruled == "gather" else "zeros")(torch.randn(1, 8, 40))
        first = dict.fromkeys(seen)
        assert list(first)[1] == ruled


@pytest.mark.parametrize("fastest", ["taps", "windows"])
def test_depthwise_layers_use_what_is_for_few_outputs(monkeypatch, fastest):
    """Each of the implementations when it is the fastest; the layer computes what torch's own does."""
    names = timed(monkeypatch, lambda name: 0.001 if name == fastest else 0.01)
    conv, x = auto_layer(6, 6, 3, padding=1, groups=6), torch.randn(1, 6, 20)
    with torch.no_grad():
        for _ in range(2):
            torch.testing.assert_close(conv(x), nn.functional.conv1d(x, conv.weight, conv.bias, padding=1, groups=6))
    assert names[-1] == fastest
