"""Layers that cannot be streamed and arguments that do not fit are refused in one sentence with the fix."""

from __future__ import annotations

import numpy as np
import pytest

import convpolicy as cp


def causal(**arguments):
    return cp.streaming(cp.Conv1d(2, 3, 3, padding="causal", **arguments))


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (lambda: cp.Conv1d(1, 1, 3, 2, padding="same_upper"), r"padding 'same_upper' cannot be streamed .* use padding="),
        (lambda: cp.Conv1d(1, 1, 3, padding=1, padding_mode="circular"), r"padding_mode 'circular' cannot be streamed"),
        (lambda: cp.Conv1d(1, 1, 3, padding=(0, 2), padding_mode="circular"), r"reads the start of the input"),
        (
            lambda: cp.ConvTranspose1d(1, 1, 3, 2, padding=1, padding_mode="circular"),
            r"padding_mode 'circular' cannot be streamed",
        ),
        (lambda: cp.chain([("torch", 3)]), r"layer must be a chain of layers with weights, .* layer 0 is only sizes"),
        (list, r"layer must be a list of one or more layers, got none"),
        (
            lambda: [cp.Conv1d(1, 1, 3), cp.Conv1d(1, 1, 3, padding=1, padding_mode="circular")],
            r"^layer 1: padding_mode 'circular'",
        ),
        (lambda: 3, r"layer must be a 1-D convolution"),
    ],
)
def test_layers(layer, message):
    """The message names the reason, and what to use instead."""
    with pytest.raises(cp.ConvPolicyError, match=message) as refusal:
        cp.streaming(layer())
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda s: s.step([[1.0]], s.initial_state()), r"chunk must be a NumPy array"),
        (lambda s: s.step(np.zeros((1, 2, 4)), s.initial_state()), r"chunk must be a NumPy array of dtype float32"),
        (
            lambda s: s.step(np.zeros((2, 4), "f4"), s.initial_state()),
            r"chunk must have shape \(batch, 2, length\), got \(2, 4\)",
        ),
        (lambda s: s.step(np.zeros((1, 3, 4), "f4"), s.initial_state()), r"chunk must have shape \(batch, 2, length\)"),
        (
            lambda s: s.step(np.zeros((2, 2, 4), "f4"), s.initial_state(1)),
            r"state must have as many rows as the chunk, 2, got shape \(1, 2, 2\)",
        ),
        (lambda s: s.step(np.zeros((1, 2, 4), "f4"), {}), r"state must have the keys pending, got none"),
        (lambda s: s.step(np.zeros((1, 2, 4), "f4"), None), r"state must be a dictionary of arrays, got None"),
        (lambda s: s.flush({"pending": None, "seen": None}), r"state must have the keys pending, got pending, seen"),
        (
            lambda s: s.step(np.zeros((1, 2, 4), "f4"), {"pending": np.zeros((1, 2, 9), "f4")}),
            r"state must be one of this layer, with 'pending'",
        ),
        (
            lambda s: s.flush({"pending": np.zeros((1, 3, 2), "f4")}),
            r"with 'pending' of shape \(batch, 2, at most 2\), got shape \(1, 3, 2\)",
        ),
        (lambda s: s.flush({"pending": np.zeros((1, 1, 2), "f4")}), r"got shape \(1, 1, 2\); pass initial_state"),
        (
            lambda s: s.step(np.zeros((1, 2, 4), "f4"), {"pending": np.zeros((1, 2, 2))}),
            r"state must have the dtype and device of the chunk, ndarray of dtype float32, got ndarray of dtype float64 in 'pending'",
        ),
        (lambda s: s.flush({"pending": 3}), r"got shape \(\)"),
        (lambda s: s.initial_state(-1), r"batch must be at least 0"),
        (lambda s: s.start(0), r"batch must be at least 1"),
        (lambda s: s.latency(0), r"samples must be at least 1"),
        (lambda s: s.start(2)(np.zeros((1, 2, 4), "f4")), r"chunk must have 2 rows, got 1"),
        (lambda s: s.start(2)(np.zeros((2, 2, 4), "f4"), lengths=[5, 1]), r"lengths must be at most 4"),
        (lambda s: s.start(2)(np.zeros((2, 2, 4), "f4"), lengths=[1]), r"lengths must have one number per row, 2, got 1"),
        (lambda s: s.start(2).reset(np.array([1, 0])), r"mask must be 2 booleans"),
        (lambda s: s.start(2).load([s.initial_state()]), r"states must have one state per row, 2, got 1"),
    ],
)
def test_arguments(call, message):
    """The message names the argument, what came and what is allowed."""
    with pytest.raises(cp.ConvPolicyError, match=message) as refusal:
        call(causal())
    assert "\n" not in str(refusal.value)


def test_after_a_flush():
    """A stream that was flushed takes no chunk and no second flush until it is reset."""
    live = causal().start(1)
    live(np.zeros((1, 2, 4), "f4"))
    live.flush()
    with pytest.raises(cp.InvalidValueError, match="chunk must not follow a flush, got one for row 0"):
        live(np.zeros((1, 2, 4), "f4"))
    with pytest.raises(cp.InvalidValueError, match="flush must be called once"):
        live.flush()
    live.reset()
    assert live(np.zeros((1, 2, 4), "f4")).shape == (1, 3, 4)
