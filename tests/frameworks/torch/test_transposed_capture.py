"""Which transposed layers of torch are captured, with what weights, and which are refused with a reason."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from torch import nn

import convpolicy as cp


def built(options, **more):
    """A layer of 4 → 6 channels, kernel 4, stride 2."""
    return cp.ConvTranspose1d(4, 6, 4, 2, backend="torch", **options, **more)


def random(*shape, dtype=torch.float32):
    """Random data, the same at every call."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0), dtype=dtype)


class Doubled(nn.ConvTranspose1d):
    """Another function under the same name."""

    def forward(self, data, output_size=None):
        """Double it."""
        return 2 * super().forward(data, output_size)


def changed(**values):
    """A torch.nn.ConvTranspose1d whose attributes were written."""
    layer = nn.ConvTranspose1d(4, 6, 4, 2, 1)
    for name, value in values.items():
        setattr(layer, name, value)
    return layer


def hooked(method):
    """A layer with a hook."""
    layer = nn.ConvTranspose1d(4, 6, 4)
    getattr(layer, method)(lambda *_: None)
    return layer


def rewritten():
    """A layer of convpolicy whose stride was changed."""
    layer = built({"padding": "causal"})
    layer.stride = (3,)
    return layer


def spectral():
    """A layer whose weight changes in every call while it trains."""
    return nn.utils.parametrizations.spectral_norm(nn.ConvTranspose1d(4, 6, 4))


UNCAPTURED = {
    "own class": (lambda: Doubled(4, 6, 4), "its class overrides forward; capture a plain torch.nn.ConvTranspose1d"),
    "forward hook": (lambda: hooked("register_forward_hook"), "a forward hook may change its output"),
    "pre-hook": (lambda: hooked("register_forward_pre_hook"), "a forward pre-hook may change its input"),
    "replaced forward": (lambda: changed(forward=lambda x: x), "its forward was replaced"),
    "lazy": (lambda: nn.LazyConvTranspose1d(6, 4), "its in_channels are not known before the first call"),
    "spectral norm": (spectral, "spectral normalisation changes its weight at every call while training"),
    "meta": (lambda: nn.ConvTranspose1d(4, 6, 4, device="meta"), "it is on the meta device"),
    "mode": (lambda: changed(padding_mode="reflect"), "its forward refuses its padding_mode 'reflect'"),
    "output_padding": (lambda: changed(output_padding=(5,)), r"output_padding must be below max\(stride, dilation\) = 2, got 5"),
    "negative padding": (lambda: changed(padding=(-1,)), "padding must be at least 0, got -1"),
    "two paddings": (lambda: changed(padding=(1, 2)), r"its forward cannot use its padding \(1, 2\)"),
    "other channels": (lambda: changed(in_channels=8), "its sizes need"),
    "changed stride": (rewritten, "its sizes or its padding were changed after it was built"),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("make", "says"), UNCAPTURED.values(), ids=UNCAPTURED)
def test_what_is_not_captured(make, says):
    """A transposed layer that computes something else is refused with the reason, by `capture` and in a model's report."""
    layer = make()
    with pytest.raises(cp.ConvPolicyError, match=says):
        cp.capture(layer)
    report = cp.port_model(nn.Sequential(layer, nn.ConvTranspose1d(4, 4, 2)), to="numpy")
    assert list(report.layers) == ["1"]
    assert [row.path for row in report.refused] == ["0"]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "norm",
    [
        nn.utils.weight_norm,
        nn.utils.parametrizations.weight_norm,
        lambda layer: nn.utils.spectral_norm(layer).eval(),
        lambda layer: nn.utils.parametrizations.spectral_norm(layer).eval(),
        lambda layer: nn.utils.prune.l1_unstructured(layer, "weight", 0.5),
    ],
)
@pytest.mark.parametrize("padding", [1, "causal"])
def test_effective_weights_are_captured(norm, padding):
    """Weight normalisation, spectral normalisation and pruning: the weights that the next call uses."""
    layer, data = norm(built({"padding": padding}, seed=0)), random(2, 4, 9)
    expected = layer(data)
    torch.testing.assert_close(cp.capture(layer).build("torch")(data), expected, rtol=1e-5, atol=1e-6)


def test_a_whole_model():
    """`port_model` lists and builds both kinds of layers of a model under their paths, and writes their names for a checkpoint."""
    model = nn.Sequential(
        nn.Conv1d(4, 8, 4, 2), nn.ModuleDict({"up": built({"padding": (0, 2)})})["up"], nn.ConvTranspose1d(6, 2, 2)
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model[1] = cp.ConvTranspose1d(8, 6, 4, 2, "causal", backend="torch", seed=1)
        ported = cp.port_model(model, to="numpy")
    assert list(ported.layers) == ["0", "1", "2"]
    data = random(2, 4, 21)
    values = data.numpy()
    for name in ported.layers:
        values = ported.layers[name](values)
    np.testing.assert_allclose(values, model(data).detach().numpy(), rtol=1e-4, atol=1e-5)
