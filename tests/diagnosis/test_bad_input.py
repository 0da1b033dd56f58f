"""Bad input to `why`: one sentence that says what came and where, before anything is tried."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.diagnosed import X, layer

import convpolicy as cp


def spoiled(place, number):
    """The input with one bad number."""
    x = X.copy()
    x[place] = number
    return x


def silent(data):
    """Return nothing."""


def broken(data):
    """A function that fails."""
    raise RuntimeError("no such device")


BAD = {
    "axes": (lambda: (layer(), layer(), X[0]), ValueError, "x must have shape (batch, channels, length) and not be empty, got (4, 21)"),
    "empty": (lambda: (layer(), layer(), X[:0]), ValueError, "and not be empty, got (0, 4, 21)"),
    "no numbers": (lambda: (layer(), layer(), X.astype(str)), TypeError, "x must be an array of real numbers, got dtype <U32"),
    "complex": (lambda: (layer(), layer(), X + 1j), TypeError, "got dtype complex64"),
    "ragged": (lambda: (layer(), layer(), [[1.0], [1.0, 2.0]]), TypeError, "x must be an array of real numbers, got list"),
    "channels": (lambda: (layer(), layer(), X[:, :3]), ValueError, "x must have shape (batch, 4, length) for a, got (2, 3, 21)"),
    "transposed": (lambda: (layer(), layer(), X.transpose(0, 2, 1)), ValueError, "got (2, 21, 4); pass x.transpose(0, 2, 1)."),
    "NaN": (lambda: (layer(), layer(), spoiled((1, 2, 3), np.nan)), ValueError, "got nan at batch 1, channel 2, position 3 (1 in total)"),
    "infinity": (lambda: (layer(), layer(), spoiled((0, 0, 0), np.inf)), ValueError, "x must contain finite numbers only, got inf at batch 0"),
    "NaN out": (lambda: (layer(), layer(padding_mode=cp.Choice("constant", value=np.nan)), X), ValueError,
                "the output of b must contain finite numbers only, got nan at batch 0, channel 0, position 0"),
    "in_channels": (lambda: (layer(), layer(in_channels=5), X), ValueError, "x must have shape (batch, 5, length) for b"),
    "out_channels": (lambda: (layer(), layer(out_channels=7), X), ValueError,
                     "a and b must have the same number of output channels, got 6 from a and an output of shape (2, 7, 21) from b"),
    "items": (lambda: (layer(), layer()(X)[:1], X), ValueError, "the output of b must have the 2 batch items of x, got 1"),
    "no layer": (lambda: (layer(), 3, X), TypeError, "got an object of class builtins.int"),
    "two outputs": (lambda: (layer()(X), layer()(X), X), TypeError, "a or b must be a layer that convpolicy.capture accepts, got none"),
    "silent": (lambda: (layer(), silent, X), TypeError, "the output of b must be an array of real numbers, got dtype object"),
    "broken": (lambda: (layer(), broken, X), ValueError, "b cannot be run on x of shape (2, 4, 21) and dtype float32: no such device"),
    "short": (lambda: (layer(padding=0), layer(padding=0), X[..., :3]), ValueError, "input of length 3 is too short"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_input(name):
    """One sentence, before any work, that says what came and where."""
    arguments, kind, says = BAD[name]
    with pytest.raises(cp.ConvPolicyError) as caught:
        cp.why(*arguments())
    assert isinstance(caught.value, kind)
    assert says in str(caught.value)
