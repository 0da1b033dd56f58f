"""Streams of MindSpore's layers in PyNative and in graph mode, compiled steps, float64, and gradients through steps."""

from __future__ import annotations

import mindspore
import numpy as np
import pytest
from mindspore import Tensor, mint, nn, ops

import convpolicy as cp

pytestmark = pytest.mark.usefixtures("scratch")
RANDOM = np.random.default_rng(0)
LENGTH, CHUNK = 16, 4
ROUNDINGS = {
    "float32": 64 * 2.0**-24,
    "float64": 64 * 2.0**-53,
}  # of sums of fewer than 30 products of numbers around 1, computed twice
LAYERS = {
    "causal": {"padding": "causal"},
    "reflect": {"padding": (2, 2), "padding_mode": "reflect"},
    "learned": {"padding": (2, 1), "padding_mode": cp.Choice("constant", value=0.5, learned=True)},
    "groups": {"padding": (2, 1), "groups": 2},
    "transposed": {"padding": (1, 2), "transposed": True, "groups": 2},
}
MODES = pytest.mark.parametrize("mode", [mindspore.PYNATIVE_MODE, mindspore.GRAPH_MODE], ids=["pynative", "graph"])


def built(padding, transposed=False, **more):
    """A layer of 2 → 4 channels, kernel 5, stride 2."""
    kind = cp.ConvTranspose1d if transposed else cp.Conv1d
    return kind(2, 4, 5, 2, padding=padding, **{"policy": "torch", "backend": "mindspore", "seed": 0} | more)


def data(dtype="float32"):
    return Tensor(RANDOM.standard_normal((2, 2, LENGTH)).astype(dtype))


def joined(streaming, step, x):
    state, outputs = streaming.initial_state(x.shape[0]), []
    for start in range(0, x.shape[2], CHUNK):
        output, state = step(x[..., start : start + CHUNK], state)
        outputs.append(output)
    return ops.concat([output for output in [*outputs, streaming.flush(state)] if output.shape[2]], 2)


def same(a, b):
    assert (a.shape, a.dtype) == (b.shape, b.dtype)
    a, b = a.asnumpy(), b.asnumpy()
    assert np.abs(a - b).max() <= ROUNDINGS[str(a.dtype)] * max(1, np.abs(b).max())


@pytest.mark.grid(every=3)
@MODES
@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("dtype", ROUNDINGS)
def test_chunks_give_the_whole(name, dtype, mode):
    """In both modes of MindSpore, also for float64, of which MindSpore has no convolution on the CPU."""
    mindspore.set_context(mode=mode)
    layer, x = built(**LAYERS[name], dtype=dtype), data(dtype)
    streaming = cp.streaming(layer)
    same(joined(streaming, streaming.step, x), layer(x))


@pytest.mark.parametrize("name", ["causal", "reflect", "transposed"])
def test_a_compiled_step(name, monkeypatch):
    """``mindspore.jit`` compiles a step by tracing it, once for each length of chunk and state."""
    # it reads the source of every caller for its debug log, and pytest-xdist's own frame has none
    monkeypatch.setattr("mindspore.graph.jit_trace._get_caller_lines", lambda: ([__file__], [1]))
    layer, x = built(**LAYERS[name]), data()
    streaming = cp.streaming(layer)

    @mindspore.jit(capture_mode="trace")
    def step(chunk, state):
        return streaming.step(chunk, state)

    same(joined(streaming, step, x), layer(x))


@pytest.mark.parametrize("name", ["reflect", "learned", "transposed"])
def test_gradients_through_steps(name):
    """Those of the input and of every parameter are those of the layer on the whole input."""
    layer, x = built(**LAYERS[name]), data()
    streaming, factors = cp.streaming(layer), Tensor(RANDOM.standard_normal(layer(x).shape).astype(np.float32))
    gradients = [
        mindspore.grad(lambda x, run=run: (run(x) * factors).sum(), grad_position=0, weights=list(layer.trainable_params()))(x)
        for run in (layer, lambda x: joined(streaming, streaming.step, x))
    ]
    for whole, steps in zip(*((to_input, *to_weights) for to_input, to_weights in gradients)):
        same(steps, whole)


def test_mindspores_own_layers():
    """``mint.nn.Conv1d``, whose weight has three axes and which has no implementation on the CPU, is streamed as ``nn.Conv1d``."""
    own, x = nn.Conv1d(2, 4, 3, pad_mode="pad", padding=2, has_bias=True), data()
    streaming = cp.streaming(own)
    whole = own(x)
    same(joined(streaming, streaming.step, x), whole)
    other = mint.nn.Conv1d(2, 4, 3, padding=2)
    other.weight.set_data(own.weight[:, :, 0])
    other.bias.set_data(own.bias)
    streaming = cp.streaming(other)
    same(joined(streaming, streaming.step, x), whole)


def test_other_arrays_are_refused():
    """A NumPy array has to be converted."""
    streaming = cp.streaming(built("causal"))
    with pytest.raises(
        cp.InvalidTypeError, match=r"chunk must be a mindspore.Tensor, got ndarray of dtype float32; convert it first"
    ):
        streaming.step(np.zeros((1, 2, 3), np.float32), streaming.initial_state(1))
