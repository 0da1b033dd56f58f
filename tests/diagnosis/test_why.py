"""`why` names the cause that was planted, alone and in pairs, and its change really makes the outputs equal; it believes no label."""

from __future__ import annotations

import numpy as np
import pytest

import convpolicy as cp
from convpolicy import reference
from convpolicy.bits.float32 import rounded

LENGTH = 23
SIZES = {  # a layer to plant a cause in
    "plain": {"in_channels": 4, "out_channels": 6, "kernel_size": 4, "padding": (1, 2)},
    "strided": {"in_channels": 4, "out_channels": 6, "kernel_size": 5, "stride": 3, "padding": (2, 3)},
    "dilated": {
        "in_channels": 3,
        "out_channels": 3,
        "kernel_size": 4,
        "dilation": 3,
        "padding": (4, 5),
        "padding_mode": "reflect",
    },
    "grouped": {
        "in_channels": 6,
        "out_channels": 12,
        "kernel_size": 4,
        "groups": 3,
        "padding": (2, 1),
        "padding_mode": "circular",
    },
    "depthwise": {"in_channels": 5, "out_channels": 10, "kernel_size": 6, "groups": 5, "padding": (3, 2), "dtype": "float64"},
    "by rule": {"in_channels": 2, "out_channels": 4, "kernel_size": 4, "padding": "same_static", "padding_mode": "replicate"},
}


def layer(**words):
    """A NumPy layer of seeded weights, with a bias."""
    return cp.Conv1d(**{"seed": 5, "bias": True, "weight_init": "uniform", "bias_init": cp.Choice("normal", std=0.3)} | words)


def given(words, length=LENGTH, batch=2):
    """Random input for a layer, float64; a layer gets it in its own dtype."""
    return np.random.default_rng(7).standard_normal((batch, words["in_channels"], length))


def pads(words):
    """The pads of a layer."""
    plan = layer(**words).plan(LENGTH)
    return plan.left, plan.right


# -- causes: words that layer b is built with, and what is then written into its weight and bias -----------------------------


def narrowed(dtype):
    """Numbers that went through a narrower dtype."""
    return lambda values: rounded(values, dtype).astype(values.dtype)


def in_turns(values):
    """Output channels of three groups in turns."""
    return values.reshape(3, -1, *values.shape[1:]).swapaxes(0, 1).reshape(values.shape)


def sloped(bias):
    """Another bias."""
    return bias + np.linspace(-1, 1, bias.size, dtype=bias.dtype)


def plant(words, *names):
    """Build layer b with some causes planted."""
    for name in names:
        for field, value in PLANTED[name][2].items():
            words = words | ({field: value(words) if callable(value) else value} if field not in WRITTEN else {})
    planted = layer(**words)
    for name in names:
        for field, change in PLANTED[name][2].items():
            if field in WRITTEN:
                getattr(planted, WRITTEN[field])[...] = change(getattr(planted, WRITTEN[field]).copy())
    return planted


WRITTEN = {"written_weight": "weight", "written_bias": "bias"}
ANY = tuple(SIZES)
PLANTED = {  # name -> (aspect, sizes, what is other)
    "odd side": ("odd side", ANY, {"padding": lambda words: pads(words)[::-1]}),
    "one more left": ("total", ANY, {"padding": lambda words: (pads(words)[0] + 1, pads(words)[1])}),
    "one more right": ("total", ("plain", "dilated", "grouped", "depthwise", "by rule"),
                       {"padding": lambda words: (pads(words)[0], pads(words)[1] + 1)}),
    "one more on each side": ("total", ("plain",), {"padding": lambda words: (pads(words)[0] + 1, pads(words)[1] + 1)}),
    "no padding": ("total", ("plain", "strided", "by rule"), {"padding": 0}),
    "causal": ("split", ("plain", "dilated", "grouped", "depthwise", "by rule"), {"padding": lambda words: (sum(pads(words)), 0)}),
    "phase": ("stride phase", ("strided",), {"padding": (4, 1)}),
    "phase of a block": ("stride phase", ("strided",), {"padding": (5, 0)}),
    "zeros": ("padding mode", ("dilated", "grouped", "by rule"), {"padding_mode": "zeros"}),
    "reflect": ("padding mode", ("plain", "strided", "grouped", "depthwise", "by rule"), {"padding_mode": "reflect"}),
    "symmetric": ("padding mode", ("plain", "strided", "dilated"), {"padding_mode": "symmetric"}),
    "circular": ("padding mode", ("plain", "dilated"), {"padding_mode": "circular"}),
    "a constant": ("padding mode", ("plain", "grouped", "depthwise"), {"padding_mode": cp.Choice("constant", value=-0.625)}),
    "dilation": ("dilation", ("plain", "strided", "grouped"), {"dilation": 2}),
    "no dilation": ("dilation", ("dilated",), {"dilation": 1}),
    "stride": ("stride", ("plain", "dilated", "grouped"), {"stride": 2}),
    "no stride": ("stride", ("strided",), {"stride": 1}),
    "no bias": ("bias", ANY, {"bias": False}),
    "another bias": ("bias", ("plain", "dilated"), {"written_bias": sloped}),
    "flip": ("flip", ANY, {"written_weight": lambda weight: weight[:, :, ::-1]}),
    "in for out": ("layout", ("dilated",), {"written_weight": lambda weight: weight.transpose(1, 0, 2)}),
    "in for kernel": ("layout", ("plain",), {"written_weight": lambda weight: weight.transpose(0, 2, 1)}),
    "reshaped to WIO": ("layout", ("plain", "strided", "grouped"),
                        {"written_weight": lambda weight: weight.transpose(2, 1, 0).reshape(weight.shape)}),
    "read as WIO": ("layout", ("plain", "strided", "grouped"),
                    {"written_weight": lambda weight: weight.reshape(weight.shape[::-1]).transpose(2, 1, 0)}),
    "groups in turns": ("layout", ("grouped",), {"written_weight": in_turns}),
    "groups in turns, bias too": ("layout", ("grouped",), {"written_weight": in_turns, "written_bias": in_turns}),
    "weight in float16": ("precision", ("plain", "grouped", "depthwise"), {"written_weight": narrowed("float16")}),
    "weight in bfloat16": ("precision", ("plain", "strided"), {"written_weight": narrowed("bfloat16")}),
    "both in float16": ("precision", ("plain", "dilated"), {"written_weight": narrowed("float16"), "written_bias": narrowed("float16")}),
    "weight in float32": ("precision", ("depthwise",), {"written_weight": narrowed("float32")}),
    "weight times √2": ("scale", ("plain", "strided"), {"written_weight": lambda weight: weight * np.float32(1.414)}),
    "everything halved": ("scale", ("plain", "grouped"), {"written_weight": lambda weight: weight / 2, "written_bias": lambda bias: bias / 2}),
    "initial weights": ("initial weights", ANY, {"seed": 6}),
}  # fmt: skip
CASES = [(name, sizes) for name, (_aspect, where, _plant) in PLANTED.items() for sizes in where]


def fits(changed, b, x):
    """Return True if the layer built from a changed capture reproduces the output of b within the rounding bound of both."""
    mine, theirs = changed.build("numpy"), b
    data = x.astype(mine._request.dtype)
    one, two = mine(data), theirs(data)
    plan, spec = mine.plan(x.shape[2]), changed.spec
    mode = mine._request.policy.part("padding_mode")[1]
    judged = reference.conv1d(
        data, changed.weight, changed.bias, left=plan.left, right=plan.right, mode=plan.mode, value=plan.value,
        overflow=mode.get("overflow", "error"), stride=spec.stride, dilation=spec.dilation, groups=spec.groups,
    )  # fmt: skip
    bound = reference.tolerance(mine._request.dtype, judged.terms, judged.magnitude)
    return (
        one.shape == two.shape
        and (np.abs(one - judged.output) <= bound).all()
        and (np.abs(two - judged.output) <= 2 * bound).all()
    )


def test_there_are_enough_cases():
    """At least 60 single causes and 15 pairs are planted."""
    assert len(CASES) >= 60
    assert len(PAIRS) >= 15


@pytest.mark.grid(every=9)
@pytest.mark.parametrize("opaque", [False, True], ids=["known", "opaque"])
@pytest.mark.parametrize(("name", "sizes"), CASES)
def test_the_planted_cause_is_found(name, sizes, opaque):
    """One cause, named as what was planted, whether b can be taken apart or only be called; its change makes the outputs equal."""
    aspect = PLANTED[name][0]
    words = SIZES[sizes]
    a, b, x = layer(**words), plant(words, name), given(words, batch=8 if aspect == "initial weights" else 2)
    found = cp.why(a, opaque_form(b) if opaque else b, x)
    assert (found.verdict, [cause.aspect for cause in found.causes]) == ("one cause", [aspect]), str(found)
    assert found.changes_on == "a"
    assert fits(found.changed, b, x)
    assert not cp.why(a, b, x).equal
    assert cp.why(found.changed, b, x).equal


def opaque_form(b):
    """Return a layer as a function that tells nothing of itself."""
    return lambda data: b(data.astype(b._request.dtype))


PAIRS = [
    ("plain", "odd side", "reflect"), ("plain", "one more left", "symmetric"), ("plain", "odd side", "dilation"),
    ("plain", "flip", "no bias"), ("plain", "flip", "odd side"), ("plain", "in for kernel", "reflect"),
    ("plain", "weight in float16", "odd side"), ("plain", "no bias", "circular"), ("plain", "stride", "no bias"),
    ("plain", "dilation", "no bias"), ("plain", "reshaped to WIO", "a constant"), ("plain", "weight times √2", "odd side"),
    ("plain", "one more on each side", "reflect"), ("plain", "another bias", "causal"), ("plain", "initial weights", "odd side"),
    ("plain", "initial weights", "reflect"), ("plain", "initial weights", "dilation"), ("strided", "phase", "reflect"),
    ("strided", "phase", "flip"), ("strided", "no stride", "no bias"), ("grouped", "groups in turns", "zeros"),
    ("grouped", "groups in turns", "one more right"), ("dilated", "no dilation", "zeros"), ("dilated", "in for out", "causal"),
    ("depthwise", "odd side", "no bias"), ("by rule", "one more left", "zeros"),
]  # fmt: skip


@pytest.mark.grid(every=9)
@pytest.mark.parametrize("opaque", [False, True], ids=["known", "opaque"])
@pytest.mark.parametrize(("sizes", "one", "two"), PAIRS)
def test_two_planted_causes_are_found(sizes, one, two, opaque):
    """Two causes, both named, and no single one; together their changes make the outputs equal."""
    words = SIZES[sizes]
    a, b, x = layer(**words), plant(words, one, two), given(words, batch=8 if "initial weights" in (one, two) else 2)
    found = cp.why(a, opaque_form(b) if opaque else b, x)
    assert found.verdict == "two causes", str(found)
    assert {cause.aspect for cause in found.causes} == {PLANTED[one][0], PLANTED[two][0]}, str(found)
    assert fits(found.changed, b, x)
    assert " and " in found.change
