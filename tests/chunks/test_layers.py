"""A layer whose input comes in chunks gives the outputs of the whole, each as soon as it is certain, and reads nothing else."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.chunked import cuts, layers, streamed, whole_numbers
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import convpolicy as cp

LENGTHS = st.integers(1, 40)


def streaming_or_none(layer):
    """The streaming of a layer, or None if it depends on the end of the input from the first output on."""
    try:
        return cp.streaming(layer)
    except cp.InvalidValueError as error:
        assert "cannot be streamed" in str(error) or "rule" in str(error)
        return None


@settings(max_examples=150, deadline=None, derandomize=True)
@given(layers(), LENGTHS, st.data())
def test_any_chunks_give_the_whole(layer, length, data):
    """Whole numbers have no rounding, so every output is equal; an input that the layer refuses is refused at the flush."""
    assume(streaming_or_none(layer) is not None)
    x = whole_numbers(np.random.default_rng(length), 2, 2, length)
    chunks = np.split(x, np.cumsum(data.draw(cuts(length)))[:-1], axis=-1)
    try:
        expected = layer(x)
    except cp.InvalidValueError as error:
        with pytest.raises(cp.InvalidValueError) as refusal:
            streamed(layer, chunks)
        assert str(refusal.value) == str(error)
        return
    np.testing.assert_array_equal(streamed(layer, chunks), expected)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(layers(), st.integers(1, 30))
def test_a_step_reads_no_later_sample_and_a_flush_no_earlier_than_needed(layer, length):
    """What a step returned does not change with the rest of the input."""
    streaming = streaming_or_none(layer)
    assume(streaming is not None)
    random = np.random.default_rng(length)
    first = whole_numbers(random, 1, 2, length)
    output, state = streaming.step(first, streaming.initial_state(1))
    before = {name: array.copy() for name, array in state.items()}
    for rest in (40, 41, 42, 43, 57):
        try:
            whole = layer(np.concatenate([first, whole_numbers(random, 1, 2, rest)], axis=-1))
        except cp.InvalidValueError:  # a rule that allows only some lengths
            continue
        np.testing.assert_array_equal(output, whole[..., : output.shape[-1]])
    for name, array in state.items():
        np.testing.assert_array_equal(array, before[name])


def sizes(layer):
    """Kernel size, stride and dilation."""
    spec = cp.capture(layer).spec
    return spec.kernel_size, spec.stride, spec.dilation


def certain(layer, length):
    """The number of outputs that are the same for every longer input: all samples that they read have come, and no end removes them."""
    plans = []
    for more in [*range(13), 90]:
        try:
            plans.append(layer.plan(length + more))
        except cp.InvalidValueError:
            continue
    count = min(plan.length_out for plan in plans)
    terms = [plan.window_terms(np.arange(count)) for plan in plans]
    for output in range(count):
        read = [[(share[output].tolist(), at[output].tolist()) for share, at in each] for each in terms]
        if any(each != read[0] for each in read) or any(max(at) >= length for _share, at in read[0]):
            return output
    return count


@settings(max_examples=150, deadline=None, derandomize=True)
@given(layers(transposed=False), st.integers(20, 30))
def test_an_output_comes_as_soon_as_it_is_certain(layer, length):
    """After each sample, a convolution has returned every output that no longer input can change.

    A rule whose padding depends on the length may be one output late, since the stream waits for the most that an end can remove.
    """
    streaming = streaming_or_none(layer)
    assume(streaming is not None)
    output, _state = streaming.step(np.zeros((1, 2, length)), streaming.initial_state(1))
    late = layer.policy.static_pads(*sizes(layer)) is None
    assert certain(layer, length) - bool(late) <= output.shape[-1] <= certain(layer, length)


@pytest.mark.parametrize(
    ("arguments", "delay", "latency"),
    [
        ({"kernel_size": 7, "padding": "causal"}, 0, {1: 0, 4: 3}),
        ({"kernel_size": 7, "padding": (3, 3)}, 3, {1: 3, 4: 6}),
        ({"kernel_size": 4, "stride": 2, "padding": "semicausal"}, 0, {1: 1, 4: 3}),
        ({"kernel_size": 3, "padding": "valid"}, 2, {1: 2, 2: 3}),
        ({"kernel_size": 5, "padding": (2, 2), "padding_mode": "reflect"}, 2, {1: 2}),
    ],
)
def test_delay_and_latency(arguments, delay, latency):
    """They are integers that are known before anything runs."""
    streaming = cp.streaming(cp.Conv1d(1, 1, **arguments))
    assert streaming.delay == delay
    assert {chunk: streaming.latency(chunk) for chunk in latency} == latency


@pytest.mark.parametrize("mode", ["zeros", "replicate"])
def test_a_rule_that_refuses_lengths_does_not_delay(mode):
    """Moshi's rule accepts only multiples of the stride: its outputs come at once, and another length is refused at the flush."""
    streaming = cp.streaming(cp.Conv1d(2, 3, 4, 2, padding="moshi", padding_mode=mode))
    assert (streaming.delay, "tail" in streaming.state_shapes) == (0, False)
    live = streaming.start()
    assert [live(np.ones((1, 2, 1), "f4")).shape[-1] for _ in range(5)] == [0, 1, 0, 1, 0]
    with pytest.raises(cp.InvalidValueError, match="length must be a multiple of the stride 2, got 5"):
        live.flush()


def test_a_chain_of_layers():
    """An encoder and a decoder in a row, by a list and by a chain; the state has the number of the layer in its names."""
    random = np.random.default_rng(0)
    row = [
        cp.Conv1d(2, 4, 4, 2, padding="semicausal", dtype="float64", seed=0),
        cp.Conv1d(4, 4, 5, padding=(2, 2), padding_mode="reflect", dtype="float64", seed=0),
        cp.ConvTranspose1d(4, 2, 4, 2, padding="causal", policy="torch", dtype="float64", seed=0),
    ]
    for layer in row:
        layer.weight[...] = whole_numbers(random, *layer.weight.shape)
        layer.bias[...] = 1
    x = whole_numbers(random, 3, 2, 50)
    expected = row[2](row[1](row[0](x)))
    for chain in (row, cp.chain(row)):
        np.testing.assert_array_equal(streamed(chain, np.split(x, [3, 4, 20, 20, 41], axis=-1)), expected)
    assert cp.streaming(row).multiple == 1
    assert cp.streaming(row[:2]).multiple == 2
    assert {name.partition(".")[0] for name in cp.streaming(row).state_shapes} == {"0", "1", "2"}


def test_a_capture_runs_in_numpy():
    """The captured weights are used."""
    layer = cp.Conv1d(2, 3, 3, padding="causal", dtype="float64", seed=0)
    x = whole_numbers(np.random.default_rng(1), 1, 2, 9)
    np.testing.assert_array_equal(streamed(cp.capture(layer), np.split(x, [4], axis=-1)), layer(x))


def test_new_weights_are_used():
    """A streaming has no copy of the weights."""
    layer = cp.Conv1d(1, 1, 1, bias=False, dtype="float64")
    streaming = cp.streaming(layer)
    layer.weight[...] = 5
    np.testing.assert_array_equal(streaming.step(np.ones((1, 1, 2)), streaming.initial_state(1))[0], np.full((1, 1, 2), 5.0))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(layers(), st.data())
def test_a_state_stays_within_its_shapes(layer, data):
    """However long the input, no array of the state is longer than state_shapes says, and none keeps a chunk in memory."""
    streaming = streaming_or_none(layer)
    assume(streaming is not None)
    state = streaming.initial_state(2)
    for samples in data.draw(st.lists(st.integers(0, 30), min_size=1, max_size=6)):
        _output, state = streaming.step(np.zeros((2, 2, samples)), state)
        assert state.keys() == streaming.state_shapes.keys()
        for name, array in state.items():
            shape = streaming.state_shapes[name]
            assert array.shape[0] == 2
            assert len(shape) == array.ndim
            assert all(size <= most for size, most in zip(array.shape[1:], shape[1:])), name
            assert array.base is None or array.base.nbytes <= max(array.nbytes, 1) * 2
