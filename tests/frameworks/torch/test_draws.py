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


def built(name, policy, transposed, groups):
    """A layer after torch.manual_seed, and a random number after it."""
    torch.manual_seed(3)
    make = cp.ConvTranspose1d if transposed else cp.Conv1d
    choice = cp.Choice(name, value=0.5) if name == "constant" else name
    bias_init = "zeros" if name == "dirac" else None
    layer = make(4, 6, 3, groups=groups, policy=policy, weight_init=choice, bias_init=bias_init, bias=True, backend="torch")
    return layer.weight.detach().numpy(), layer.bias.detach().numpy(), torch.rand(1).item()


@pytest.mark.parametrize("policy", ["torch", "flax", "mindspore"])
@pytest.mark.parametrize("name", [name for name in INITS if name in cp.initializers()])
@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("groups", [1, 2])
def test_the_bits_are_those_of_arrays(monkeypatch, name, policy, transposed, groups):
    """For each built-in initializer, policies with other axis orders, both kinds of layers."""
    try:
        ours = built(name, policy, transposed, groups)
    except cp.ConvPolicyError:
        pytest.skip("the policy has no such layer")
    monkeypatch.setattr(policy_layer, "steps", lambda _request: None)
    for mine, theirs in zip(ours, built(name, policy, transposed, groups)):
        assert np.array_equal(mine, theirs)


@pytest.mark.parametrize("name", [name for name in INITS if name in cp.initializers()])
def test_what_is_recorded(name):
    """One call for each tensor; what is computed from several numbers or by a plugin is drawn as an array."""
    choice = cp.Choice(name, value=0.5) if name == "constant" else name
    request = cp.Conv1d(4, 4, 3, policy="mindspore@2.0", weight_init=choice, backend="torch", execution="auto")._request
    found = draws.steps(request)
    assert (None if found is None else found["weight"].method) == INITS[name]


def test_the_order_of_axes_is_recorded():
    """Flax draws (kernel, in, out), PyTorch (out, in, kernel); axes of one element have no order."""
    for policy, sizes, axes in (("flax", (4, 6, 3), (2, 1, 0)), ("torch", (4, 6, 3), ()), ("flax", (1, 1, 3), ())):
        layer = cp.Conv1d(*sizes, policy=policy, weight_init="normal", backend="torch", execution="auto")
        assert draws.steps(layer._request)["weight"].axes == axes


@pytest.mark.parametrize("change", [{"dtype": "float64"}, {"kernel_size": 4096}])
def test_what_is_not_recorded(change):
    """Other dtypes, large weights."""
    arguments = {"in_channels": 4, "out_channels": 4, "kernel_size": 3, "weight_init": "normal", **change}
    assert draws.steps(cp.Conv1d(**arguments, backend="torch", execution="auto")._request) is None
