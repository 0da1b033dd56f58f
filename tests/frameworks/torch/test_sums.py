"""Torch layers whose added elements are sums, others on each side, or others in each channel."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
import torch

import convpolicy as cp
from convpolicy.frameworks.torch import sums
from convpolicy.frameworks.torch.execution.lowerings import LOWERINGS
from convpolicy.frameworks.torch.pads import Pads
from convpolicy.testing import ConformanceError, checks_of

pytestmark = [pytest.mark.needs("onnx", "onnxruntime", "onnxscript"), pytest.mark.filterwarnings("ignore")]

Choice, Dim = cp.Choice, torch.export.Dim
PER_CHANNEL = [1.0, -2.0, 3.0, 4.0]
LAYERS = {
    "odd": {"padding": (3, 2), "padding_mode": "odd"},
    "odd, wide": {"padding": (29, 17), "padding_mode": Choice("odd", overflow="periodic")},
    "odd_symmetric": {"padding": (0, 4), "padding_mode": "odd_symmetric"},
    "odd_symmetric, wide": {"padding": (29, 17), "padding_mode": Choice("odd_symmetric", overflow="periodic")},
    "odd, by length": {"padding": "same_upper", "stride": 2, "padding_mode": "odd"},
    "odd, cut": {"padding": Choice("crop", left=-1, right=3), "padding_mode": "odd"},
    "extrapolate": {"padding": (9, 3), "padding_mode": "extrapolate"},
    "extrapolate, by length": {"padding": "same_lower", "stride": 3, "padding_mode": "extrapolate"},
    "linear_ramp": {"padding": (9, 3), "padding_mode": Choice("linear_ramp", left=2.0, right=PER_CHANNEL)},
    "linear_ramp, by length": {"padding": "same_upper", "stride": 2, "padding_mode": Choice("linear_ramp", value=3.0)},
    "constants per channel": {"padding": (2, 3), "padding_mode": Choice("constant", value=PER_CHANNEL)},
    "constants per side": {"padding": (2, 3), "padding_mode": Choice("constant", left=1.0, right=-7.0)},
    "reflect, zeros": {"padding": (2, 3), "padding_mode": ("reflect", "zeros")},
    "zeros, odd": {"padding": (2, 3), "padding_mode": ("zeros", "odd")},
    "replicate, symmetric": {"padding": (4, 4), "padding_mode": ("replicate", "symmetric")},
    "reflect, odd, by length": {"padding": "encodec", "stride": 2, "padding_mode": ("reflect", "odd")},
    "extended, wide": {
        "padding": (12, 13),
        "padding_mode": (Choice("reflect", overflow="zero-extend"), Choice("circular", overflow="periodic")),
    },
    "learned": {"padding": (4, 1), "padding_mode": Choice("constant", value=PER_CHANNEL, learned=True)},
    "reflect, learned": {"padding": (4, 1), "padding_mode": ("reflect", Choice("constant", value=0.5, learned=True))},
    "learned, by length": {"padding": "same_upper", "stride": 2, "padding_mode": Choice("constant", value=0.5, learned=True)},
}
layers = pytest.mark.parametrize("options", LAYERS.values(), ids=LAYERS)
LENGTHS = (7, 8, 16, 31)


def built(options, **more):
    """A seeded layer of 4 → 6 channels, kernel 4."""
    return cp.Conv1d(4, 6, 4, backend="torch", seed=0, **options, **more).eval()


def random(length, dtype=torch.float32):
    """Random input, the same at every call."""
    return torch.randn(2, 4, length, generator=torch.Generator().manual_seed(length), dtype=dtype)


@pytest.mark.grid(every=3)
@layers
@pytest.mark.parametrize("strict", [False, True])
def test_exported_for_every_length(options, strict):
    """One program, traced at one length, gives the layer's bits at others, where pads fold too and where a side has one element."""
    layer = built(options)
    dims = ({2: Dim("length", min=7, max=99)},)
    program = torch.export.export(layer, (random(20),), dynamic_shapes=dims, strict=strict).module()
    for length in LENGTHS:
        assert torch.equal(program(random(length)), layer(random(length))), length


@pytest.mark.grid(every=5)
@layers
def test_compiled_once(options):
    """torch.compile(dynamic=True) makes one graph, which gives the layer's bits at every length."""
    torch.compiler.reset()
    layer, graphs = built(options), []
    compiled = torch.compile(
        layer, fullgraph=True, dynamic=True, backend=lambda graph, _inputs: graphs.append(1) or graph.forward
    )
    for length in LENGTHS:
        assert torch.equal(compiled(random(length)), layer(random(length))), length
    assert len(graphs) == 1


@pytest.mark.grid(every=4)
@layers
def test_onnx(options):
    """The ONNX model has a dynamic length, and onnxruntime gives the layer's output within rounding."""
    layer = built(options)
    dims = ({2: Dim("length", min=7, max=99)},)
    model = torch.onnx.export(layer, (random(20),), dynamo=True, dynamic_shapes=dims, verbose=False).model_proto
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (entry,) = session.get_inputs()
    assert entry.shape[2] == "length"
    for length in LENGTHS:
        (output,) = session.run(None, {entry.name: random(length).numpy()})
        torch.testing.assert_close(torch.from_numpy(output), layer(random(length)).detach(), rtol=1e-4, atol=1e-4)


@pytest.mark.grid(every=7)
@layers
def test_backward_under_compile(options):
    """Gradients to the input and to every parameter are those of the eager layer, none is NaN."""
    torch.compiler.reset()
    layer, found = built(options), []
    for function in (layer, torch.compile(layer, fullgraph=True, dynamic=True, backend="aot_eager")):
        data = random(16).requires_grad_()
        layer.zero_grad()
        function(data).square().sum().backward()
        found.append([data.grad, *(value.grad.clone() for value in layer.parameters())])
    for ours, theirs in zip(*found):
        assert ours.isfinite().all()
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("label", ["odd", "odd_symmetric", "reflect, zeros", "replicate, symmetric"])
def test_a_length_that_is_not_reached_is_refused_in_programs_too(label):
    """As torch's own reflect does: export refuses a range with such lengths, and a program without range refuses such an input."""
    layer = built(LAYERS[label] | {"padding": (9, 9)})
    with pytest.raises(cp.ConvPolicyError, match="reaches at most"):
        layer(random(5))
    with pytest.raises(Exception, match="Constraints violated"):
        torch.export.export(layer, (random(20),), dynamic_shapes=({2: Dim("length", min=5, max=99)},))
    program = torch.export.export(layer, (random(20),), dynamic_shapes=({2: Dim.DYNAMIC},)).module()
    with pytest.raises(AssertionError, match="Guard failed"):
        program(random(5))


def test_zero_extended_sums_are_refused_for_a_dynamic_length():
    """In one sentence, and they are exported for one length."""
    layer = built({"padding": (9, 3), "padding_mode": Choice("odd", overflow="zero-extend")})
    with pytest.raises(cp.ConvPolicyError, match="must not combine a sum with overflow='zero-extend' for a dynamic length"):
        torch.export.export(layer, (random(20),), dynamic_shapes=({2: Dim("length", min=7, max=99)},))
    assert torch.equal(torch.export.export(layer, (random(8),)).module()(random(8)), layer(random(8)))


def mean(positions, length):
    """The mean of the first and the last sample, and on the left the constant too."""
    first = np.zeros_like(positions)
    return [(0.5, first), (0.5, first + length - 1), (np.where(positions < 0, 2.0, 0.0), first - 1)]


def nothing(positions, length):
    """Nothing of the first sample."""
    return [(0.0, np.zeros_like(positions))]


@pytest.mark.parametrize("source", [mean, nothing])
@pytest.mark.parametrize("rule", [(2, 1), Choice("crop", left=-1, right=2), "same_upper"])
def test_sums_of_a_stranger(source, rule):
    """Eager, compiled, traced and exported for one length they are the NumPy layer's; for a dynamic length they are refused."""
    mode = cp.PaddingMode("mine", source=source, params={"value": cp.Param(0.0, kind="values")})
    cp.register(type("Mine", (), {"convpolicy_padding_modes": cp.hookimpl(lambda _self: [mode])})(), "mine")
    torch.compiler.reset()
    try:
        options = {"padding": rule, "stride": 2, "padding_mode": Choice("mine", value=PER_CHANNEL)}
        layer, data = built(options, dtype="float64"), random(11, torch.float64)
        ideal = torch.from_numpy(cp.Conv1d(4, 6, 4, seed=0, dtype="float64", **options)(data.numpy()))
        programs = torch.compile(layer, fullgraph=True, backend="eager"), torch.export.export(layer, (data,)).module()
        for function in (*programs, torch.jit.trace(layer, data), layer):  # traced before anything is kept
            torch.testing.assert_close(function(data), ideal, rtol=1e-13, atol=1e-13)
        with pytest.raises(cp.ConvPolicyError, match="as the index map of 'mine' is Python code"):
            torch.export.export(layer, (data,), dynamic_shapes=({2: Dim("length", min=7, max=99)},))
    finally:
        cp.unregister("mine")


@pytest.mark.parametrize("options", [LAYERS["odd"], {"padding": (2, 1), "padding_mode": Choice("reflect", overflow="periodic")}])
def test_training_after_a_call_in_inference_mode(options):
    """What is kept per length was made in inference mode, and gradients pass it."""
    layer, data = built(options), random(13)
    with torch.inference_mode():
        layer(data)
    layer(data.requires_grad_()).sum().backward()
    assert data.grad.abs().sum() > 0


def test_what_is_not_read_does_not_matter():
    """The outermost element of a ramp is its end value, beside an edge that is not a number, eager and compiled."""
    layer = cp.Conv1d(
        1, 1, 1, backend="torch", padding=2, bias=False, weight_init="ones", padding_mode=Choice("linear_ramp", value=5.0)
    )
    data = torch.full((1, 1, 3), float("nan"))
    torch.compiler.reset()
    for function in (layer, torch.compile(layer, fullgraph=True, dynamic=True, backend="eager")):
        output = function(data)[0, 0]
        assert output[[0, -1]].tolist() == [5.0, 5.0]
        assert output[1:-1].isnan().all()


SIDES = {  # what the sides are -> the lowerings that only copy samples, where they are legal
    ("reflect", "replicate"): {"gather", "edges"},
    ("reflect", "zeros"): set(),
    ("zeros", "odd"): set(),
    ("zeros", "zeros"): {"concatenate"},
}


@pytest.mark.parametrize("sides", SIDES)
def test_lowerings_of_sides_that_differ(sides):
    """A lowering that knows one mode takes no plan of two; execution="fast" gives the exact output within rounding."""
    policy = cp.policy("torch").evolve(padding=(2, 3), padding_mode=sides)
    plan = policy.plan(4, length=5000)
    copying = {"gather", "edges", "concatenate", "same", "drop", "native", "overpad"}
    legal = {name for name in copying if not LOWERINGS[name].why_not(plan, 4, 1)}
    assert legal - {"overpad"} == SIDES[sides]
    for channels, groups in ((4, 1), (64, 1)):
        data = torch.randn(1, channels, 5000, generator=torch.Generator().manual_seed(0))
        exact, fast = (
            cp.Conv1d(channels, 6, 4, policy=policy, backend="torch", seed=0, groups=groups, execution=execution)(data)
            for execution in ("exact", "fast")
        )
        torch.testing.assert_close(exact, fast, rtol=1e-4, atol=1e-4)


# -- the checks can fail --------------------------------------------------------------------------------------------------

RIGHT = sums.Added.elements


def half_as_much_again(self, data, value):
    """A wrong coefficient."""
    parts = tuple(part._replace(coefficient=None if part.coefficient is None else part.coefficient * 1.5) for part in self.parts)
    return RIGHT(self._replace(parts=parts), data, value)


def backwards(self, data, value):
    """The sides exchanged."""
    return RIGHT(self, data, value).flip(-1)


def other_channel(self, data, value):
    """Every channel gets the constant of the next."""
    return RIGHT(self._replace(constants=None if self.constants is None else self.constants.roll(1, 0)), data, value)


def as_one(self, data, value):
    """The learned constant is taken for 1."""
    return RIGHT(self, data, None if value is None else torch.ones_like(value))


def failing(name):
    """Whether a check of the kit refuses the torch backend."""
    (check,) = [one for one in checks_of(cp.backends()["torch"]) if one.name == name]
    try:
        check.run()
    except ConformanceError:
        return True
    return False


@pytest.mark.parametrize(
    ("fault", "check"),
    [(half_as_much_again, "values-float32"), (backwards, "values-float32"), (other_channel, "sum-of-terms"), (as_one, "learned")],
)
def test_the_kit_rejects_a_wrong_sum(monkeypatch, fault, check):
    """Each fault of the torch layer is refused by the check that is meant, which accepts the right one."""
    assert not failing(check)
    monkeypatch.setattr(sums.Added, "elements", fault)
    assert failing(check)


def test_torchs_own_pad_is_not_mistaken(monkeypatch):
    """The kit refuses a layer that takes two constants for one, or one mode for both sides."""
    monkeypatch.setattr(Pads, "by", lambda self, data, left, right, value=None: torch.nn.functional.pad(data, (left, right)))
    assert failing("values-float32")
