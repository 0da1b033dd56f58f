"""`why` names the cause that was planted in a transposed convolution; its change is computed again with the float64 reference."""

from __future__ import annotations

import numpy as np
import pytest

import convpolicy as cp
from convpolicy import reference
from convpolicy.bits.float32 import rounded
from convpolicy.diagnosis import crops

LENGTH = 11
SIZES = {  # a layer to plant a cause in
    "plain": {"in_channels": 4, "out_channels": 6, "kernel_size": 5, "stride": 3, "padding": (1, 2)},
    "stride 1": {"in_channels": 4, "out_channels": 4, "kernel_size": 4, "padding": (1, 2)},
    "torch": {"in_channels": 4, "out_channels": 6, "kernel_size": 4, "stride": 2, "padding": 1},
    "dilated": {"in_channels": 3, "out_channels": 3, "kernel_size": 3, "stride": 2, "dilation": 3, "padding": (2, 3)},
    "grouped": {"in_channels": 6, "out_channels": 12, "kernel_size": 4, "stride": 2, "groups": 3, "padding": (0, 2)},
    "square groups": {"in_channels": 6, "out_channels": 6, "kernel_size": 4, "stride": 2, "groups": 3, "padding": (2, 1)},
    "depthwise": {
        "in_channels": 5,
        "out_channels": 10,
        "kernel_size": 6,
        "stride": 4,
        "groups": 5,
        "padding": (1, 1),
        "dtype": "float64",
    },
    "short kernel": {"in_channels": 4, "out_channels": 6, "kernel_size": 2, "stride": 3, "padding": 0},
    "by rule": {"in_channels": 2, "out_channels": 4, "kernel_size": 5, "stride": 2, "padding": "same_upper"},
    "circular": {
        "in_channels": 4,
        "out_channels": 4,
        "kernel_size": 6,
        "stride": 2,
        "padding": (2, 2),
        "padding_mode": "circular",
    },
}


def layer(**words):
    """A transposed NumPy layer of seeded weights, with a bias."""
    return cp.ConvTranspose1d(
        **{"seed": 5, "bias": True, "weight_init": "uniform", "bias_init": cp.Choice("normal", std=0.3)} | words
    )


def given(words, length=LENGTH, batch=2):
    """Random input for a layer, float64; a layer gets it in its own dtype."""
    return np.random.default_rng(7).standard_normal((batch, words["in_channels"], length))


def cuts(words):
    """What a layer cuts."""
    plan = layer(**words).plan(LENGTH)
    return plan.left, plan.right


def moved(left, right):
    """What a layer cuts, with other numbers added."""
    return lambda words: (cuts(words)[0] + left, cuts(words)[1] + right)


def in_groups(weight):
    """Input and output channels of each of three groups exchanged."""
    return weight.reshape(3, weight.shape[0] // 3, weight.shape[1], -1).swapaxes(1, 2).reshape(weight.shape)


def narrowed(dtype):
    """Numbers that went through a narrower dtype."""
    return lambda values: rounded(values, dtype).astype(values.dtype)


def plant(words, *names):
    """Build layer b with some causes planted."""
    changes = [change for name in names for change in PLANTED[name][2].items()]
    for field, value in changes:
        if field not in WRITTEN:
            words = words | {field: value(words) if callable(value) else value}
    planted = layer(**words)
    for field, change in changes:
        if field in WRITTEN:
            getattr(planted, WRITTEN[field])[...] = change(getattr(planted, WRITTEN[field]).copy())
    return planted


WRITTEN = {"written_weight": "weight", "written_bias": "bias"}
UNEVEN = ("plain", "stride 1", "dilated", "grouped", "square groups", "by rule")
ANY = tuple(SIZES)
PLANTED = {  # name -> (aspect, sizes, what is other)
    "side": ("cut side", UNEVEN, {"padding": lambda words: cuts(words)[::-1]}),
    "all on the right": ("cut split", ("plain", "stride 1", "dilated", "torch", "depthwise"), {"padding": lambda words: (0, sum(cuts(words)))}),
    "one less right": ("cut total", UNEVEN, {"padding": moved(0, -1)}),
    "one more right": ("cut total", ("plain", "torch", "grouped", "depthwise", "by rule", "circular"), {"padding": moved(0, 1)}),
    "one more left": ("cut total", ("plain", "torch", "grouped", "by rule"), {"padding": moved(1, 0)}),
    "nothing cut": ("cut total", ("plain", "torch", "dilated", "by rule"), {"padding": 0}),
    "output_padding": ("output_padding", ("torch", "short kernel", "depthwise"), {"output_padding": 1}),
    "two zeros more": ("output_padding", ("short kernel",), {"output_padding": 2}),
    "zeros appended by a rule": ("appended zeros", ("short kernel",), {"padding": "at_least_stride"}),
    "zeros on the left": ("appended zeros", ("short kernel",), {"padding": (-1, 0)}),
    "circular": ("padding mode", ("plain", "stride 1", "torch", "grouped", "depthwise"), {"padding_mode": "circular"}),
    "dropped": ("padding mode", ("circular",), {"padding_mode": "zeros"}),
    "dilation": ("dilation", ("plain", "torch", "grouped", "depthwise"), {"dilation": 2}),
    "no dilation": ("dilation", ("dilated",), {"dilation": 1}),
    "stride": ("stride", ("plain", "dilated", "grouped", "short kernel"), {"stride": 1}),
    "a wide stride": ("stride", ("plain",), {"stride": 13}),
    "no bias": ("bias", ANY, {"bias": False}),
    "another bias": ("bias", ("plain", "dilated"), {"written_bias": lambda bias: bias + np.linspace(-1, 1, bias.size, dtype=bias.dtype)}),
    "flip": ("flip", ANY, {"written_weight": lambda weight: weight[:, :, ::-1]}),
    "in for out": ("layout", ("stride 1", "dilated"), {"written_weight": lambda weight: weight.transpose(1, 0, 2)}),
    "read as OIW": ("layout", ("plain", "torch"), {"written_weight": lambda weight: weight.reshape(6, 4, -1).transpose(1, 0, 2)}),
    "stored as OIW": ("layout", ("plain", "torch"), {"written_weight": lambda weight: weight.transpose(1, 0, 2).reshape(weight.shape)}),
    "in for out in groups": ("layout", ("square groups",), {"written_weight": in_groups}),
    "weight in float16": ("precision", ("plain", "grouped"), {"written_weight": narrowed("float16")}),
    "weight halved": ("scale", ("plain", "circular"), {"written_weight": lambda weight: weight / 2}),
    "groups": ("kernel_size and groups", ("torch", "plain"), {"groups": 2, "seed": 6}),
    "kernel": ("kernel_size and groups", ("by rule",), {"kernel_size": 3, "seed": 6}),
    # not in float64: weights that are fitted to rounded outputs are less exact than the products of a small weight
    "initial weights": ("initial weights", tuple(name for name in ANY if name != "depthwise"), {"seed": 6}),
}  # fmt: skip
CASES = [(name, sizes) for name, (_aspect, where, _plant) in PLANTED.items() for sizes in where]
ONLY_KNOWN = {"kernel_size and groups", "appended zeros"}  # of an unknown layer other words fit as well


def fits(changed, b, x):
    """Return True if the layer built from a changed capture reproduces the output of b within the rounding bound of both."""
    mine = changed.build("numpy")
    data, spec = x.astype(changed.dtype), changed.spec
    plan = mine.plan(x.shape[2])
    one, two = mine(data), b(data)
    judged = reference.conv_transpose1d(
        data, changed.weight, changed.bias, left=plan.left, right=plan.right, mode=plan.mode, stride=spec.stride,
        dilation=spec.dilation, groups=spec.groups,
    )  # fmt: skip
    bound = reference.tolerance(changed.dtype, judged.terms, judged.magnitude)
    return (
        one.shape == two.shape
        and (np.abs(one - judged.output) <= bound).all()
        and (np.abs(two - judged.output) <= 2 * bound).all()
    )


def opaque_form(b):
    """Return a layer as a function that tells nothing of itself."""
    return lambda data: b(data.astype(b._request.dtype))


def test_there_are_enough_cases():
    """At least 70 single causes and 10 pairs are planted."""
    assert len(CASES) >= 70
    assert len(PAIRS) >= 10


@pytest.mark.grid(every=9)
@pytest.mark.parametrize("opaque", [False, True], ids=["known", "opaque"])
@pytest.mark.parametrize(("name", "sizes"), CASES)
def test_the_planted_cause_is_found(name, sizes, opaque):
    """One cause, named as what was planted, whether b can be taken apart or only be called; its change makes the outputs equal."""
    aspect = PLANTED[name][0]
    words = SIZES[sizes]
    a, b, x = layer(**words), plant(words, name), given(words, batch=8 if "seed" in PLANTED[name][2] else 2)
    found = cp.why(a, opaque_form(b) if opaque else b, x)
    assert found.changed is not None, str(found)
    assert fits(found.changed, b, x)
    assert not cp.why(a, b, x).equal
    if not (opaque and aspect in ONLY_KNOWN):
        assert (found.verdict, [cause.aspect for cause in found.causes]) == ("one cause", [aspect]), str(found)
        assert cp.why(found.changed, b, x).equal


PAIRS = [
    ("plain", "side", "flip"), ("plain", "one more right", "no bias"), ("plain", "flip", "no bias"), ("torch", "output_padding", "flip"),
    ("torch", "output_padding", "no bias"), ("dilated", "no dilation", "flip"), ("stride 1", "in for out", "side"),
    ("stride 1", "in for out", "flip"), ("grouped", "circular", "no bias"), ("by rule", "side", "weight in float16"),
    ("depthwise", "circular", "flip"), ("plain", "initial weights", "side"), ("short kernel", "two zeros more", "no bias"),
]  # fmt: skip
PLANTED["weight in float16"] = ("precision", ("plain", "grouped", "by rule"), PLANTED["weight in float16"][2])


@pytest.mark.grid(every=5)
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


def test_several_causes():
    """More than two: the other's settings are copied, and those that are not needed are left out."""
    words = SIZES["plain"]
    a = layer(**words)
    b = plant(words | {"stride": 2}, "initial weights", "side", "no bias")
    found = cp.why(a, b, given(words))
    assert found.verdict == "4 causes"
    assert {cause.aspect for cause in found.causes} == {"initial weights", "stride", "cut total", "bias"}
    assert fits(found.changed, b, given(words))


@pytest.mark.parametrize("sizes", SIZES)
def test_equal_layers_are_equal(sizes):
    """The same numbers cut by a rule or by a pair, and a capture, are equal; the largest difference is none."""
    words = SIZES[sizes]
    a, x = layer(**words), given(words)
    assert cp.why(a, layer(**words | {"padding": cuts(words)}), x).verdict == "equal to the bit"
    assert cp.why(a, cp.capture(a), x).equal


def test_a_wrong_cut_is_rejected(monkeypatch):
    """A finder that exchanges nothing does not pass as an explanation: the search recomputes what it proposes."""
    words = SIZES["plain"]
    a, b, x = layer(**words), plant(words, "side"), given(words)
    monkeypatch.setattr(crops, "padded", lambda now, _other, pads: crops.Change(f"padding={pads}", now))
    found = cp.why(a, opaque_form(b), x)
    assert "cut side" not in [cause.aspect for cause in found.causes]


# -- what is printed ------------------------------------------------------------------------------------------------------


def test_lengths_that_differ_by_output_padding():
    """The report names both lengths, the first missing output, and the argument."""
    words = SIZES["torch"]
    found = cp.why(layer(**words), layer(**words, output_padding=1), given(words))
    lines = str(found).splitlines()
    assert lines[:3] == [
        "One cause: output padding.",
        "To make the outputs equal, change a: output_padding=1 instead of 0",
        "Where: a has output length 22 and b has 23.",
    ]
    assert lines[3].startswith("First difference: batch 0, channel 0, position 22: a has no output, b = ")


@pytest.mark.parametrize(
    ("sizes", "name", "change"),
    [
        ("short kernel", "two zeros more", "in a: output_padding=2 instead of 0, which appends 2 zeros at the end"),
        ("short kernel", "zeros appended by a rule",
         "in a: append 1 zero at the end, padding=(0, -1) instead of (0, 0) (rule at_least_stride)"),
        ("short kernel", "zeros on the left", "in a: append 1 zero at the start, padding=(-1, 0) instead of (0, 0)"),
        ("plain", "side", "in a: padding=(2, 1) instead of (1, 2)"),
        ("circular", "dropped", "in a: padding_mode='zeros' instead of 'circular'"),
        ("stride 1", "in for out", "in a: use weight.transpose(1, 0, 2): axes OIW were read as IOW"),
        ("square groups", "in for out in groups",
         "in a: use weight.reshape(3, 2, 2, 4).swapaxes(1, 2).reshape(6, 2, 4): input and output channels of each group were exchanged"),
    ],
)  # fmt: skip
def test_changes(sizes, name, change):
    """The changes, word by word."""
    words = SIZES[sizes]
    assert cp.why(layer(**words), plant(words, name), given(words)).change == change


def test_where():
    """Only the ends differ if what is cut is added there; a layer whose other side is cut differs between them."""
    words = SIZES["stride 1"]
    found = cp.why(layer(**words), plant(words, "circular"), given(words))
    assert found.where == "3 of 11 positions and 4 of 4 channels differ, only at the ends, which fewer samples reach"
    found = cp.why(layer(**words), plant(words, "side"), given(words))
    assert found.where == "11 of 11 positions and 4 of 4 channels differ, also between the ends, which fewer samples reach"


def test_the_other_kind_of_layer():
    """A convolution against a transposed one: the kind is the cause, with the call that builds the other, in both directions."""
    conv = cp.Conv1d(4, 6, 3, stride=2, padding=1, padding_mode=cp.Choice("constant", value=2.0), seed=0)
    up = layer(**SIZES["plain"])
    x = given(SIZES["plain"])
    found = cp.why(conv, up, x)
    assert str(found).startswith("One cause: kind of layer.")
    assert found.change == (
        "in a: use ConvTranspose1d(4, 6, 5, stride=3, padding=(1, 2)) instead of Conv1d, and load b's weight and bias"
    )
    assert fits(found.changed, up, x)
    assert cp.why(up, conv, x).change == (
        "in a: use Conv1d(4, 6, 3, stride=2, padding=(1, 1), padding_mode=Choice('constant', value=2.0)) instead of ConvTranspose1d, "
        "and load b's weight and bias"
    )
    assert cp.why(found.changed, up, x).equal


def test_a_convolution_that_equals_a_transposed_one():
    """With stride 1, a transposed convolution is a convolution with the kernel in reverse: outputs are compared, not kinds."""
    up = cp.ConvTranspose1d(4, 6, 5, padding=2, seed=0, dtype="float64")
    conv = cp.Conv1d(4, 6, 5, padding=2, seed=0, dtype="float64")
    conv.weight[...], conv.bias[...] = up.weight.transpose(1, 0, 2)[:, :, ::-1], up.bias
    assert cp.why(up, conv, given({"in_channels": 4})).equal
