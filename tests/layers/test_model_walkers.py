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
    return (Convolution(path, module, roles(["w", "bias"]), parents=parents) for path, module, parents in modules)


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


class Wrapper(Tide):
    """What its framework calls a Conv1d, with one inside."""


Wrapper.__module__, Wrapper.__name__ = "tide.nn", "CausalConv1d"


@pytest.mark.parametrize("fault", [cp.InvalidValueError("no wind today."), RuntimeError("no wind today"), MemoryError()])
def test_one_layer_never_stops_a_model(register, fault):
    """One that cannot be built, whatever is raised, is refused with its path and its reason; the others are ported."""
    register(capture=capture, convolutions=convolutions)
    model = Tide(a=TideConv1d(), b=TideConv1d(1), c=TideConv1d(2))

    class Picky:
        @cp.hookimpl
        def convpolicy_backends(self):
            built = []

            def build(request, stream, device):
                built.append(request)
                if len(built) == 2:
                    raise fault
                return cp.backends()["numpy"].build(request, stream, device)

            return [cp.Backend("picky", build)]

    cp.register(Picky(), "picky")
    try:
        ported = cp.port_model(model, to="picky")
    finally:
        cp.unregister("picky")
    assert list(ported.layers) == ["a", "c"]
    (refused,) = ported.refused
    assert refused.path == "b"
    assert (str(fault) or "MemoryError").rstrip(".") in refused.reason
    assert not any(name.startswith("b.") for name in ported.parameters)


def test_what_cannot_be_built_at_all_is_refused_first(register):
    """An unknown backend, and a dtype that it does not have, before a layer is looked at."""
    seen = []
    register(capture=capture, convolutions=lambda model, every_path: seen.append(model) or convolutions(model, every_path))
    with pytest.raises(cp.ConvPolicyError, match="unknown backend 'numpi'"):
        cp.port_model(Tide(), to="numpi")
    with pytest.raises(cp.ConvPolicyError, match="dtype must be one of float32, float64"):
        cp.port_model(Tide(), to="numpy", dtype="bfloat16")
    assert seen == []


def test_wrappers_and_equal_refusals(register):
    """A convolution inside a wrapper that nobody knows is named as incomplete; what is said of many is printed once."""
    register(capture=capture, convolutions=convolutions)
    model = Tide(a=Wrapper(conv=TideConv1d()), b=Wrapper(conv=TideConv1d()), c=TideConv1d())
    ported = cp.port_model(model, to="numpy")
    assert [(row.path, row.reason, row.wrapper) for row in ported.report] == [
        ("a.conv", "", "CausalConv1d"), ("b.conv", "", "CausalConv1d"), ("c", "", ""),
    ]  # fmt: skip
    assert [row.path for row in ported.noted] == ["a.conv", "b.conv"]
    assert ported.report[0].state == (
        "ported, but incomplete: the work of the enclosing CausalConv1d, such as padding, is not ported"
    )
    assert str(ported).splitlines() == [
        "a.conv, b.conv (TideConv1d): " + ported.report[0].state,
        "c (TideConv1d): ported",
        "3 layers ported, 2 with a note, 0 refused.",
    ]


def test_a_long_list_of_paths_is_cut(register):
    """A line for many modules names three of them, and the summary counts all."""
    register(capture=capture, convolutions=convolutions)
    parts = {f"part{number}": Wrapper(conv=TideConv1d()) for number in range(40)}
    first, last = str(cp.port_model(Tide(**parts), to="numpy")).splitlines()
    assert first.startswith("part0.conv, part1.conv, part2.conv and 37 more (TideConv1d): ported, but incomplete")
    assert last == "40 layers ported, 40 with a note, 0 refused."


def test_a_capture_that_fails_is_refused_by_name(register):
    """Its layer is a refused row with the backend and its plugin; another layer is ported."""

    def failing(layer):
        if isinstance(layer, TideConv1d) and layer.parts:
            raise KeyError("no wind")
        return capture(layer)

    register(capture=failing, convolutions=convolutions)
    odd = TideConv1d()
    odd.parts = {"x": 1}
    ported = cp.port_model(Tide(a=odd, b=TideConv1d()), to="numpy")
    assert list(ported.layers) == ["b"]
    assert ported.refused[0].reason.startswith(
        "backend 'tide' (ocean) failed to capture an object of class tide.nn.TideConv1d: KeyError"
    )


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
    with pytest.raises(cp.InvalidValueError, match="the model has two layers with the path 'a'; give them different names"):
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
    """A plugin's rule is equal to another if it gives the same pads at every length; aliases are always equal."""
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
