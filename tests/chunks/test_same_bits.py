"""`execution="same-bits"`: every chunking has the bits of one chunk of the whole."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.chunked import outputs_of

import convpolicy as cp
from convpolicy.chunks import same_bits

LAYERS = [
    (cp.Conv1d, 64, 32, 5, {}),
    (cp.Conv1d, 3, 2, 6, {"stride": 3, "dilation": 2}),
    (cp.Conv1d, 16, 16, 31, {"groups": 16}),
    (cp.Conv1d, 16, 8, 3, {"padding": (1, 1), "padding_mode": "reflect"}),
    (cp.ConvTranspose1d, 64, 8, 4, {"stride": 2}),
    (cp.ConvTranspose1d, 16, 8, 2, {"stride": 3, "padding": (0, 0)}),
]
LENGTH = 45
CUTS = ([], range(1, LENGTH), [1, 4, 15, 23, 23, 31, 32], [7, 40], [40, 41, 42])
sizes = pytest.mark.parametrize(("kind", "inputs", "outputs", "kernel", "more"), LAYERS)


def bits(streaming, x, cuts):
    """The outputs for a chunking, as integers."""
    return outputs_of(streaming, [np.ascontiguousarray(chunk) for chunk in np.split(x, list(cuts), axis=-1)]).view(np.int32)


@sizes
def test_every_chunking_has_the_same_bits(kind, inputs, outputs, kernel, more):
    """Also a row alone has the bits that it has in a batch."""
    layer = kind(inputs, outputs, kernel, **{"padding": "causal", "policy": "torch"} | more, seed=0)
    x = np.random.default_rng(0).standard_normal((3, inputs, LENGTH), dtype=np.float32)
    streaming = cp.streaming(layer, execution="same-bits")
    whole = bits(streaming, x, [])
    for cuts in CUTS:
        np.testing.assert_array_equal(bits(streaming, x, cuts), whole)
        np.testing.assert_array_equal(bits(streaming, x[1:2], cuts), whole[1:2])
    bound = 2 * kernel * inputs * np.finfo(np.float32).eps * np.abs(layer.weight).max() * np.abs(x).max() * kernel * inputs
    assert np.abs(whole.view(np.float32) - layer(x)).max() <= bound


def test_a_library_whose_bits_depend_on_the_place_computes_one_output_per_call(monkeypatch):
    """The number of outputs of one call is measured: one that differs at some place is not used."""
    layer = cp.Conv1d(4, 4, 3, padding="causal", seed=0)
    arrays = cp.streaming(layer)._stage.arrays
    spec = cp.capture(layer).spec
    assert same_bits.tile_size(arrays, spec) == same_bits.TILES[0]
    convolved = type(arrays).convolved

    def uneven(self, data):
        output = convolved(self, data)
        output[..., 3:] = np.nextafter(output[..., 3:], np.float32(np.inf))
        return output

    monkeypatch.setattr(type(arrays), "convolved", uneven)
    assert same_bits.tile_size(arrays, spec) == 1


def test_other_execution():
    """A misspelled name is refused."""
    with pytest.raises(cp.InvalidValueError, match="execution must be one of fast, same-bits, got 'same_bits'"):
        cp.streaming(cp.Conv1d(1, 1, 1), execution="same_bits")
