"""Values drawn into the parameters are those that are drawn as arrays, bit for bit, with the random state after them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import convpolicy as cp
from convpolicy.frameworks.torch import draws, policy_layer

INITS = {  # initializer of weight and bias -> method of the weight, or None where arrays are drawn
    "normal": "normal", "he_uniform": "uniform", "xavier_normal": "normal", "lecun_normal": "normal", "zeros": "fill",
    "truncated_normal": "truncated_normal", "constant": "fill", "dirac": None, "orthogonal": None,
}  # fmt: skip


def built(name, policy, transposed=False):
    """A layer after torch.manual_seed, and a random number after it."""
    torch.manual_seed(3)
    make = cp.ConvTranspose1d if transposed else cp.Conv1d
    choice = cp.Choice(name, value=0.5) if name == "constant" else name
    layer = make(
        4, 6, 3, policy=policy, weight_init=choice, bias_init="zeros" if name == "dirac" else None, bias=True, backend="torch"
    )
    return layer.weight.detach().numpy(), layer.bias.detach().numpy(), torch.rand(1).item()


@pytest.mark.parametrize("policy", ["torch", "flax", "mindspore"])
@pytest.mark.parametrize("name", [name for name in INITS if name in cp.initializers()])
@pytest.mark.parametrize("transposed", [False, True])
def test_the_bits_are_those_of_arrays(monkeypatch, name, policy, transposed):
    """For each built-in initializer, policies with other axis orders, both kinds of layers."""
    try:
        ours = built(name, policy, transposed)
    except cp.ConvPolicyError:
        pytest.skip("the policy has no such layer")
    monkeypatch.setattr(policy_layer, "steps", lambda _request: None)
    for mine, theirs in zip(ours, built(name, policy, transposed)):
        assert np.array_equal(mine, theirs)


@pytest.mark.parametrize("name", [name for name in INITS if name in cp.initializers()])
def test_what_is_recorded(name):
    """One call for each tensor; what is computed from several numbers, in another order, or by a plugin, is drawn as an array."""
    choice = cp.Choice(name, value=0.5) if name == "constant" else name
    request = cp.Conv1d(4, 4, 3, policy="mindspore@2.0", weight_init=choice, backend="torch", execution="auto")._request
    found = draws.steps(request)
    assert (None if found is None else found["weight"].method) == INITS[name]


@pytest.mark.parametrize("change", [{"policy": "flax"}, {"dtype": "float64"}, {"kernel_size": 4096}])
def test_what_is_not_recorded(change):
    """Weights in another axis order, other dtypes, large weights."""
    arguments = {"in_channels": 4, "out_channels": 4, "kernel_size": 3, "weight_init": "normal", **change}
    assert draws.steps(cp.Conv1d(**arguments, backend="torch", execution="auto")._request) is None
