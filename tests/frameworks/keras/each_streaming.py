"""Streams of Keras's own layers, which convpolicy did not build, and of the subclasses, on one framework.

`test_each_backend.py` runs this file in a process for each backend.
"""

from __future__ import annotations

import keras
import numpy as np
import pytest
from helpers.keras_layers import NAME, RUNS

import convpolicy as cp

pytestmark = pytest.mark.filterwarnings("ignore:You might experience inconsistencies:UserWarning")
RANDOM = np.random.default_rng(0)
LENGTH, CHUNKS = 17, (0, 5, 1, 8, 3)
ROUNDINGS = 64 * 2.0**-24  # of sums of fewer than 30 products of numbers around 1, computed twice
L = keras.layers
OWN = {
    "causal": lambda: L.Conv1D(4, 3, padding="causal", dilation_rate=2),
    "strided": lambda: L.Conv1D(4, 3, strides=2, groups=2),
    "same": lambda: L.Conv1D(4, 3, padding="same"),
    "channels first": lambda: L.Conv1D(4, 3, strides=2, data_format="channels_first"),
    "channels first, same": lambda: L.Conv1D(4, 5, padding="same", data_format="channels_first"),
    "depthwise": lambda: L.DepthwiseConv1D(3, strides=2, depth_multiplier=2, padding="valid"),
    "depthwise, channels first": lambda: L.DepthwiseConv1D(3, data_format="channels_first", use_bias=False),
    "transposed": lambda: L.Conv1DTranspose(4, 5, strides=2),
    "transposed, same": lambda: L.Conv1DTranspose(4, 5, strides=2, padding="same", use_bias=False),
    "transposed, channels first": lambda: L.Conv1DTranspose(4, 3, strides=2, data_format="channels_first"),
    "padded by a layer before": lambda: keras.Sequential([L.ZeroPadding1D((3, 1)), L.Conv1D(4, 5)]),
    "cut by a layer after": lambda: keras.Sequential([L.Conv1DTranspose(4, 5, strides=2), L.Cropping1D((1, 2))]),
}
BUILT = {
    "stride and dilation": lambda: cp.Conv1d(
        2, 4, 3, 2, padding=(2, 2), dilation=3, padding_mode="reflect", backend=NAME, seed=0
    ),
    "learned": lambda: cp.Conv1d(
        2, 4, 3, padding=(2, 1), padding_mode=cp.Choice("constant", value=0.5, learned=True), backend=NAME, seed=0
    ),
    "groups": lambda: cp.ConvTranspose1d(2, 4, 5, 2, padding=(2, 1), groups=2, backend=NAME, seed=0),
}


def filled(layer):
    """A layer with random weights, biases included, and an input for it."""
    axes = getattr(layer.layers[0] if hasattr(layer, "layers") else layer, "data_format", "channels_last")
    shape = (2, 2, LENGTH) if axes == "channels_first" else (2, LENGTH, 2)
    if not layer.built:
        layer.build(shape)
    layer.set_weights([RANDOM.standard_normal(weight.shape) for weight in layer.get_weights()])
    return layer, RANDOM.standard_normal(shape).astype(np.float32), 2 if axes == "channels_first" else 1


def whole_of(layer, x, axis):
    """The outputs of a layer. TensorFlow computes only channels last on the CPU: the same layer of NumPy stands in for others."""
    if axis == 2 and RUNS == "tensorflow":
        return cp.capture(layer).build("numpy")(x)
    return keras.ops.convert_to_numpy(layer(x))


@pytest.mark.grid(every=2)
@pytest.mark.parametrize("name", [*OWN, *BUILT])
def test_chunks_give_the_whole(name):
    """For chunks of tensors, and for chunks of NumPy arrays."""
    layer, x, axis = filled((OWN | BUILT)[name]())
    streaming, whole = cp.streaming(layer), whole_of(layer, x, axis)
    for convert in (keras.ops.convert_to_tensor, np.asarray):
        live = streaming.start(2)
        outputs = [live(convert(chunk)) for chunk in np.split(x, np.cumsum(CHUNKS)[:-1], axis)]
        joined = np.concatenate([keras.ops.convert_to_numpy(output) for output in [*outputs, live.flush()]], axis)
        assert joined.shape == whole.shape
        assert np.abs(joined - whole).max() <= ROUNDINGS * np.abs(whole).max()


def test_a_state_has_no_view_of_a_chunk():
    """A NumPy chunk may be written again."""
    layer, x, _axis = filled(L.Conv1D(4, 5))
    streaming, chunk = cp.streaming(layer), x[:, :4].copy()
    _output, state = streaming.step(chunk, streaming.initial_state(2))
    chunk[...] = 99
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(state["pending"]), x[:, :4])


def test_refusals():
    """An activation, and a chunk of another dtype, whose title is in the message."""
    layer, x, _axis = filled(L.Conv1D(4, 5, activation="relu"))
    with pytest.raises(cp.InvalidValueError, match="it applies the activation 'relu'"):
        cp.streaming(layer)
    streaming = cp.streaming(filled(L.Conv1D(4, 5))[0])
    with pytest.raises(cp.InvalidTypeError, match=r"tensor of dtype float32, got ndarray of dtype float64; convert it first"):
        streaming.step(x.astype(np.float64), streaming.initial_state(2))
