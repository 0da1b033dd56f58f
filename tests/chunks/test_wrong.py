"""Deliberately wrong streams are rejected by the comparison with the whole."""

from __future__ import annotations

import attrs
import numpy as np
import pytest
from helpers.chunked import streamed, whole_numbers

import convpolicy as cp
from convpolicy.chunks import building, convolution, transposed

ENCODER = {"kernel_size": 5, "stride": 2, "padding": (3, 2), "padding_mode": "reflect"}
CHANGES = {"held": {"padding": (3, -1), "padding_mode": "zeros"}, "last": {"kernel_size": 2, "stride": 3, "padding": (1, 2)}}
DECODER = {"kernel_size": 5, "stride": 2, "padding": (1, 2)}


def differs(layer):
    """True if some chunking gives other outputs than the whole."""
    x = whole_numbers(np.random.default_rng(0), 2, 2, 21)
    for cuts in ([], [1], [4, 9], [1, 2, 3, 10, 11]):
        try:
            outputs = streamed(layer, np.split(x, cuts, axis=-1))
        except (ValueError, IndexError):
            return True
        if not np.array_equal(outputs, layer(x)):
            return True
    return False


def built(kind, arguments):
    layer = kind(2, 3, **arguments, policy="torch", dtype="float64", seed=0)
    layer.weight[...] = whole_numbers(np.random.default_rng(1), *layer.weight.shape)
    layer.bias[...] = 7
    return layer


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("left", 1),
        ("left", -1),
        ("first", -1),
        ("held", -1),
        ("last", -1),
        ("plan", lambda plan: lambda length: plan(length + 1)),
    ],
)
def test_wrong_integers(monkeypatch, field, change):
    """A schedule with one wrong number."""
    layer = built(cp.Conv1d, ENCODER | CHANGES.get(field, {}))
    assert not differs(layer)
    right = building.schedule

    def wrong(policy, spec):
        schedule = right(policy, spec)
        value = getattr(schedule, field)
        return attrs.evolve(schedule, **{field: change(value) if callable(change) else value + change})

    monkeypatch.setattr(building, "schedule", wrong)
    assert differs(layer)


def test_state_lost(monkeypatch):
    """The samples of the last chunk are forgotten, as by a convolution that starts anew with every chunk."""
    layer = built(cp.Conv1d, ENCODER)
    step = convolution.ConvolutionStage.step

    def forgetful(self, chunk, state):
        output, new = step(self, chunk, state)
        return output, new | {"pending": new["pending"] * 0}

    monkeypatch.setattr(convolution.ConvolutionStage, "step", forgetful)
    assert differs(layer)


@pytest.mark.parametrize("fault", ["bias twice", "overlap lost", "wrong side"])
def test_wrong_overlaps(monkeypatch, fault):
    """Mistakes of hand-written streams of transposed convolutions."""
    layer = built(cp.ConvTranspose1d, DECODER)
    assert not differs(layer)
    stage = transposed.TransposedStage
    if fault == "bias twice":
        step = stage.step
        monkeypatch.setattr(
            stage, "step", lambda self, chunk, state: (self.arrays.biased((out := step(self, chunk, state))[0]), out[1])
        )
    elif fault == "overlap lost":
        overlapped = stage._overlapped
        monkeypatch.setattr(stage, "_overlapped", lambda self, chunk, partial, n: overlapped(self, chunk, partial * 0, n))
    else:
        right = building.transposed_schedule
        monkeypatch.setattr(
            building,
            "transposed_schedule",
            lambda policy, spec: attrs.evolve(right(policy, spec), left=layer.policy.static_pads(5, 2, 1)[1], right=1),
        )
    assert differs(layer)
