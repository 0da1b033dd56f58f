"""Streams of Paddle's own layers: the axes NLC, its padding modes, weight normalisation, and gradients through steps."""

from __future__ import annotations

import numpy as np
import paddle
import pytest
from paddle import nn

import convpolicy as cp

RANDOM = np.random.default_rng(0)
LENGTH, CHUNKS = 17, (0, 5, 1, 8, 3)
ROUNDINGS = 64 * 2.0**-24  # of sums of fewer than 30 products of numbers around 1, computed twice
LAYERS = {
    "reflect": lambda: nn.Conv1D(2, 4, 3, padding=2, padding_mode="reflect"),
    "NLC": lambda: nn.Conv1D(2, 4, 3, stride=2, padding=[2, 1], data_format="NLC"),
    "NLC, replicate": lambda: nn.Conv1D(2, 4, 3, padding=2, padding_mode="replicate", data_format="NLC"),
    "SAME, whose dilation Paddle ignores": lambda: nn.Conv1D(2, 4, 3, padding="SAME", dilation=2),
    "weight normalisation": lambda: nn.utils.weight_norm(nn.Conv1D(2, 4, 3, groups=2)),
    "transposed": lambda: nn.Conv1DTranspose(2, 4, 5, stride=2, padding=1, groups=2),
    "transposed, NLC": lambda: nn.Conv1DTranspose(2, 4, 5, stride=2, padding=1, output_padding=1, data_format="NLC"),
}


def joined(streaming, x, axis):
    live, ends = streaming.start(x.shape[0]), np.cumsum(CHUNKS).tolist()
    parts = [x[:, start:end] if axis == 1 else x[..., start:end] for start, end in zip([0, *ends], ends)]
    outputs = [live(part) for part in parts]
    return paddle.concat([each for each in [*outputs, live.flush()] if each.shape[axis]], axis)


def same(a, b):
    assert a.shape == b.shape
    assert float((a - b).abs().max()) <= ROUNDINGS * max(1, float(b.abs().max()))


@pytest.mark.parametrize("name", LAYERS)
def test_chunks_give_the_whole_and_its_gradients(name):
    """Outputs, and the gradients of the input and of every parameter."""
    layer = LAYERS[name]()
    axis = 1 if layer._data_format == "NLC" else 2
    streaming, gradients = cp.streaming(layer), []
    numbers = RANDOM.standard_normal((2, LENGTH, 2) if axis == 1 else (2, 2, LENGTH)).astype(np.float32)
    factors = None
    for run in (layer, lambda x: joined(streaming, x, axis)):
        x = paddle.to_tensor(numbers, stop_gradient=False)
        output = run(x)
        factors = paddle.to_tensor(RANDOM.standard_normal(output.shape).astype(np.float32)) if factors is None else factors
        gradients.append([output, *paddle.grad([(output * factors).sum()], [x, *layer.parameters()])])
    for a, b in zip(*gradients):
        same(b, a)


def test_other_arrays_are_refused():
    """A NumPy array has to be converted."""
    streaming = cp.streaming(nn.Conv1D(2, 4, 3))
    with pytest.raises(
        cp.InvalidTypeError, match=r"chunk must be a paddle.Tensor, got ndarray of dtype float32; convert it first"
    ):
        streaming.step(np.zeros((1, 2, 3), np.float32), streaming.initial_state(1))
