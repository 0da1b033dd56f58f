"""Translations from and to torch against torch itself: `nn.init` read as what it draws, and pads that export."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import convpolicy as cp
from convpolicy.frameworks.torch.surroundings import FILLERS
from convpolicy.translation.distributions import TRUNCATED_STD, distribution_of, in_numbers
from convpolicy.translation.reading import Request

pytestmark = pytest.mark.needs("torch")
SIZES = {"in_channels": 16, "out_channels": 96, "kernel_size": 5, "stride": 1, "dilation": 1, "groups": 2}
CALLS = {
    "normal": {"mean": 0.5, "std": 0.2}, "uniform": {"a": -0.25, "b": 1.0}, "trunc_normal": {"mean": 0.5, "std": 0.5, "a": -0.5, "b": 1.5},
    "constant": {"val": 0.25}, "zeros": {}, "ones": {}, "xavier_normal": {"gain": 2.0}, "xavier_uniform": {"gain": 0.5},
    "kaiming_normal": {"mode": "fan_out", "nonlinearity": "relu"}, "kaiming_uniform": {"a": 0.5}, "orthogonal": {"gain": 3.0}, "dirac": {"groups": 2},
}  # fmt: skip


def moments(distribution):
    """Mean, standard deviation, smallest and largest possible value of a plain distribution."""
    p, kind = distribution.parameters, distribution.kind
    if kind == "constant":
        return p["value"], 0.0, p["value"], p["value"]
    if kind == "uniform":
        return (p["low"] + p["high"]) / 2, (p["high"] - p["low"]) / 12**0.5, p["low"], p["high"]
    if kind == "truncated_normal":
        assert (p["lower"], p["upper"]) == (-2.0, 2.0)
        return p["mean"], p["std"] * TRUNCATED_STD, p["mean"] - 2 * p["std"], p["mean"] + 2 * p["std"]
    return p["mean"], p["std"], -np.inf, np.inf


def read(name, arguments, **more):
    """The distribution that a call of ``nn.init`` is read as, in numbers."""
    named = FILLERS[name]
    policy = cp.policy("torch").evolve(weight_init=named.choice(**{**named.parameters, **arguments, **more}))
    return in_numbers(distribution_of(policy, "weight"), Request("torch", SIZES, policy))


def drawn(name, arguments):
    """What torch itself fills a weight with."""
    import torch

    torch.manual_seed(0)
    weight = torch.empty(96, 8, 5)
    getattr(torch.nn.init, f"{name}_")(weight, **arguments)
    return weight.numpy().astype(float).ravel()


def alike(distribution, sample):
    """Mean and standard deviation within five standard errors, and no value outside the bounds."""
    mean, std, low, high = moments(distribution)
    error = 5 * std / sample.size**0.5
    return bool(
        abs(sample.mean() - mean) <= error + 1e-7 and abs(sample.std() - std) <= error + 1e-7
        and low - 1e-6 <= sample.min() and sample.max() <= high + 1e-6
    )  # fmt: skip


@pytest.mark.parametrize("name", [name for name in CALLS if name not in ("orthogonal", "dirac")])
def test_nn_init_is_read_as_what_it_draws(name):
    """Every function of ``nn.init``, with arguments of its own and with none, against torch's own draw; another gain is noticed."""
    for arguments in (CALLS[name], CALLS[name] if name == "constant" else {}):
        assert alike(read(name, arguments), drawn(name, arguments)), (name, arguments)
    if "gain" in FILLERS[name].parameters:
        assert not alike(read(name, {"gain": 1.1}), drawn(name, {}))
    if "mode" in FILLERS[name].parameters:
        assert not alike(read(name, {"mode": "fan_in"}), drawn(name, {"mode": "fan_out"}))


def test_every_filler_is_torch_s_and_all_are_known():
    """The table has the functions of ``torch.nn.init`` that fill a tensor, with torch's own parameters and defaults."""
    import inspect

    import torch

    own = {name[:-1] for name in dir(torch.nn.init) if name.endswith("_") and not name.startswith("_")}
    assert own == {*FILLERS}
    for name, named in FILLERS.items():
        _tensor, *parameters = inspect.signature(getattr(torch.nn.init, f"{name}_")).parameters.values()
        theirs = {p.name: p.default for p in parameters if p.name != "generator"}
        ours = {key: inspect.Parameter.empty if (name, key) in (("constant", "val"), ("sparse", "sparsity")) else value for key, value in named.parameters.items()}  # fmt: skip
        assert theirs == ours, name


def test_a_translated_pad_exports_with_a_named_dim():
    """Where the effective kernel is at least the stride, any length between two bounds; and it computes what TensorFlow's SAME does."""
    import torch
    from torch.export import Dim, export

    length = Dim("length", min=16, max=4096)
    for kernel, stride, dilation in ((5, 2, 1), (10, 5, 1), (2, 3, 2), (2, 5, 1)):
        names: dict = {}
        call = f"nn.Conv1d(4, 6, {kernel}, stride={stride}, dilation={dilation})"
        exec(cp.translate(call, "mindspore", "torch"), names)
        layer = names["layer"].eval()
        module = layer
        if (kernel - 1) * dilation + 1 >= stride:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                module = export(layer, (torch.zeros(2, 4, 40),), dynamic_shapes=({2: length},)).module()
        for samples in (16, 17, 18, 19, 41):
            x = torch.randn(2, 4, samples)
            pads = cp.policy("mindspore").plan(kernel, stride, dilation, length=samples)
            padded = torch.nn.functional.pad(x, (pads.left, pads.right))
            assert torch.equal(module(x), layer[1](padded))
