"""One comparison of ``execution="auto"``: what is timed again before it is used, and how outputs are compared."""

from __future__ import annotations

import torch
from torch import nn

import convpolicy as cp
from convpolicy.frameworks.torch.execution import auto
from convpolicy.frameworks.torch.execution.lowering import Work
from convpolicy.frameworks.torch.execution.rules import TABLE

CALLS = 1 + 2 + auto.ROUNDS  # of the default, before the fastest is timed again


def chosen(monkeypatch, x, windows, native_seconds, windows_seconds):
    """The choice between torch's own way and ``windows``; the n-th call of each takes so many seconds."""
    now, counts = [0.0], {"native": 0, "windows": 0}
    monkeypatch.setattr(auto, "clock", lambda: now[0])

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
    setting = auto.Setting(request, table, work, "native", freezes=False)
    with torch.no_grad():
        return auto._Trial(setting, x, layer.weight, layer.bias).run("case").lowering


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
