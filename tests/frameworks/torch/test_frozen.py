"""Weights that are packed once: used as long as they do not change, whatever changes them, and packed again afterwards."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
import torch
from torch import nn

import convpolicy as cp
from convpolicy.errors import InvalidTypeError
from convpolicy.frameworks.torch.execution import frozen
from convpolicy.frameworks.torch.execution.frozen import CALLS_UNTIL_FROZEN, Frozen, Guard
from convpolicy.frameworks.torch.execution.lowering import Work
from convpolicy.frameworks.torch.execution.lowerings import LOWERINGS, native
from convpolicy.frameworks.torch.execution.tuned import Tuned, tuned_of

PACKED = LOWERINGS["packed"]


def weight(*shape):
    """A parameter."""
    return nn.Parameter(torch.randn(shape or (16, 16, 3), generator=torch.Generator().manual_seed(0)))


def replaced(parameter):
    """Another tensor in the parameter."""
    parameter.data = parameter.data * 2


CHANGES = {  # what users do to weights; the parameter itself stays the same
    "in place": lambda p: p.mul_(2),
    "in place under inference_mode": torch.inference_mode()(lambda p: p.mul_(2)),
    "data in place": lambda p: p.data.mul_(2),
    "data of one output channel of many": lambda p: p.data[3].zero_(),
    "data replaced": replaced,
    "NumPy": lambda p: p.detach().numpy().__imul__(2),
    "one element in place": lambda p: p[0, 0, 1].zero_(),  # one that is not compared
    "copied": lambda p: p.copy_(torch.ones_like(p)),
    "optimizer": lambda p: (setattr(p, "grad", torch.ones_like(p)), torch.optim.SGD([p], 0.1).step()),
    "clipped data": lambda p: p.data.clamp_(-0.1, 0.1),
}


@pytest.mark.parametrize("change", CHANGES)
def test_changes_are_noticed(change):
    """Whatever changes the values, the guard notices; without a change it holds."""
    parameter = weight()
    guard = Guard(parameter)
    assert guard.holds(parameter)
    with torch.no_grad():
        CHANGES[change](parameter)
    assert not guard.holds(parameter)


def test_another_parameter_is_noticed():
    """One with the same values, or with the same memory."""
    parameter = weight()
    guard = Guard(parameter)
    assert not guard.holds(weight())
    assert not guard.holds(nn.Parameter(parameter.data))
    assert not guard.holds(copy.deepcopy(parameter))


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 64, 7), (64, 1, 1), (512, 512, 7), (128, 64, 64)])
def test_the_compared_elements_are_spread(shape):
    """At most 64, over the whole weight, and of more than one tap."""
    parameter = weight(*shape)
    elements = Guard(parameter)._elements
    assert min(frozen.SAMPLES // 2, parameter.numel()) <= len(elements) <= frozen.SAMPLES
    places = (elements.ctypes.data - parameter.data_ptr() + np.arange(len(elements)) * elements.strides[0]) // 4
    assert places[-1] >= parameter.numel() * 3 // 4 or parameter.numel() < 4
    assert len(set((places % shape[2]).tolist())) >= min(shape[2], len(elements)) // 2


@torch.no_grad()
def test_a_weight_is_packed_once_and_again_when_it_stays():
    """Packed at the first call; after a change the usual way runs until the weight stayed the same for some calls."""
    calls = []
    lowering = PACKED._replace(
        pack=lambda *arguments: calls.append("pack") or PACKED.pack(*arguments),
        run=lambda *arguments: calls.append("packed") or PACKED.run(*arguments),
    )
    work = Work(cp.policy("torch").evolve(padding=1).plan(3, length=20), 1, nn.functional.pad)
    way = Frozen("packed", lowering, lambda *arguments: calls.append("usual") or native(*arguments))
    parameter, bias, data = weight(), weight(16), torch.randn(2, 16, 20)

    def call():
        torch.testing.assert_close(way(data, parameter, bias, work), nn.functional.conv1d(data, parameter, bias, padding=1))

    call()
    call()
    assert calls == ["pack", "packed", "packed"]
    calls.clear()
    parameter.data.mul_(3)
    for _ in range(CALLS_UNTIL_FROZEN + 2):
        call()
    assert calls == ["usual"] * CALLS_UNTIL_FROZEN + ["pack", "packed", "packed"]
    calls.clear()
    with torch.enable_grad():
        way(data, parameter, bias, work).sum().backward()
    assert calls == ["usual"]
    assert parameter.grad is not None
    way(data, parameter.detach(), bias, work)  # a tensor that is not a parameter cannot be watched
    assert calls == ["usual"] * 2


@torch.no_grad()
def test_weights_in_another_order_of_memory_are_not_packed():
    """Elements of such a weight cannot be watched without a copy, and a copy does not change with the weight."""
    calls = []
    way = Frozen("packed", PACKED, lambda *arguments: calls.append("usual") or native(*arguments))
    work = Work(cp.policy("torch").plan(3, length=20), 1, nn.functional.pad)
    parameter, data = nn.Parameter(torch.randn(3, 16, 16).permute(2, 1, 0)), torch.randn(2, 16, 20)
    for _ in range(2):
        torch.testing.assert_close(way(data, parameter, None, work), nn.functional.conv1d(data, parameter))
        parameter.data.mul_(2)
    assert calls == ["usual"] * 2


def test_a_weight_with_nan_does_not_change_by_itself():
    """NaN is not equal to itself, but its bits are; a zero of the other sign is another value."""
    parameter = nn.Parameter(torch.full((1, 4, 3), float("nan")))
    guard = Guard(parameter)
    assert guard.holds(parameter)
    zeros = nn.Parameter(torch.zeros(1, 4, 3))
    guard = Guard(zeros)
    zeros.data.neg_()
    assert not guard.holds(zeros)


@torch.no_grad()
def test_nan_and_infinity_stay():
    """In the input and in the weight, where the default has them."""
    work = Work(cp.policy("torch").plan(3, length=20), 1, nn.functional.pad)
    parameter, data = weight(), torch.randn(1, 16, 20)
    data[0, 3, 4], data[0, 5, 12] = float("nan"), float("inf")
    for bad in (None, float("nan"), float("inf")):
        if bad is not None:
            parameter[2, 3, 1] = bad
        for name in ("packed", "packed_linear", "linear"):
            lowering = LOWERINGS[name]
            given = parameter if lowering.pack is None else lowering.pack(parameter, data.shape, work)
            torch.testing.assert_close(lowering.run(data, given, None, work), native(data, parameter, None, work), equal_nan=True)


@pytest.mark.parametrize(
    ("native_class", "function"),
    [(nn.Conv1d, nn.functional.conv1d), (nn.ConvTranspose1d, nn.functional.conv_transpose1d)],
    ids=["Conv1d", "ConvTranspose1d"],
)
def test_tune_freezes(monkeypatch, native_class, function):
    """``freeze=True`` installs a packed implementation in eval mode; loading other weights is noticed, and `untune` restores."""
    from convpolicy.frameworks.torch.execution import tuning

    def packed_wins(ways, rounds):
        return {name: [0.1 if name == "packed" else 1.0] * 3 for name in ways}

    monkeypatch.setattr(tuning, "interleaved", packed_wins)
    model = nn.Sequential(native_class(16, 16, 3, padding=1), nn.BatchNorm1d(16)).eval()
    x, names = torch.randn(1, 16, 50), list(model.state_dict())
    assert not cp.tune(model, x, verbose=False).replaced
    model.train()
    assert not cp.tune(model, x, verbose=False, freeze=True).replaced
    model.eval()
    report = cp.tune(model, x, verbose=False, freeze=True)
    assert [row.lowering for row in report.replaced] == ["packed"]
    assert list(model.state_dict()) == names
    plain = native_class(16, 16, 3, padding=1)
    for twin in (model, copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        with torch.no_grad():
            for other in (twin[0].state_dict(), plain.state_dict()):
                twin[0].load_state_dict(other)
                expected = function(x, twin[0].weight, twin[0].bias, padding=1)
                for _ in range(CALLS_UNTIL_FROZEN + 2):
                    torch.testing.assert_close(twin[0](x), expected)
        ways = list(tuned_of(twin[0])._ways.values())
        assert isinstance(tuned_of(twin[0]), Tuned)
        assert isinstance(ways[-1][0], Frozen)
        twin[0](x).sum().backward()
    cp.untune(model)
    assert tuned_of(model[0]) is None


def test_freeze_is_for_models():
    """The same refusal as without it."""
    with pytest.raises(InvalidTypeError, match="model must be a model of one of the backends"):
        cp.tune(3, None, freeze=True)
