"""Layers whose sums are exact, and how the tests of streaming cut an input into chunks."""

from __future__ import annotations

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st

import convpolicy as cp

PADDINGS = st.one_of(st.sampled_from(sorted(cp.padding_rules())), st.tuples(st.integers(-3, 8), st.integers(-3, 8)))
CROPS = st.one_of(st.sampled_from(sorted(cp.crop_rules())), st.tuples(st.integers(-4, 8), st.integers(-4, 8)))
MODES = st.sampled_from(
    [
        *("zeros", "zeros", "replicate", "reflect", "symmetric", "odd"),
        cp.Choice("reflect", overflow="periodic"),
        cp.Choice("symmetric", overflow="zero-extend"),
        cp.Choice("constant", value=3.0),
        ("replicate", "zeros"),
    ]
)
SIZES = st.tuples(st.integers(1, 7), st.integers(1, 4), st.integers(1, 3))


def whole_numbers(random, *shape):
    """Whole numbers as float64, whose products and sums have no rounding."""
    return random.integers(-50, 51, shape).astype(np.float64)


@st.composite
def layers(draw, transposed=None):
    """A layer of NumPy that its rule allows, with weights and bias of whole numbers."""
    transposed = draw(st.booleans()) if transposed is None else transposed
    kernel, stride, dilation = draw(SIZES)
    more = {"padding": draw(CROPS)} if transposed else {"padding": draw(PADDINGS), "padding_mode": draw(MODES)}
    kind = cp.ConvTranspose1d if transposed else cp.Conv1d
    try:
        layer = kind(
            2,
            4,
            kernel,
            stride,
            dilation=dilation,
            groups=draw(st.sampled_from([1, 2])),
            policy="torch",
            dtype="float64",
            seed=0,
            **more,
        )
    except cp.ConvPolicyError:  # a rule that refuses these sizes
        assume(False)
    random = np.random.default_rng(draw(st.integers(0, 9)))
    layer.weight[...], layer.bias[...] = whole_numbers(random, *layer.weight.shape), whole_numbers(random, 4)
    return layer


def cuts(length):
    """Lengths of chunks that make up a length."""
    return st.lists(st.integers(0, max(length, 1)), max_size=8).map(
        lambda places: np.diff([0, *sorted(p for p in places if p <= length), length]).tolist()
    )


def streamed(layer, chunks):
    """The outputs of a layer, joined, for chunks (batch, channels, samples)."""
    return outputs_of(cp.streaming(layer), chunks)


def outputs_of(streaming, chunks):
    """The outputs of a streaming, joined."""
    state, outputs = streaming.initial_state(chunks[0].shape[0]), []
    for chunk in chunks:
        output, state = streaming.step(chunk, state)
        outputs.append(output)
    return np.concatenate([*outputs, streaming.flush(state)], axis=-1)
