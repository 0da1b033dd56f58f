"""``compare`` of transposed convolutions, and of layers of both kinds: every row against numbers computed here or by the reference."""

from __future__ import annotations

import json

import numpy as np
import pytest

import convpolicy as cp
from convpolicy import reference
from convpolicy.comparison import aspects

ASPECTS = [
    "cut left", "cut right", "length_out", "crop rule", "padding mode", "bias", "weight_init", "bias_init", "weight axes", "data axes",
    "weight name", "bias name", "weight_norm", "kernel reversed", "fan_in",
]  # fmt: skip
SIZES = [(4, 2, 1, 9), (5, 2, 1, 10), (2, 3, 1, 7), (3, 2, 2, 12), (7, 4, 1, 5), (1, 4, 1, 3)]
RULES = {  # crop rule -> (left, right) of e and the stride, by its published definition
    "explicit(left=1, output_padding=1, right=1)": lambda e, s: (1, 0),
    "explicit(left=0, right=2)": lambda e, s: (0, 2),
    "at_least_stride": lambda e, s: (0, min(e - s, 0)),
    "same_upper": lambda e, s: ((e - s) // 2, e - s - (e - s) // 2) if e > s else (0, e - s),
    "same_lower": lambda e, s: (e - s - (e - s) // 2, (e - s) // 2) if e > s else (0, e - s),
    "causal": lambda e, s: (0, e - s),
}
PADDINGS = {
    "explicit(left=1, output_padding=1, right=1)": cp.Choice("explicit", left=1, right=1, output_padding=1),
    "explicit(left=0, right=2)": (0, 2),
}


def half(rule, **changes):
    """The transposed policy of torch with another crop rule."""
    return cp.policy("torch").half().evolve(padding=PADDINGS.get(rule, rule), **changes)


def lengths(kernel, stride, dilation, length, cuts):
    """The output length by the float64 reference."""
    data, weight = np.ones((1, 1, length)), np.ones((1, 1, kernel))
    return reference.conv_transpose1d(data, weight, left=cuts[0], right=cuts[1], stride=stride, dilation=dilation).output.shape[2]


def check_every_pair_of_rules(sizes):
    """Compare all pairs of rules: cuts, lengths and the rules' names."""
    kernel, stride, dilation, length = sizes
    e = (kernel - 1) * dilation + 1
    for a in RULES:
        for b in RULES:
            result = cp.compare(half(a), half(b), kernel_size=kernel, stride=stride, dilation=dilation, length=length)
            cuts = [RULES[rule](e, stride) for rule in (a, b)]
            expected = {
                "cut left": tuple(cut[0] for cut in cuts),
                "cut right": tuple(cut[1] for cut in cuts),
                "length_out": tuple(lengths(*sizes, cut) for cut in cuts),
                "crop rule": (a, b),
            }
            rows = {row.aspect: (row.a, row.b) for row in result.rows}
            assert list(rows) == ASPECTS
            assert {aspect: rows[aspect] for aspect in expected} == expected
            assert [row.aspect for row in result.differences] == [name for name, pair in expected.items() if pair[0] != pair[1]]


@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_every_pair_of_rules(sizes):
    """Which side is cut, how much, zeros that are appended, and the length: as the rules' definitions and the reference say."""
    check_every_pair_of_rules(sizes)


def test_exchanged_sides_are_noticed(monkeypatch):
    """The comparison above fails where left and right are exchanged."""
    monkeypatch.setitem(aspects.CUT_ASPECTS, "cut left", lambda plan: plan.right)
    with pytest.raises(AssertionError):
        check_every_pair_of_rules(SIZES[0])


def test_layout_flip_fans_names_and_initializers():
    """A policy whose weight is stored in reverse, whose fan-in is the other axis, and that draws otherwise: a row for each."""
    mirrored = cp.Layout("KIO", "WIO", weight="kernel", transposed=True, flip=True)

    class Plugin:
        @cp.hookimpl
        def convpolicy_layouts(self):
            return [mirrored]

    cp.register(Plugin(), "mirrored")
    try:
        other = half("same_upper", name="mine", layout="KIO", data_layout="NWC", bias=False, weight_init="glorot_uniform")
        result = cp.compare(
            "torch", cp.policy("torch").evolve(name="mine", transposed=other), kernel_size=5, stride=2, length=9, transposed=True
        )
        texts = {row.aspect: row.texts for row in result.differences}
        assert texts == {
            "cut left": ("0", "1"), "cut right": ("0", "2"), "length_out": ("21", "18"), "crop rule": ("explicit", "same_upper"),
            "bias": ("True", "False"),
            "weight_init": ("uniform ±√(1/fan_in) (PyTorch default)", "uniform ±√(3/fan_avg) (Glorot)"),
            "weight axes": ("IOW", "WIO"), "data axes": ("NCW", "NWC"), "weight name": ("weight", "kernel"),
            "kernel reversed": ("False", "True"),
            "fan_in": ("out_channels // groups * kernel_size", "in_channels // groups * kernel_size"),
        }  # fmt: skip
        assert json.loads(json.dumps(result.to_dict())) == result.to_dict()
    finally:
        cp.unregister("mirrored")


def test_printed():
    """A comparison line by line; appended zeros are told in words, and the numbers stay numbers in the rows."""
    result = cp.compare(
        half("at_least_stride"), half("explicit(left=0, right=2)", name="mine"), kernel_size=2, stride=3, length=5
    )
    assert str(result) == (
        "            torch            mine\n"
        "cut right   appends 1 zero   2\n"
        "length_out  15               12\n"
        "crop rule   at_least_stride  explicit(left=0, right=2)"
    )
    assert result.rows[1].a == -1
    assert str(cp.compare("torch", "torch", kernel_size=2, length=5, transposed=True)) == "torch and torch do the same"
    assert result._repr_html_().count("<tr>") == 4


def test_a_convolution_and_a_transposed_one():
    """One row says so, first; only what both have in common is compared below it."""
    result = cp.compare("torch", half("same_upper", bias=False), kernel_size=4, stride=2, length=9)
    assert [(row.aspect, row.a, row.b) for row in result.differences] == [
        ("layer", "Conv1d", "ConvTranspose1d"),
        ("length_out", 3, 18),
        ("bias", True, False),
        ("weight axes", "OIW", "IOW"),
    ]
    assert str(result).splitlines()[0].split() == ["torch", "(a)", "torch", "(b)"]
    assert "cut left" not in [row.aspect for row in result.rows]
    assert result.to_svg().startswith("<svg")


# -- layers ---------------------------------------------------------------------------------------------------------------


def layer(**options):
    """A transposed NumPy layer."""
    return cp.ConvTranspose1d(**{"in_channels": 4, "out_channels": 6, "kernel_size": 5, "stride": 2, "seed": 0} | options)


def test_layers_are_compared_with_their_sizes_and_values():
    """Sizes, dtype and the largest difference of the weights, computed here; a layer and its capture are the same."""
    a, b = layer(), layer(seed=1, kernel_size=5, stride=3, groups=2, padding=(1, 2), dtype="float64")
    rows = {row.aspect: (row.a, row.b) for row in cp.compare(a, b, length=9).differences}
    assert rows.pop("weight values")[0].startswith("(4, 6, 5) crc32")
    assert rows.pop("bias values")
    assert rows == {
        "stride": (2, 3), "groups": (1, 2), "dtype": ("float32", "float64"), "cut left": (0, 1), "cut right": (0, 2),
        "length_out": (21, 26), "crop rule": ("explicit", "explicit(left=1, right=2)"),
    }  # fmt: skip
    c = layer(seed=1)
    texts = {row.aspect: row.texts for row in cp.compare(a, c, length=9).differences}
    assert texts == {
        "weight values": ("shape (4, 6, 5)", f"differs by up to {np.abs(a.weight.astype(float) - c.weight).max():.3g}"),
        "bias values": ("shape (6,)", f"differs by up to {np.abs(a.bias.astype(float) - c.bias).max():.3g}"),
    }
    assert cp.compare(a, cp.capture(a), length=9).differences == ()
    wide = layer(dtype="float64")
    wide.weight[...], wide.bias[...] = a.weight, a.bias
    assert [row.aspect for row in cp.compare(a, wide, length=9).differences] == ["dtype"]


def test_a_layer_and_a_policy():
    """The policy gets the sizes of the layer, and is compared by its transposed half."""
    result = cp.compare(layer(padding="same_upper"), "torch", length=9)
    assert [(row.aspect, row.a, row.b) for row in result.differences] == [
        ("cut left", 1, 0), ("cut right", 2, 0), ("length_out", 18, 21), ("crop rule", "same_upper", "explicit"),
    ]  # fmt: skip
    plain = cp.compare("torch", cp.Conv1d(4, 6, 5, padding=(1, 2), seed=0), length=9)
    assert [(row.aspect, row.a, row.b) for row in plain.differences][:3] == [
        ("left", 0, 1),
        ("right", 0, 2),
        ("length_out", 5, 8),
    ]


def test_layers_of_both_kinds():
    """The kinds are the first row, and the bias is compared, since it has one form."""
    conv = cp.Conv1d(4, 6, 5, stride=2, seed=0)
    conv.bias[...] = layer().bias
    assert [row.aspect for row in cp.compare(layer(), conv, length=9).differences] == [
        "layer", "weight values", "length_out", "weight axes",
    ]  # fmt: skip


class Model:
    """Not a layer."""

    __module__ = "numpy.models"


REFUSED = {
    "sizes of a layer": (lambda: cp.compare(layer(), layer(), kernel_size=5, length=9), "kernel_size must be left out when a or b is a layer"),
    "stride of a layer": (lambda: cp.compare("torch", layer(), stride=2, length=9), "stride must be left out when a or b is a layer"),
    "no sizes": (lambda: cp.compare("torch", "torch", length=9), "kernel_size must be passed to compare policies"),
    "no half": (
        lambda: cp.compare(cp.Policy("plain"), "torch", kernel_size=3, length=9, transposed=True),
        "policy 'plain' describes no transposed convolution",
    ),
    "no half beside a layer": (lambda: cp.compare(cp.Policy("plain"), layer(), length=9), "policy 'plain' describes no transposed convolution"),
    "another object": (lambda: cp.compare(Model(), layer(), length=9), "a: layer must be a 1-D convolution"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case):
    """One sentence, before anything is compared."""
    call, sentence = REFUSED[case]
    with pytest.raises(cp.ConvPolicyError) as error:
        call()
    assert str(error.value).startswith(sentence)
