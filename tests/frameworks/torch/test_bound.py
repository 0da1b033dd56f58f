"""The bounds on the difference between two implementations: the one that needs no convolution is never below the other."""

from __future__ import annotations

import pytest
import torch

import convpolicy as cp
from convpolicy.frameworks.torch.execution.bound import bound_of, bound_of_channels
from convpolicy.frameworks.torch.execution.lowering import Work

LAYERS = {
    "plain": (cp.Conv1d, (6, 4, 5), {}),
    "strided, dilated, grouped": (cp.Conv1d, (6, 4, 3), {"stride": 2, "dilation": 2, "groups": 2}),
    "pads larger than the input": (cp.Conv1d, (6, 4, 5), {"padding": 2, "padding_mode": cp.Choice("constant", value=50.0)}),
    "pads that are sums": (cp.Conv1d, (6, 4, 5), {"padding": 2, "padding_mode": "odd"}),
    "no bias": (cp.Conv1d, (6, 4, 5), {"bias": False}),
    "transposed": (cp.ConvTranspose1d, (6, 4, 5), {"stride": 3, "padding": 1}),
    "transposed, grouped": (cp.ConvTranspose1d, (6, 4, 4), {"stride": 2, "dilation": 2, "groups": 2}),
}


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
@pytest.mark.parametrize("label", LAYERS)
def test_the_quick_bound_is_above_the_other(label, dtype):
    """For every output; samples of one size make both equal where a window contains no zeros, so a smaller one would be seen."""
    build, sizes, options = LAYERS[label]
    layer = build(*sizes, **options, backend="torch", execution="auto", seed=0).to(getattr(torch, dtype))
    data = torch.randn(2, 6, 19, generator=torch.Generator().manual_seed(1)).sign().to(layer.weight.dtype)
    request = layer._request
    work = Work(request.plan(19), request.spec.groups, layer._pad_by)
    with torch.no_grad():
        arguments = data, layer.weight, layer.bias, work, request.spec
        exact, quick = bound_of(*arguments), bound_of_channels(*arguments)
    assert quick.shape == (4, 1)
    assert (quick.float() * (1 + 1e-5) >= exact.float()).all()
    assert quick.max() < 20 * exact.max()
