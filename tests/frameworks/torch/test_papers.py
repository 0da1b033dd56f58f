"""Weight normalisation, cuts and dropped outputs on the real frameworks."""

from __future__ import annotations

import copy
import json

import numpy as np
import pytest
import torch
from helpers.differential import same_within
from torch.nn.utils import parametrize
from torch.nn.utils.parametrizations import weight_norm

import convpolicy as cp
from convpolicy import reference
from convpolicy.comparison import paper_text

BACKENDS = ("numpy", "torch", "mindspore")
PAPERS = [policy.name for policy in paper_text.papers()]
MODES = ["zeros", cp.Choice("constant", value=1.5), *(cp.Choice(m, overflow="periodic") for m in ("reflect", "symmetric", "circular")), "replicate"]  # fmt: skip


@pytest.mark.parametrize("name", PAPERS)
def test_every_paper_runs_everywhere(name):
    """The layers of each paper, with few channels, compute the float64 reference on all three backends, and from equal weights."""
    policy, paper = cp.policy(name), cp.policy(name).paper
    for layer in dict(paper.layers):
        arguments = paper.layer(layer)
        channels = 4 if arguments.get("groups", 1) > 1 else 3
        arguments |= {"in_channels": channels, "out_channels": channels, "groups": min(arguments.get("groups", 1), 4)}
        wanted = paper_text.of_layer(policy, paper, layer)
        sizes = paper.sizes(layer)
        window = (sizes["kernel_size"] - 1) * sizes["dilation"] + 1
        if window > 600:
            continue
        for length in {1, 9, window + 2 * sizes["stride"] + 1}:
            data = np.random.default_rng(length).standard_normal((1, channels, length)).astype(np.float32)
            weights = []
            for backend in BACKENDS:
                part = cp.backends()[backend]
                built = cp.Conv1d(**arguments, policy=policy, backend=backend, seed=2)
                found = part.parameters(built)
                weights.append(found["weight"])
                try:
                    plan = wanted.plan(**sizes, length=length)
                except cp.ConvPolicyError:
                    plan = None
                if plan is None or not plan.length_out:
                    with pytest.raises((ValueError, RuntimeError)):
                        part.run(built, data)
                    continue
                mode = wanted.padding_mode
                judged = reference.conv1d(
                    data, found["weight"], found["bias"], left=plan.left, right=plan.right, mode=mode.name, **dict(mode.params),
                    stride=plan.stride, dilation=plan.dilation, groups=arguments["groups"],
                )  # fmt: skip
                same_within(judged.output, part.run(built, data), judged, "float32", (layer, backend, length))
            rounding = 0 if wanted.weight_norm is None else norm_rounding(weights[0])
            assert np.array_equal(weights[0], weights[2])
            assert (np.abs(weights[0] - weights[1]) <= rounding * np.abs(weights[0])).all()


def norm_rounding(weight):
    """Relative error of g · v / ‖v‖ with g = ‖v‖, each norm a float32 sum of squares: the sums cancel to two roundings each way."""
    return 2 * (weight.size + 4) * reference.UNIT_ROUNDOFF["float32"]


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("padding", ["same_symmetric", "causal", "chomp"])
def test_weight_norm_on_torch(axis, padding):
    """The layer carries torch's own parametrization over the seeded weight, put on last; False builds the plain layer."""
    sizes, policy = (4, 6, 3), cp.policy("paper/hifi-gan").evolve(padding=padding)
    plain = cp.Conv1d(*sizes, policy=policy, weight_norm=False, backend="torch", seed=3)
    assert list(plain.state_dict()) == ["weight", "bias"]
    theirs = weight_norm(copy.deepcopy(plain), dim=axis)
    ours = cp.Conv1d(*sizes, policy=policy, weight_norm=axis, backend="torch", seed=3)
    assert isinstance(ours, torch.nn.Conv1d)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert all(torch.equal(a, b) for a, b in zip(ours.state_dict().values(), theirs.state_dict().values()))
    data = torch.randn(2, 4, 9)
    assert torch.equal(ours(data), theirs(data))
    assert torch.equal(copy.deepcopy(ours)(data), ours(data))
    assert not torch.equal(cp.Conv1d(*sizes, policy=policy, weight_norm=axis, backend="torch", seed=4).weight, ours.weight)


def test_reset_parameters_has_an_effect_under_weight_norm():
    """Drawing anew reaches norm and direction, where torch's own reset_parameters would write into what the next call overwrites."""
    for padding in ("same_symmetric", "causal"):
        layer = cp.Conv1d(4, 6, 3, padding=padding, policy="paper/hifi-gan", backend="torch", seed=3)
        before = {name: value.clone() for name, value in layer.state_dict().items()}
        torch.manual_seed(8)
        layer.reset_parameters()
        torch.manual_seed(8)
        fresh = torch.nn.Conv1d(4, 6, 3)
        assert all(not torch.equal(value, before[name]) for name, value in layer.state_dict().items())
        assert torch.equal(layer.parametrizations.weight.original1, fresh.weight)
        assert torch.equal(layer.bias, fresh.bias)
        plain = weight_norm(torch.nn.Conv1d(4, 6, 3))
        unchanged = plain.weight.clone()
        plain.reset_parameters()
        assert torch.equal(plain.weight, unchanged)  # the trap is there


def test_weight_norm_is_trained_and_taken_apart():
    """Gradients reach the effective weight; capture and port give the plain effective weight, on every backend the same function."""
    part = cp.backends()["torch"]
    layer = cp.Conv1d(4, 6, 3, policy="paper/encodec", backend="torch", seed=3)
    data, upstream = np.random.default_rng(1).standard_normal((2, 1, 4, 9)).astype(np.float32)
    upstream = np.ones_like(part.run(layer, data))
    plain = cp.Conv1d(4, 6, 3, policy="paper/encodec", backend="torch", weight_norm=False)
    part.assign(plain, part.parameters(layer))
    for name, value in part.gradients(layer, data, upstream).items():
        assert np.array_equal(value, part.gradients(plain, data, upstream)[name]), name
    layer(torch.from_numpy(data)).sum().backward()
    assert layer.parametrizations.weight.original0.grad.abs().sum() > 0
    captured = cp.capture(layer)
    assert captured.policy.weight_norm is None
    assert np.array_equal(captured.weight, layer.weight.detach().numpy())
    for backend in BACKENDS:
        ported = cp.port(layer, backend)
        assert np.array_equal(cp.backends()[backend].parameters(ported)["weight"], captured.weight)
    assert np.array_equal(part.run(cp.port(layer, "torch"), data), part.run(layer, data))
    assert cp.capture(cp.Conv1d(2, 2, 3, policy="paper/tcn", seed=0)).policy.weight_norm is None
    part.assign(layer, part.parameters(plain))
    assert np.allclose(layer.weight.detach(), plain.weight.detach(), rtol=norm_rounding(captured.weight), atol=0)
    assert parametrize.is_parametrized(layer)


class Cuts:
    """Rules that cut one side and pad the other."""

    @cp.hookimpl
    def convpolicy_padding_rules(self):
        return [
            cp.PaddingRule("cut-left", lambda *_: (-2, 3)),
            cp.PaddingRule("cut-right", lambda *_: (3, -2)),
            cp.PaddingRule("by-length", lambda k, s, d, length: (2, -(length % 3)), needs_length=True),
        ]


@pytest.mark.parametrize("mode", MODES, ids=str)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_cuts_everywhere(mode, dtype):
    """A negative pad on any side, in every mode and on every backend, is the float64 reference; chomp with a stride among them."""
    cp.register(Cuts(), "cuts")
    try:
        for rule in (
            "cut-left",
            "cut-right",
            "by-length",
            cp.Choice("crop", left=1, right=2),
            cp.Choice("crop", left=2, right=2),
            "chomp",
        ):
            policy = cp.policy("torch").evolve(name="cut", padding=rule, padding_mode=mode)
            for (kernel, stride, dilation), length in (((3, 2, 1), 12), ((2, 1, 3), 11)):
                plan = policy.plan(kernel, stride, dilation, length=length)
                data = np.random.default_rng(length).standard_normal((2, 2, length)).astype(dtype)
                for backend in BACKENDS:
                    part = cp.backends()[backend]
                    layer = cp.Conv1d(
                        2, 3, kernel, stride, dilation=dilation, policy=policy, backend=backend, dtype=dtype, seed=1
                    )
                    found = part.parameters(layer)
                    judged = reference.conv1d(
                        data, found["weight"], found["bias"], left=plan.left, right=plan.right, stride=stride, dilation=dilation,
                        mode=policy.padding_mode.name, **dict(policy.padding_mode.params),
                    )  # fmt: skip
                    same_within(judged.output, part.run(layer, data), judged, dtype, (str(rule), backend))
    finally:
        cp.unregister("cuts")


def test_dropped_outputs_are_torchs_bits():
    """Exact execution has the bits of padding both sides and dropping; fast computes no output that is dropped, within rounding."""
    torch.manual_seed(0)
    differ = 0
    for channels, kernel, dilation, groups in ((4, 3, 4, 4), (8, 128, 1, 2), (25, 9, 8, 1), (3, 4, 16, 1)):
        exact, fast = (
            cp.Conv1d(channels, channels, kernel, 1, "chomp", dilation, groups, backend="torch", seed=0, execution=e)
            for e in ("exact", "fast")
        )
        whole = (kernel - 1) * dilation
        for length in (1, 5, 100):
            data = torch.randn(2, channels, length)
            both = torch.nn.functional.conv1d(data, exact.weight, exact.bias, 1, whole, dilation, groups)[..., :-whole]
            assert torch.equal(exact(data), both)
            judged = reference.conv1d(
                data, exact.weight.detach(), exact.bias.detach(), left=whole, dilation=dilation, groups=groups
            )
            same_within(judged.output, fast(data).detach().numpy(), judged, "float32")
            differ += not torch.equal(fast(data), both)
    assert differ  # otherwise nothing would have to be computed and dropped


def test_a_torch_layer_of_a_paper_compiles():
    """torch.compile traces the parametrized, padded layer and gives the eager numbers within rounding."""
    layer = cp.Conv1d(2, 3, 4, 2, policy="paper/encodec-48khz", backend="torch", seed=0, padding_mode="zeros", weight_norm=0)
    traced = torch.compile(layer, backend="eager", fullgraph=True)
    for length in (9, 10, 14):
        data = torch.randn(1, 2, length)
        assert torch.equal(traced(data), layer(data))
    assert json.dumps(layer.policy.to_dict())
