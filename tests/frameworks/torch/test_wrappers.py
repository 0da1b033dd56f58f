"""The hook for wrappers, and the conformance kit's checks of them."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

import convpolicy as cp
from convpolicy import testing


class Padded(nn.Module):
    """A convolution with zeros on the left."""

    def __init__(self, stride=1, width=2, relu=False):
        super().__init__()
        self.conv, self.width, self.relu = nn.Conv1d(2, 3, 3, stride), width, relu

    def forward(self, data):
        data = self.conv(nn.functional.pad(data, (self.width, 0)))
        return torch.relu(data) if self.relu else data


class Broken(Padded):
    """A subclass."""


def changes(module):
    """Return the padding; a stride has none."""
    if module.conv.stride != (1,):
        raise ValueError("with a stride it is another layer")
    return {"padding": (module.width, 0)}


def wrapper(**fields):
    """A wrapper of the class."""
    words = {
        "convolution": "conv",
        "changes": changes,
        "description": "It pads.",
        "more": lambda module: "applies a ReLU" if module.relu else "",
    } | fields
    return cp.Wrapper(f"{Padded.__module__}.Padded", examples=lambda: [Padded(), Padded(width=0)], **words)


@pytest.fixture
def register():
    """Register wrappers for one test."""

    def add(*wrappers):
        class Plugin:
            @cp.hookimpl
            def convpolicy_wrappers(self):
                return list(wrappers)

        cp.register(Plugin(), "padded")

    yield add
    cp.unregister("padded")


def test_a_plugins_wrapper(register):
    """With it a module is one layer with its bits; without, its convolution is ported and its parent named."""
    module, data = Padded(), torch.randn(2, 2, 9)
    without = cp.port_model(nn.Sequential(module), to="torch")
    assert [row.state for row in without.report] == ["ported, but its parent pads: Padded (nn.functional.pad in forward)"]
    register(wrapper())
    assert cp.wrappers()[f"{Padded.__module__}.Padded"].provider == "padded"
    ported = cp.port_model(nn.Sequential(module), to="torch")
    assert [(row.path, row.class_name, row.state) for row in ported.report] == [("0", "Padded", "ported")]
    assert torch.equal(ported.layers["0"](data), module(data))
    assert torch.equal(cp.port(module, to="torch")(data), module(data))
    assert {old: new.name for old, new in ported.parameters.items()} == {"0.conv.weight": "0.weight", "0.conv.bias": "0.bias"}


def test_what_a_wrapper_says_besides(register):
    """More than a convolution, a refusal, a hook and a subclass: each is in the report."""
    register(wrapper())
    hooked = Padded()
    hooked.register_forward_pre_hook(lambda *_: None)
    model = nn.Sequential(Padded(relu=True), Padded(stride=2), hooked, Broken())
    ported = cp.port_model(model, to="torch")
    assert [(row.path, row.state) for row in ported.report] == [
        ("0.conv", "ported, with the padding of Padded, which also applies a ReLU"),
        ("1.conv", "ported, but without the work of its parent Padded: with a stride it is another layer"),
        ("2.conv", "ported, but without the work of its parent Padded: a forward hook may change what it computes"),
        ("3.conv", "ported, but its parent pads: Broken (nn.functional.pad in forward)"),
    ]
    data = torch.randn(2, 2, 9)
    assert torch.equal(torch.relu(ported.layers["0.conv"](data)), model[0](data))
    with pytest.raises(cp.InvalidValueError, match="layer Padded cannot be captured exactly: it applies a ReLU; use port_model"):
        cp.capture(model[0])


def test_a_wrapper_that_fails_is_named(register):
    """An exception that is no ValueError names the wrapper and its plugin."""
    register(wrapper(changes=lambda module: module.nothing))
    with pytest.raises(cp.ConvPolicyError, match=r"wrapper '.*Padded' \(padded\) failed: AttributeError"):
        cp.capture(Padded())


@pytest.mark.parametrize(("words", "says"), [
    ({"name": "Padded"}, "full name of a class, such as 'package.module.CausalConv1d', got 'Padded'"),
    ({"name": 3}, "the name of a wrapper must be"),
    ({"convolution": 3}, "convolution of wrapper 'a.B' must be text or a function, got 3"),
    ({"changes": {}}, "changes of wrapper 'a.B' must be a function, got {}"),
    ({"more": None}, "more of wrapper 'a.B' must be text or a function, got None"),
])  # fmt: skip
def test_bad_fields(words, says):
    """Each is refused with the field and what came."""
    with pytest.raises(cp.ConvPolicyError, match=says):
        cp.Wrapper(**{"name": "a.B", "convolution": "conv", "changes": dict} | words)


def test_the_kit(register):
    """The kit passes a right wrapper, and rejects one sample of padding too much, a side mixed up, and examples of another class."""
    register(wrapper())
    right = cp.wrappers()[f"{Padded.__module__}.Padded"]
    assert [row.name for row in testing.checks_of(right)] == ["names", "examples", "values"]
    testing.check(right)
    cp.unregister("padded")
    for fault, says in (
        ({"changes": lambda module: {"padding": (module.width + 1, 0)}}, "changes must give outputs of shape"),
        ({"changes": lambda module: {"padding": (0, module.width)}}, "changes must give the outputs of the module"),
    ):
        register(wrapper(**fault))
        with pytest.raises(testing.ConformanceError, match=says):
            testing.check(cp.wrappers()[right.name])
        cp.unregister("padded")
    other = copy.copy(wrapper())
    object.__setattr__(other, "examples", lambda: [Broken()])
    register(other)
    with pytest.raises(testing.ConformanceError, match=r"examples must be of class .*Padded, got one of .*Broken"):
        testing.check(cp.wrappers()[right.name])
