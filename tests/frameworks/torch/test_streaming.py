"""Streaming of torch's layers: gradients, few outputs, learned padding, wrappers, dtypes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import transformers
from helpers import streamed_models
from helpers.chunked import outputs_of
from torch import nn

import convpolicy as cp
from convpolicy.frameworks.torch.execution import rows

pytestmark = pytest.mark.usefixtures("one_thread")
LENGTH = 60


def streamed(layer, x, cuts, **options):
    """The outputs for a chunking, joined."""
    return streamed_models.streamed(cp.streaming(layer, **options), x, list(cuts))[0]


CUTS = ([], [1], [3, 3, 10, 31, 58], range(1, LENGTH))
LAYERS = [
    lambda: cp.Conv1d(4, 6, 7, padding="causal", backend="torch", dtype="float64"),
    lambda: nn.Conv1d(4, 6, 5, stride=2, padding=2, padding_mode="reflect", dtype=torch.float64),
    lambda: nn.Conv1d(4, 4, 4, padding="same", groups=4, dtype=torch.float64),
    lambda: nn.ConvTranspose1d(4, 6, 6, stride=3, padding=1, output_padding=2, dtype=torch.float64),
    lambda: cp.ConvTranspose1d(4, 6, 6, 3, padding="encodec_causal", policy="torch", backend="torch", dtype="float64"),
    lambda: nn.utils.parametrizations.weight_norm(nn.Conv1d(4, 6, 3, padding=1, dtype=torch.float64)),
    lambda: cp.Conv1d(
        4, 6, 5, padding=2, padding_mode=cp.Choice("constant", value=0.5, learned=True), backend="torch", dtype="float64"
    ),
]
BOUND = 1e-12  # float64, at most 28 terms of about 1


@pytest.mark.parametrize("build", LAYERS)
def test_outputs_and_gradients_are_those_of_the_whole(build):
    """Through any steps and the flush, of the input and of every parameter."""
    torch.manual_seed(0)
    layer = build()
    x = torch.randn(2, 4, LENGTH, dtype=torch.float64, requires_grad=True)
    tensors = [x, *layer.parameters()]
    whole = layer(x)
    upstream = torch.randn_like(whole)
    expected = torch.autograd.grad(whole, tensors, upstream)
    for cuts in CUTS:
        outputs = streamed(layer, x, cuts)
        assert outputs.shape == whole.shape
        assert (outputs - whole).abs().max() <= BOUND
        for ours, theirs in zip(torch.autograd.grad(outputs, tensors, upstream), expected):
            assert (ours - theirs).abs().max() <= BOUND * LENGTH


@pytest.mark.parametrize("sizes", [(64, 64, 7, 1, 1), (64, 96, 4, 2, 1), (64, 64, 5, 1, 3)])
def test_few_outputs_are_a_product_over_windows(sizes, monkeypatch):
    """For 2 to 15 outputs of a large layer; the outputs are those of torch's convolution up to rounding."""
    inputs, outputs, kernel, stride, dilation = sizes
    layer = cp.Conv1d(inputs, outputs, kernel, stride, dilation=dilation, padding="causal", backend="torch", seed=0)
    x, calls = torch.randn(1, inputs, LENGTH), []
    monkeypatch.setattr(
        rows, "convolved", lambda data, *more, own=rows.convolved: calls.append(data.shape[2]) or own(data, *more)
    )
    with torch.no_grad():
        ours, theirs = streamed(layer, x, range(4 * stride, LENGTH, 4 * stride)), layer(x)
    assert len(calls) >= LENGTH // (4 * stride) - 1
    terms = inputs * kernel
    assert (ours - theirs).abs().max() <= 2 * terms * torch.finfo(torch.float32).eps * (
        x.abs().max() * layer.weight.abs().max() * terms
    )


@pytest.mark.parametrize(
    "layer", [(64, 64, 7, {}), (3, 2, 6, {"stride": 3, "dilation": 2}), (16, 16, 5, {"groups": 16}), (4, 5, 1, {})]
)
def test_same_bits(layer):
    """Every chunking has the bits of one chunk, and each row those of its batch; without it, the bits of the largest layer change."""
    inputs, outputs, kernel, more = layer
    layer = cp.Conv1d(inputs, outputs, kernel, **more, padding="causal", backend="torch", seed=0)
    x = torch.randn(2, inputs, LENGTH)
    with torch.no_grad():
        whole = streamed(layer, x, [], execution="same-bits")
        for cuts in CUTS:
            assert torch.equal(streamed(layer, x, cuts, execution="same-bits"), whole)
        for start in range(1, 9):  # also where the number of rows of a product is a multiple of 4 by itself
            assert torch.equal(streamed(layer, x[1:], [start], execution="same-bits"), whole[1:])
        if inputs == 64:
            assert any(not torch.equal(streamed(layer, x, cuts), streamed(layer, x, [])) for cuts in CUTS)


def test_modules_of_packages_are_streamed_with_their_padding():
    """EnCodec's modules pad by the length of the whole input; the outputs are those of the module."""
    config = transformers.EncodecConfig(num_filters=4, hidden_size=8, norm_type="weight_norm")
    module = transformers.models.encodec.modeling_encodec
    torch.manual_seed(0)
    x = torch.randn(2, 4, LENGTH)
    for layer in (module.EncodecConv1d(config, 4, 6, 8, stride=4), module.EncodecConvTranspose1d(config, 4, 6, 8, stride=4)):
        with torch.no_grad():
            whole = layer(x)
            for cuts in CUTS:
                torch.testing.assert_close(streamed(layer, x, cuts), whole, rtol=0, atol=1e-5)


def test_a_capture_with_a_learned_constant():
    """It is streamed in NumPy, with the constant as it was when the layer was captured."""
    mode = (cp.Choice("constant", value=np.array([0.5, -2.0]), learned=True), "reflect")
    layer = cp.Conv1d(2, 3, 5, padding=2, padding_mode=mode, backend="torch", dtype="float64")
    with torch.no_grad():
        layer.padding_value.copy_(torch.tensor([3.0, 4.0]))
    captured, x = cp.capture(layer), torch.randn(2, 2, LENGTH, dtype=torch.float64)
    ours = outputs_of(cp.streaming(captured), np.split(x.numpy(), [1, 3, 17], axis=-1))
    assert np.abs(ours - layer(x).detach().numpy()).max() <= BOUND


@pytest.mark.parametrize(
    "build", [lambda: nn.Conv1d(2, 3, 4), lambda: nn.Sequential(nn.Conv1d(2, 3, 4), nn.Tanh()), lambda: [nn.Conv1d(2, 3, 4)] * 1]
)
def test_a_chunk_of_another_dtype(build):
    """It is refused before any work, also by a model; under autocast, the layer converts it."""
    streaming = cp.streaming(build())
    state = streaming.initial_state()
    message = (
        r"the dtype and device of the chunk, Tensor of dtype torch.bfloat16 on cpu, got Tensor of dtype torch.float32 on cpu in"
    )
    chunk = torch.randn(1, 2, 9, dtype=torch.bfloat16)
    with pytest.raises(cp.InvalidTypeError, match=message):
        streaming.step(chunk, state)
    with torch.autocast("cpu", torch.bfloat16):
        assert streaming.step(chunk, state)[0].shape == (1, 3, 6)


@pytest.mark.parametrize("samples", [1, 3, 4])
@pytest.mark.parametrize("sizes", [(8, 8, 5, 1, 1, 8), (8, 8, 4, 2, 3, 8), (12, 4, 5, 1, 1, 4)])
def test_few_outputs_of_depthwise_layers_are_products(sizes, samples):
    """For up to 4 outputs; outputs and gradients are those of torch's convolution."""
    inputs, outputs, kernel, stride, dilation, groups = sizes
    for bias, batch in ((True, 1), (False, 2)):
        layer = nn.Conv1d(inputs, outputs, kernel, stride, dilation=dilation, groups=groups, bias=bias, dtype=torch.float64)
        data = torch.randn(
            batch, inputs, (samples - 1) * stride + dilation * (kernel - 1) + 1, dtype=torch.float64, requires_grad=True
        )
        ours = rows.convolved(data, layer.weight, layer.bias, stride, dilation)
        theirs = layer(data)
        upstream = torch.randn_like(theirs)
        tensors = [data, *layer.parameters()]
        pairs = zip(torch.autograd.grad(ours, tensors, upstream), torch.autograd.grad(theirs, tensors, upstream))
        for one, other in ((ours, theirs), *pairs):
            assert one.shape == other.shape
            assert (one - other).abs().max() <= BOUND


def test_states_are_moved_and_saved(tmp_path):
    """A state is a dictionary of tensors, in the dtype of the layer."""
    layer = nn.Conv1d(4, 6, 5, padding=2, padding_mode="replicate", dtype=torch.float64)
    streaming = cp.streaming(layer)
    _output, state = streaming.step(torch.randn(3, 4, 11, dtype=torch.float64), streaming.initial_state(3))
    torch.save(state, tmp_path / "state.pt")
    loaded = torch.load(tmp_path / "state.pt", weights_only=True)
    rest = torch.randn(3, 4, 8, dtype=torch.float64)
    with torch.no_grad():
        one = streaming.step(rest[1:2], {name: tensor[1:2] for name, tensor in loaded.items()})[0]
        assert torch.equal(one, streaming.step(rest, state)[0][1:2])
    assert {tensor.dtype for tensor in state.values()} == {torch.float64, torch.int64}
    assert np.asarray(state["seen"]).tolist() == [11] * 3
