"""Chains with transposed layers, encoder and decoder in one: lengths and their inverse, reads, delay and causality, against a scatter by hand."""

from __future__ import annotations

import math
from fractions import Fraction

import attrs
import numpy as np
import pytest
from helpers.refusals import refused
from helpers.scatter import reached, windows
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import convpolicy as cp
from convpolicy import Choice

TORCH = cp.policy("torch")
HALF = TORCH.transposed
CROPS = (
    *("explicit", "at_least_stride", "same_upper", "same_lower", "causal"),
    *(Choice("explicit", left=left, right=right) for left, right in ((2, 1), (0, -2), (-1, 3))),
)
PADS = ("valid", "causal", "same_upper", Choice("explicit", left=3, right=1))


@st.composite
def layers(draw, circular=True):
    """A convolution padded with zeros or a transposed convolution."""
    sizes = draw(st.integers(1, 5)), draw(st.integers(1, 4)), draw(st.integers(1, 3))
    if draw(st.booleans()):
        mode = draw(st.sampled_from(["zeros", "circular"])) if circular else "zeros"
        return HALF.evolve(padding=draw(st.sampled_from(CROPS)), padding_mode=mode), *sizes
    return TORCH.evolve(padding=draw(st.sampled_from(PADS))), *sizes


chains = st.lists(layers(), min_size=1, max_size=3)
causal_chains = st.lists(
    st.builds(
        lambda half, kernel, stride: (HALF.evolve(padding="causal") if half else TORCH.evolve(padding="causal"), kernel, stride),
        st.booleans(), st.integers(1, 5), st.integers(1, 4),
    ),
    min_size=1, max_size=4,
)  # fmt: skip


def read_by_hand(rows, length):
    """Return for each output the set of samples of the input that have effect on it, layer by layer; None without an output."""
    reads = [{sample} for sample in range(length)]
    for policy, *sizes in rows:
        pads = (policy.plan(*sizes, length=len(reads)).left, policy.plan(*sizes, length=len(reads)).right)
        if policy.is_transposed:
            outputs = reached(len(reads), sizes, *pads, policy.padding_mode.name)
        else:
            outputs = windows(len(reads), sizes, *pads)
        if outputs is None:
            return None
        reads = [set().union(*(reads[sample] for sample, _tap in output)) for output in outputs]
    return reads


def run(rows, data):
    """The outputs of NumPy layers with all weights 1."""
    for policy, kernel, stride, *dilation in rows:
        make = cp.ConvTranspose1d if policy.is_transposed else cp.Conv1d
        sizes = {"dilation": dilation[0] if dilation else 1}
        data = make(1, 1, kernel, stride, policy=policy, bias=False, weight_init=1.0, dtype="float64", **sizes)(data)
    return data[:, 0]


@settings(max_examples=100, deadline=None, derandomize=True)
@given(chains, st.integers(1, 14))
def test_lengths_and_reads(rows, length):
    """Output length and what each output depends on: by hand, and by the layers themselves, one sample made NaN at a time."""
    made, by_hand = cp.chain(rows), read_by_hand(rows, length)
    assert made.length(length) == (len(by_hand) if by_hand else 0)
    if by_hand is None:
        refused(lambda: made.plans(length), ValueError, "layer ", "is too short")
        return
    assert [set(made.reads(output, length)) for output in range(len(by_hand))] == by_hand
    marked = np.where(np.eye(length, dtype=bool), np.nan, 1.0)[:, None]
    assert np.isnan(run(rows, marked)).T.tolist() == [[sample in reads for sample in range(length)] for reads in by_hand]


@pytest.mark.parametrize("wrong", ["other side", "stride ignored", "dilation ignored", "circular dropped", "not transposed"])
def test_a_wrong_chain_is_rejected(wrong):
    """The comparison above can fail: another side, stride, dilation, mode or kind of layer reads other samples."""
    rows = [(TORCH.evolve(padding="causal"), 3, 2, 1), (HALF.evolve(padding=(0, 2), padding_mode="circular"), 3, 2, 2)]
    by_hand = read_by_hand(rows, 8)
    made = cp.chain(rows)
    assert [set(made.reads(output, 8)) for output in range(len(by_hand))] == by_hand
    last = made.layers[1]
    changes = {
        "other side": attrs.evolve(last, policy=last.policy.evolve(padding=(2, 0))),
        "stride ignored": attrs.evolve(last, stride=1),
        "dilation ignored": attrs.evolve(last, dilation=1),
        "circular dropped": attrs.evolve(last, policy=last.policy.evolve(padding_mode="zeros")),
        "not transposed": attrs.evolve(last, policy=TORCH.evolve(padding=(0, 2))),
    }
    other = cp.chain([made.layers[0], changes[wrong]])
    assert [set(other.reads(output, 8)) for output in range(other.length(8))] != by_hand


@settings(max_examples=100, deadline=None, derandomize=True)
@given(chains, st.integers(1, 6))
def test_the_shortest_length_is_the_shortest(rows, outputs):
    """The inverse of the length, as by trying every length from 0 on."""
    made = cp.chain(rows)
    assert made.shortest_length(outputs) == next(n for n in range(3000) if made.length(n) >= outputs)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.lists(layers(circular=False), min_size=1, max_size=3), st.integers(1, 14))
def test_the_receptive_interval_holds_what_is_read(rows, length):
    """Every sample that an output depends on is in its interval, no interval is wider than the receptive field, and one is as wide."""
    made, by_hand = cp.chain(rows), read_by_hand(rows, length)
    assume(by_hand)
    widest = 0
    for output, reads in enumerate(by_hand):
        first, last = made.receptive_interval(output, length)
        assert all(first <= sample <= last for sample in reads)
        widest = max(widest, last - first + 1)
    assert widest <= made.receptive_field
    phases = math.prod(stride for policy, _kernel, stride, *_dilation in rows if policy.is_transposed)
    if len(by_hand) >= phases:
        assert widest == made.receptive_field


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.lists(layers(circular=False), min_size=1, max_size=3), st.integers(1, 14))
def test_delay_and_stride(rows, length):
    """The stride is the ratio of lengths, and the delay the last position that an output spans after the sample at its place."""
    made, by_hand = cp.chain(rows), read_by_hand(rows, length)
    assume(by_hand)
    ratio = Fraction(1)
    for policy, _kernel, stride, *_dilation in rows:
        ratio = ratio / stride if policy.is_transposed else ratio * stride
    assert made.stride == ratio
    phases = math.prod(stride for policy, _kernel, stride, *_dilation in rows if policy.is_transposed)
    assume(len(by_hand) >= phases)
    delays = [made.receptive_interval(output, length)[1] - math.floor(output * ratio) for output in range(phases)]
    assert made.delay(length) == max(delays)


@settings(max_examples=80, deadline=None, derandomize=True)
@given(chains, st.integers(1, 14))
def test_causality(rows, length):
    """Causal where no output depends on a sample after ``ceil((output + 1) · stride) - 1``, by hand; else the counterexample is one."""
    made, by_hand = cp.chain(rows), read_by_hand(rows, length)
    assume(by_hand)
    ratio = Fraction(made.stride)
    late = [output for output, reads in enumerate(by_hand) if reads and max(reads) > math.ceil((output + 1) * ratio) - 1]
    found = made.causality(length)
    assert bool(found) == (not late)
    if late:
        assert (found.output, found.length, found.sample) == (late[0], length, max(by_hand[late[0]]))
        assert found.hop_end == math.ceil((late[0] + 1) * ratio) - 1


@settings(max_examples=40, deadline=None, derandomize=True)
@given(causal_chains)
def test_causal_layers_are_a_causal_chain_in_each_direction(rows):
    """An encoder, a decoder, or any mixture whose transposed layers come last, as codecs do; delay below one hop."""
    ordered = [row for row in rows if not row[0].is_transposed] + [row for row in rows if row[0].is_transposed]
    assert cp.chain(ordered).is_causal()


def test_encodec_by_hand():
    """EnCodec at 24 kHz: strides 2, 4, 5, 8 down and up again is stride 1, lengths come back, and each half is causal."""
    causal, up = TORCH.evolve(padding="semicausal"), HALF.evolve(padding="causal")
    down = [(causal, 7), *((causal, 2 * stride, stride) for stride in (2, 4, 5, 8)), (causal, 7)]
    decoder = [(up, 7), *((up, 2 * stride, stride) for stride in (8, 5, 4, 2)), (up, 7)]
    assert cp.chain(down).stride == 320
    assert cp.chain(decoder).stride == Fraction(1, 320)
    both = cp.chain(down + decoder)
    assert (both.stride, type(both.stride)) == (1, int)
    for length in (320, 640, 3200):
        assert both.length(length) == length
        assert cp.chain(decoder).length(length // 320) == length
    assert both.shortest_length(321) == cp.chain(down).shortest_length(2)
    assert cp.chain(down).is_causal()
    assert cp.chain(decoder).is_causal()
    assert not both.is_causal(640)  # the first output of a frame needs the last of its 320 samples
    assert both.delay(640) == 319


def test_what_a_chain_says():
    """The stride of a decoder is a fraction in text and HTML; an output that nothing reaches reads nothing; layers and captures join."""
    made = cp.chain([(HALF, 2, 4)])
    assert str(made).startswith("stride 1/4, receptive field 1\n")
    assert repr(made) == "Chain(1 layers, stride 1/4, receptive field 1)"
    assert "1/4" in made._repr_html_()
    assert made.reads(2, 3) == ()
    first, last = made.receptive_interval(2, 3)
    assert first > last
    layer = cp.ConvTranspose1d(2, 2, 4, 2, policy=HALF.evolve(padding="causal"), seed=0)
    assert cp.chain([layer]).layers == cp.chain([(HALF.evolve(padding="causal"), 4, 2)]).layers or cp.chain(
        [layer]
    ).stride == Fraction(1, 2)


def test_refusals():
    """A rule that refuses the sizes, an output that does not exist and a layer of which nothing is left name the layer."""
    refused(
        lambda: cp.chain([("torch", 3), (HALF.evolve(padding="symmetric"), 1, 2)]),
        ValueError,
        "layer 1 of the chain: crop rule 'symmetric'",
    )
    refused(lambda: cp.chain([(HALF, 3)]).reads(9, 3), ValueError, "output must be below length_out=5, got 9")
    refused(
        lambda: cp.chain([(HALF.evolve(padding=4), 3)]).plans(3),
        ValueError,
        "layer 0 of the chain: input of length 3 is too short: 4 and 4",
    )
