"""``execution="auto"`` on a busy machine, of transposed convolutions, and on backends that do not measure."""

from __future__ import annotations

import numpy as np
import torch
from helpers.differential import random_data
from torch import nn

import convpolicy as cp
from convpolicy.frameworks.torch.execution import auto, transposed_lowerings
from convpolicy.frameworks.torch.execution.lowerings import LOWERINGS
from convpolicy.tuning import results


@torch.no_grad()
def test_another_process_disturbs_one_call(monkeypatch):
    """An implementation whose first call took far too long gets another one, and is used if it is the fastest."""
    monkeypatch.setattr(auto, "RESULTS", results.Results())
    monkeypatch.setattr(auto, "SETUPS", {})
    seconds, calls = [0.0], []
    monkeypatch.setattr(auto, "clock", lambda: seconds[0])
    for name, lowering in dict(LOWERINGS).items():

        def stub(*arguments, name=name, run=lowering.run):
            calls.append(name)
            seconds[0] += 0.05 if calls.count("linear") == 1 and name == "linear" else 0.001 if name == "linear" else 0.01
            return run(*arguments)

        monkeypatch.setitem(LOWERINGS, name, lowering._replace(run=stub))
    conv = cp.Conv1d(8, 8, 3, backend="torch", execution="auto")
    conv(torch.randn(1, 8, 40))
    assert next(iter(conv._ways.values()))[0] is LOWERINGS["linear"].run


@torch.no_grad()
def test_transposed_layers_are_timed(monkeypatch):
    """With their own implementations; a call with an output_size runs torch's own code."""
    monkeypatch.setattr(auto, "RESULTS", results.Results())
    monkeypatch.setattr(auto, "SETUPS", {})
    seconds = [0.0]
    monkeypatch.setattr(auto, "clock", lambda: seconds[0])
    for name, lowering in dict(transposed_lowerings.LOWERINGS).items():

        def stub(*arguments, run=lowering.run, takes=0.001 if name == "overlap_add" else 0.01):
            seconds[0] += takes
            return run(*arguments)

        monkeypatch.setitem(transposed_lowerings.LOWERINGS, name, lowering._replace(run=stub))
    up = cp.ConvTranspose1d(8, 4, 4, 2, 1, backend="torch", execution="auto", seed=0).eval()
    native, x = nn.ConvTranspose1d(8, 4, 4, 2, 1).eval(), torch.randn(1, 8, 40)
    native.load_state_dict(up.state_dict())
    torch.testing.assert_close(up(x), native(x))
    assert next(iter(up._ways.values()))[0] is transposed_lowerings.LOWERINGS["overlap_add"].run
    assert torch.equal(up(x, output_size=[81]), native(x, output_size=[81]))


def test_backends_that_do_not_measure_treat_it_like_fast():
    """The same output from NumPy, with each execution."""
    x = random_data(0, 30, 1, channels=8)
    outputs = [cp.Conv1d(8, 8, 3, execution=execution, seed=0)(x) for execution in ("fast", "auto")]
    assert np.array_equal(*outputs)
