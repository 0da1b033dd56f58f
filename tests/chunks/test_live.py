"""A stream that keeps its state: rows that are reset alone, chunks of different lengths, saved states and flushes."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.chunked import whole_numbers
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

import convpolicy as cp

ROWS = 3
LAYERS = [
    {"kernel_size": 5, "padding": "causal"},
    {"kernel_size": 4, "stride": 3, "padding": "semicausal"},
    {"kernel_size": 5, "padding": (2, 2), "padding_mode": "reflect"},
    {"kernel_size": 2, "stride": 4, "padding": (3, 1), "padding_mode": "replicate"},
    {"kernel_size": 6, "stride": 2, "padding": "encodec_causal", "transposed": True},
    {"kernel_size": 2, "stride": 4, "padding": (3, -2), "transposed": True},
]


def built(kernel_size, transposed=False, **arguments):
    """A layer with weights of whole numbers."""
    kind = cp.ConvTranspose1d if transposed else cp.Conv1d
    layer = kind(2, 3, kernel_size, **arguments, policy="torch", dtype="float64", seed=0)
    random = np.random.default_rng(0)
    layer.weight[...], layer.bias[...] = whole_numbers(random, *layer.weight.shape), whole_numbers(random, 3)
    return layer


class Rows(RuleBasedStateMachine):
    """Every row gives the outputs of its own input, whatever happens to the other rows."""

    @initialize(arguments=st.sampled_from(LAYERS))
    def begin(self, arguments):
        self.layer = built(**arguments)
        self.live = cp.streaming(self.layer).start(ROWS)
        self.random = np.random.default_rng(1)
        self.inputs = [[] for _ in range(ROWS)]
        self.outputs = [[] for _ in range(ROWS)]

    def collect(self, output):
        """Store what each row returned; what follows its last output is 0."""
        for row in range(ROWS):
            count = self.live.lengths[row]
            self.outputs[row].append(output[row, :, :count])
            assert not output[row, :, count:].any()

    @rule(samples=st.integers(0, 9))
    def step(self, samples):
        chunk = whole_numbers(self.random, ROWS, 2, samples)
        self.collect(self.live(chunk))
        for row in range(ROWS):
            self.inputs[row].append(chunk[row])

    @rule(lengths=st.lists(st.integers(0, 7), min_size=ROWS, max_size=ROWS))
    def ragged(self, lengths):
        chunk = whole_numbers(self.random, ROWS, 2, 7)
        for row, count in enumerate(lengths):
            chunk[row, :, count:] = np.nan  # is not read
            self.inputs[row].append(chunk[row, :, :count])
        self.collect(self.live(chunk, lengths=lengths))

    @rule(mask=st.lists(st.booleans(), min_size=ROWS, max_size=ROWS))
    def reset(self, mask):
        self.live.reset(np.array(mask))
        for row in np.flatnonzero(mask):
            self.inputs[row], self.outputs[row] = [], []

    @rule()
    def move(self):
        """Another stream goes on from saved states."""
        other = cp.streaming(self.layer).start(ROWS)
        other.load([{name: array.copy() for name, array in state.items()} for state in self.live.states()])
        self.live = other

    @rule()
    def flush(self):
        expected = []
        for chunks in self.inputs:
            whole = np.concatenate([np.zeros((2, 0)), *chunks], axis=-1)
            try:
                expected.append(self.layer(whole) if whole.shape[-1] else np.zeros((3, 0)))
            except cp.InvalidValueError:  # a row is too short: nothing is flushed
                with pytest.raises(cp.InvalidValueError, match=r"too short|must be|reaches at most"):
                    self.live.flush()
                self.live.reset()
                self.inputs, self.outputs = [[] for _ in range(ROWS)], [[] for _ in range(ROWS)]
                return
        self.collect(self.live.flush())
        for row in range(ROWS):
            np.testing.assert_array_equal(np.concatenate(self.outputs[row], axis=-1), expected[row])
        with pytest.raises(cp.InvalidValueError, match="chunk must not follow a flush"):
            self.live(np.zeros((ROWS, 2, 1)))
        self.live.reset()
        self.inputs, self.outputs = [[] for _ in range(ROWS)], [[] for _ in range(ROWS)]


Rows.TestCase.settings = settings(max_examples=40, stateful_step_count=15, deadline=None, derandomize=True)
test_rows = Rows.TestCase


def test_rows_at_the_same_place_run_together():
    """Rows that were reset at different times are one group again where only their contents differ."""
    live = cp.streaming(built(5, padding="causal")).start(4)
    live(np.zeros((4, 2, 7)))
    live.reset(np.array([True, False, False, True]))
    live(np.zeros((4, 2, 3)))
    assert len(live._groups) == 1
    strided = cp.streaming(built(4, stride=3, padding="semicausal")).start(2)
    strided(np.zeros((2, 2, 7)), lengths=[7, 5])
    assert len(strided._groups) == 2
    strided(np.zeros((2, 2, 3)), lengths=[1, 3])
    assert len(strided._groups) == 1
