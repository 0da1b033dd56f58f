"""Whole models with `execution="same-bits"`: every chunking has the bits of one chunk."""

from __future__ import annotations

import pytest
import torch
from helpers.streamed_models import MODELS, bound, built, data, old_weight_norm, streamed, temporal_network
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import convpolicy as cp
from convpolicy.frameworks.torch.chunks import alike, modules, pointwise
from convpolicy.frameworks.torch.chunks.forms import Form

pytestmark = pytest.mark.usefixtures("one_thread")
LENGTH = 30
NAMES = ("tcn", "wavenet", "unet", "lstm", "gru", "functions")
DRAWN = {name: built(name, torch.float32) for name in NAMES}


def assert_same_bits(streaming, x, cuts_list):
    """Each chunking has the bits of one chunk."""
    with torch.no_grad():
        whole = streamed(streaming, x, [])[0]
        for cuts in cuts_list:
            assert torch.equal(streamed(streaming, x, cuts)[0], whole), cuts


@pytest.mark.parametrize("name", NAMES)
def test_random_chunks_have_the_bits_of_one(name):
    """Also a row alone has the bits that it has in a batch; the outputs are those of the model up to rounding."""
    model, x = DRAWN[name], data(2, 3, LENGTH, torch.float32)
    streaming = cp.streaming(model, execution="same-bits")
    with torch.no_grad():
        whole = streamed(streaming, x, [])[0]
        assert float((whole - model(x)).abs().max()) <= bound(model, whole)

    @settings(max_examples=6, deadline=None, derandomize=True)
    @given(st.lists(st.integers(0, LENGTH), max_size=8).map(sorted))
    def equal(cuts):
        with torch.no_grad():
            assert torch.equal(streamed(streaming, x, cuts)[0], whole)
            assert torch.equal(streamed(streaming, x[1:], cuts)[0], whole[1:])

    equal()


def test_lists_of_layers_and_models():
    """A list keeps the bits, too."""
    torch.manual_seed(0)
    row = [
        nn.Conv1d(1, 3, 4, 2),
        temporal_network(old_weight_norm).eval(),
        nn.Sequential(nn.Conv1d(6, 64, 5), nn.SiLU()),
        nn.ConvTranspose1d(64, 2, 4, 2),
    ]
    x = data(1, 1, 90, torch.float32)
    assert_same_bits(cp.streaming(row, execution="same-bits"), x, ([1], list(range(3, 90, 5)), [40, 41, 88]))


class Wide(nn.Module):
    """Functions of so many channels that torch divides them among threads, and of an odd number."""

    def __init__(self, channels):
        super().__init__()
        self.conv, self.linear, self.norm = nn.Conv1d(1, channels, 3), nn.Linear(channels, 5), nn.LayerNorm(channels)

    def forward(self, x):
        return self.linear(self.norm(torch.sigmoid(self.conv(x)).transpose(1, 2))).transpose(1, 2).softmax(1)


@pytest.fixture
def two_threads():
    """Two threads of torch, as one test needs them."""
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(1)


@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize(("channels", "tile"), [(7, 64), (1024, 32), (601, 1)])
def test_the_number_of_samples_of_a_call(channels, tile):
    """It fills vectors, and is small enough for one thread; otherwise each sample is computed alone."""
    torch.manual_seed(0)
    model, x = Wide(channels), data(1, 1, 40, torch.float32)
    streaming = cp.streaming(model, execution="same-bits")
    calls = [item.step.call for item in streaming._stage._items if isinstance(getattr(item.step, "call", None), alike.Tiled)]
    assert calls[0]._tile == tile
    assert_same_bits(streaming, x, ([1, 2, 17], [39]))


def test_gradients():
    """They flow through the calls of one shape."""
    model, x = built("lstm"), data(2, 3, 12).requires_grad_()
    upstream = torch.randn_like(model(x))
    tensors = [x, *model.parameters()]
    ours = torch.autograd.grad(streamed(cp.streaming(model, execution="same-bits"), x, [5])[0], tensors, upstream)
    for one, other in zip(ours, torch.autograd.grad(model(x), tensors, upstream)):
        assert float((one - other).abs().max()) <= bound(model, other)


# -- wrong streams are rejected ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "place", "attribute", "wrong"),
    [
        ("wavenet", pointwise, "is_exact", lambda *_: True),  # sigmoid
        ("gru", modules, "FORMS", {"fast": Form, "same-bits": Form}),
        ("lstm", alike, "_is_even", lambda *_: True),  # the rows of a matrix product
    ],
)
def test_wrong_calls(monkeypatch, name, place, attribute, wrong):
    """Functions that run on whole chunks, and recurrent layers and products of rows whose place matters, are noticed."""
    monkeypatch.setattr(place, attribute, wrong)
    streaming, x = cp.streaming(DRAWN[name], execution="same-bits"), data(2, 3, LENGTH, torch.float32)
    with pytest.raises(AssertionError):
        assert_same_bits(streaming, x, ([1], list(range(1, LENGTH)), [7, 19]))


def test_models_are_all_covered():
    """Each model of the helper has the same bits, or is a variant of one that has."""
    assert {name.partition(",")[0] for name in MODELS} == set(NAMES)
