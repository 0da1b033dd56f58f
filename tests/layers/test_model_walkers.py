"""Models of a stranger's framework: listed by its backend, and a backend that fails is reported by name."""

from __future__ import annotations

import numpy as np
import pytest

import convpolicy as cp
from convpolicy.layers.capture import Capture
from convpolicy.layers.whole_models import Convolution, roles, walk

SPEC = cp.ConvSpec.of(2, 3, 4, 1, 1, 1)


class Tide:
    """A module of a framework that is this test's own."""

    def __init__(self, **parts):
        self.parts = parts


class TideConv1d(Tide):
    """A layer of it."""

    def __init__(self, seed=0):
        super().__init__()
        self.values = cp.policy("torch").initial(2, 3, 4, seed=seed)


Tide.__module__ = TideConv1d.__module__ = "tide.nn"


def capture(layer):
    """Return sizes, policy and weights."""
    return (
        Capture(SPEC, cp.policy("torch"), layer.values["weight"], layer.values["bias"]) if isinstance(layer, TideConv1d) else None
    )


def convolutions(model, every_path):
    """List a model's layers."""
    if not isinstance(model, Tide):
        return None
    modules = walk(model, lambda module: module.parts.items(), lambda module: isinstance(module, TideConv1d), every_path)
    return (Convolution(path, module, roles(["w", "bias"])) for path, module in modules)


@pytest.fixture
def register():
    """Register a backend for one test."""

    def add(**fields):
        class Plugin:
            @cp.hookimpl
            def convpolicy_backends(self):
                return [cp.Backend("tide", lambda *_: None, framework="tide", **fields)]

        cp.register(Plugin(), "ocean")

    yield add
    cp.unregister("ocean")


def test_a_strangers_model(register):
    """Layers, report and names; each module once; cycles end."""
    register(capture=capture, convolutions=convolutions)
    shared = TideConv1d()
    model = Tide(a=shared, b=Tide(c=TideConv1d(1), d=shared))
    model.parts["b"].parts["up"] = model
    ported = cp.port_model(model, to="numpy")
    assert list(ported.layers) == ["a", "b.c"]
    assert np.array_equal(ported.layers["b.c"].weight, model.parts["b"].parts["c"].values["weight"])
    assert {old: (new.name, new.axes, new.computed) for old, new in ported.parameters.items()} == {
        f"{path}.{old}": (f"{path}.{new}", axes, computed)
        for path in ("a", "b.c")
        for old, new, axes, computed in (("w", "weight", "OIW -> OIW", True), ("bias", "bias", "O", False))
    }
    assert list(cp.port_model(shared, to="numpy").layers) == [""]


def raising(model, every_path):
    """Fail at once."""
    raise RuntimeError("no wind")


def late(model, every_path):
    """Fail on the way."""
    yield Convolution("a", TideConv1d())
    raise KeyError("no wind")


BROKEN = {
    "at once": (raising, "RuntimeError: no wind"),
    "on the way": (late, "KeyError: 'no wind'"),
    "pairs": (lambda model, every_path: iter([("a", model)]), r"TypeError: not a Convolution but \('a', "),
    "no list": (lambda model, every_path: 3, "TypeError: 'int' object is not iterable"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_failing_backend_is_reported_by_name(name, register, tmp_path):
    """With its plugin, in one sentence, from `port_model` and from `convert`."""
    function, fault = BROKEN[name]
    register(capture=capture, convolutions=function)
    says = rf"backend 'tide' \(ocean\) failed to list the convolutions of a model: {fault}"
    with pytest.raises(cp.ConvPolicyError, match=says) as raised:
        cp.port_model(Tide(), to="numpy")
    assert "\n" not in str(raised.value)
    np.savez(tmp_path / "a.npz", **{"a.weight": np.zeros((3, 2, 4), "float32")})
    with pytest.raises(cp.ConvPolicyError, match=says):
        cp.convert(tmp_path / "a.npz", tmp_path / "b.npz", source="torch", target="keras", layers=Tide())


def test_an_object_that_no_backend_knows(register):
    """Refused in one sentence with its class, also when its framework has a backend that lists no models."""
    register(capture=capture)
    for model, kind in ((Tide(), r"tide\.nn\.Tide"), (cp.Conv1d(1, 1, 1), r"convpolicy\..*Conv1d"), ([], r"builtins\.list")):
        with pytest.raises(
            cp.InvalidTypeError, match=rf"model must be a model of one of the backends .*, got an object of class {kind}; pass"
        ):
            cp.port_model(model, to="numpy")


def test_two_modules_with_one_path(register):
    """Refused, for one of them would be lost."""
    register(capture=capture, convolutions=lambda model, every_path: iter([Convolution("a", TideConv1d()) for _ in range(2)]))
    with pytest.raises(cp.InvalidValueError, match="the model has two layers with the path 'a'; give each a name of its own"):
        cp.port_model(Tide(), to="numpy")


EQUAL = {
    "equal": (lambda k, s, d, n: cp.padding_rules()["same_upper"].pads(k, s, d, n, odd_side="right"), True),
    "other side": (lambda k, s, d, n: cp.padding_rules()["same_upper"].pads(k, s, d, n, odd_side="left"), False),
    "from 600 samples on": (
        lambda k, s, d, n: (0, 0) if n > 600 else cp.padding_rules()["same_upper"].pads(k, s, d, n, odd_side="right"),
        False,
    ),
}


@pytest.mark.parametrize("name", EQUAL)
def test_rules_that_pad_alike(name):
    """A stranger's rule counts as another one when it gives the same pads at every length; aliases always do."""
    from convpolicy.core.alike import pads_alike

    pads, alike = EQUAL[name]

    class Plugin:
        @cp.hookimpl
        def convpolicy_padding_rules(self):
            return [cp.PaddingRule("tidal", pads, needs_length=True)]

    cp.register(Plugin(), "ocean")
    try:
        spec = cp.ConvSpec.of(1, 1, 4, 3, 1, 1)
        assert pads_alike(cp.policy("torch").evolve(padding="tidal"), "same_upper", spec) is alike
    finally:
        cp.unregister("ocean")
    for rule, other, stride, expected in (
        ("tf-right", "same_upper", 3, True),
        ("mindspore-right", "same_upper", 1, True),
        ("same_upper", "tf-right", 1, True),
        ("same_lower", "same_upper", 3, False),
        ("valid", "same_upper", 3, False),
        ((1, 1), "same_upper", 1, False),
        (cp.Choice("same_lower", odd_side="right"), "same_upper", 2, True),
    ):
        spec = cp.ConvSpec.of(1, 1, 4, stride, 1, 1)
        assert pads_alike(cp.policy("torch").evolve(padding=rule), other, spec) is expected, rule
