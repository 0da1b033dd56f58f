"""Every policy of a paper against a package that is not ours: every bit on torch, within the rounding bound elsewhere."""

from __future__ import annotations

import itertools
import logging

import numpy as np
import pytest
import torch
from layers import Built
from packages import UNUSED, module
from references import CASES, WIDE, Case
from torch.nn.utils import parametrize

import convpolicy as cp
from convpolicy import reference

PUBLISHED = {"torchfcpe", "pesto"}  # packages of published weights, which test_published_weights.py uses
NOT_ON_TORCH = ("numpy", "mindspore")  # the frameworks of published weights, which compile each size, are installed here too


def randomised(built: Built) -> Built:
    """Fill every parameter of the convolution, norms included, with random numbers."""
    with torch.no_grad():
        for parameter in built.conv.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(parameter.numel())))
    return built


def parts(conv: torch.nn.Conv1d) -> dict[str, torch.Tensor]:
    """Return the tensors that make the weight: itself, or norm and direction under either of torch's weight norms."""
    if parametrize.is_parametrized(conv):
        return {"g": conv.parametrizations.weight.original0, "v": conv.parametrizations.weight.original1}
    if hasattr(conv, "weight_g"):
        return {"g": conv.weight_g, "v": conv.weight_v}
    return {"weight": conv.weight}


def with_weights_of(built: Built, layer: torch.nn.Conv1d) -> torch.nn.Conv1d:
    """Copy the reference's weights, as they are stored, into a layer."""
    theirs, ours = parts(built.conv), parts(layer)
    assert {name: value.shape for name, value in theirs.items()} == {name: value.shape for name, value in ours.items()}
    with torch.no_grad():
        for name, value in theirs.items():
            ours[name].copy_(value)
        assert (layer.bias is None) == (built.conv.bias is None)
        if layer.bias is not None:
            layer.bias.copy_(built.conv.bias)
    return layer


def effective(conv: torch.nn.Conv1d):
    """Return weight and bias as the convolution uses them, as arrays."""
    with torch.no_grad():
        for hook in conv._forward_pre_hooks.values():
            hook(conv, ())  # the older weight norm computes its weight here
        return conv.weight.numpy(), None if conv.bias is None else conv.bias.numpy()


def outcome(call, data):
    """What a call returns, or what it raises; an output that is empty, as chomping gives a short input, is a refusal too."""
    try:
        with torch.no_grad():
            found = call(data)
            return found if found.shape[-1] else "refused: nothing comes out"
    except (RuntimeError, ValueError, AssertionError) as error:
        return f"refused: {type(error).__name__}"


def disagreements(case: Case, built: Built, **changes) -> list[int]:
    """Return the lengths at which a torch layer of the policy, with changes, differs from the reference in any bit."""
    layer = with_weights_of(built, case.layer(**changes, backend="torch"))
    wrong = []
    for length in case.lengths:
        data = torch.randn(2, case.arguments["in_channels"], length, generator=torch.Generator().manual_seed(length))
        theirs, ours = outcome(built.call, data), outcome(layer, data)
        if isinstance(theirs, str) or isinstance(ours, str):
            agree = isinstance(theirs, str) and isinstance(ours, str)
        else:
            agree = theirs.shape == ours.shape and bool((theirs.view(torch.int32) == ours.view(torch.int32)).all())
        wrong += [] if agree else [length]
    return wrong


@pytest.mark.parametrize("case", CASES, ids=str)
def test_every_bit_on_torch(case):
    """Same weights, same input, same bits and same lengths; where the reference refuses an input, so does the layer."""
    assert disagreements(case, randomised(case.build())) == []


def test_every_bit_in_wider_layers():
    """So it is with other channels, for which torch picks other kernels."""
    assert {str(case): wrong for case in WIDE if (wrong := disagreements(case, randomised(case.build())))} == {}


def gains(weight: np.ndarray, case: Case) -> np.ndarray:
    """Return the sum of absolute weights of each output channel."""
    if not case.transposed:
        return np.abs(weight).sum(axis=(1, 2))
    groups = case.arguments["groups"]
    return np.abs(weight).reshape(groups, -1, *weight.shape[1:]).sum(axis=(1, 3)).reshape(-1)


@pytest.mark.parametrize("backend", NOT_ON_TORCH)
def test_within_rounding_elsewhere(backend):
    """Every case on the other backends, by the bound of any order of summation, with the reference's effective weights."""
    part, compared = cp.backends()[backend], 0
    for case in CASES:
        built = randomised(case.build())
        weight, bias = effective(built.conv)
        layer = case.layer(backend=backend)
        part.assign(layer, {"weight": weight, "bias": bias})
        for length in case.lengths[::3]:
            data = np.random.default_rng(length).standard_normal((1, case.arguments["in_channels"], length)).astype(np.float32)
            theirs = outcome(built.call, torch.from_numpy(data))
            if isinstance(theirs, str):
                with pytest.raises(ValueError):
                    part.run(layer, data)
                continue
            ours = part.run(layer, data)
            assert ours.shape == tuple(theirs.shape), (case, length)
            size = np.abs(data).max() * gains(weight, case) + (0 if bias is None else np.abs(bias))
            terms = weight.shape[0] * weight.shape[1] * weight.shape[2] + 1
            bound = 2 * reference.tolerance("float32", terms, size)[:, None]
            assert (np.abs(ours - theirs.numpy()) <= bound).all(), (case, length)
            compared += 1
    assert compared > len(CASES)


def test_every_policy_and_package_is_there():
    """Every paper but WaveNet, of which no package runs, has a reference; every package named here is used by one."""
    papers = {name for name in cp.policies() if name.startswith("paper/")}
    assert {case.policy for case in CASES} == papers - {"paper/wavenet"} | {"torch"}
    used = {name.split(".")[0].replace("_", "-") for name in UNUSED} - PUBLISHED | {"transformers"}
    named = " ".join(case.package for case in CASES)
    spelt = {"dac": "descript-audio-codec", "nemo": "nemo-toolkit"}
    assert all(spelt.get(package, package) in named for package in used)


def test_nemos_padding_with_future_context():
    """The rule is NeMo's function for every small size, and refuses what it refuses."""
    theirs = module("nemo.collections.asr.parts.submodules.jasper")
    theirs.logging = logging  # it warns of large contexts
    for kernel, stride, dilation, future in itertools.product(range(1, 8), (1, 2, 3), (1, 2, 3), range(9)):
        policy = cp.policy("torch").evolve(padding=cp.Choice("nemo_future", future=future))
        if stride > 1 and dilation > 1:
            for attempt in (
                lambda: theirs.get_asymtric_padding(kernel, stride, dilation, future),
                lambda: policy.static_pads(kernel, stride, dilation),
            ):
                with pytest.raises(ValueError):
                    attempt()
            continue
        expected = theirs.get_asymtric_padding(kernel, stride, dilation, future)
        expected = (expected, expected) if isinstance(expected, int) else expected
        assert policy.static_pads(kernel, stride, dilation) == expected
