"""``compare``: every aspect of two policies against what is computed here, printed, as data, and where a policy refuses."""

from __future__ import annotations

import itertools
import json

import pytest

import convpolicy as cp

Choice = cp.Choice
ASPECTS = [
    "left", "right", "length_out", "padding rule", "padding mode", "bias", "weight_init", "bias_init", "weight axes", "data axes",
    "weight name", "bias name", "weight_norm",
]  # fmt: skip
FIXED = {  # what each policy says whatever the sizes: the aspects from the fourth on
    "torch": ("valid", "zeros", True, "he_uniform(negative_slope=2.23606797749979)", "uniform", "OIW", "NCW", "weight", "bias"),
    "mindspore": (
        "same_upper",
        "zeros",
        False,
        "he_uniform(negative_slope=2.23606797749979)",
        "uniform",
        "OI1W",
        "NCW",
        "weight",
        "bias",
    ),
    "mindspore@2.0": ("same_upper", "zeros", False, "normal(std=0.01)", "zeros", "OI1W", "NCW", "weight", "bias"),
    "keras": ("valid", "zeros", True, "glorot_uniform", "zeros", "WIO", "NWC", "kernel", "bias"),
    "tensorflow": ("valid", "zeros", True, "glorot_uniform", "zeros", "WIO", "NWC", "kernel", "bias"),
    "flax": ("same_upper", "zeros", True, "lecun_truncated_normal", "zeros", "WIO", "NWC", "kernel", "bias"),
}
SIZES = [(4, 1, 1, 640), (3, 2, 1, 10), (3, 2, 1, 11), (5, 1, 2, 23), (7, 1, 1, 2)]  # Keras refuses stride with dilation


def pads(rule, kernel, stride, dilation, length):
    """Return (left, right, length_out) by the published definition of the two rules that policies use by default."""
    effective = (kernel - 1) * dilation + 1
    if rule == "valid":
        return 0, 0, len(range(0, length - effective + 1, stride))
    windows = -(-length // stride)
    total = max((windows - 1) * stride + effective - length, 0)
    return total // 2, total - total // 2, windows


@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_every_pair_of_policies(sizes):
    """All aspects of all pairs, equal or not, are the numbers and names computed here; the differences are those that differ."""
    kernel, stride, dilation, length = sizes
    for a, b in itertools.product(FIXED, FIXED):
        result = cp.compare(a, b, kernel_size=kernel, stride=stride, dilation=dilation, length=length)
        expected = [[*pads(FIXED[name][0], *sizes), *FIXED[name], None] for name in (a, b)]
        assert (result.a, result.b) == (a, b)
        assert [(row.aspect, row.a, row.b) for row in result.rows] == list(zip(ASPECTS, *expected))
        different = [aspect for aspect, one, other in zip(ASPECTS, *expected) if one != other]
        assert [row.aspect for row in result.differences] == different
        assert [row.same for row in result.rows] == [one == other for one, other in zip(*expected)]
        assert result.plans == tuple(cp.policy(name).plan(kernel, stride, dilation, length=length) for name in (a, b))


def test_a_policy_of_ones_own():
    """Policies are compared as they are, parameters of their parts included; a name and the policy of that name are the same."""
    mine = cp.policy("torch").evolve(
        name="mine", padding=Choice("same_static", odd_side="left"), padding_mode=Choice("constant", value=1.5), weight_init=0.5
    )
    result = cp.compare("torch", mine, kernel_size=4, stride=2, length=9)
    assert [(row.aspect, row.a, row.b) for row in result.differences] == [
        ("left", 0, 2),
        ("right", 0, 1),
        ("length_out", 3, 5),
        ("padding rule", "valid", "same_static(odd_side=left)"),
        ("padding mode", "zeros", "constant(value=1.5)"),
        ("weight_init", "he_uniform(negative_slope=2.23606797749979)", "constant(value=0.5)"),
    ]
    assert result == cp.compare(cp.policy("torch"), mine, kernel_size=4, stride=2, length=9)
    assert hash(result) == hash(cp.compare("torch", mine, kernel_size=4, stride=2, length=9))


def test_initializers_are_told_in_words():
    """The table has the distribution, the rows exactly what the policies name; two names of one distribution are both printed."""
    result = cp.compare("torch", "keras", kernel_size=4, length=9)
    assert "weight_init  uniform ±√(1/fan_in) (PyTorch default)  uniform ±√(3/fan_avg) (Glorot)" in str(result)
    assert "negative_slope" not in str(result)
    row = next(row for row in result.to_dict()["rows"] if row["aspect"] == "weight_init")
    assert (row["a"], row["b"]) == (str(cp.policy("torch").weight_init), "glorot_uniform")
    renamed = cp.policy("torch").evolve(name="mine", weight_init="uniform")
    assert "weight_init  he_uniform(negative_slope=2.23606797749979)  uniform" in str(
        cp.compare("torch", renamed, kernel_size=4, length=9)
    )


README = """\
              torch  mindspore
left          0      1
right         0      2
length_out    637    640
padding rule  valid  same_upper
bias          True   False
weight axes   OIW    OI1W"""


def test_printed():
    """The README's comparison, line by line: only what differs, in columns, without trailing blanks."""
    assert str(cp.compare("torch", "mindspore", kernel_size=4, length=640)) == README


@pytest.mark.parametrize(("a", "b"), [("keras", "tensorflow"), ("torch", "torch"), (cp.Policy("a"), cp.Policy("b"))])
def test_policies_that_do_the_same(a, b):
    """Nothing differs, whatever the policies are called, and the text says so."""
    result = cp.compare(a, b, kernel_size=3, length=7)
    assert result.differences == ()
    assert str(result) == f"{result.a} and {result.b} do the same"
    assert all(row.same for row in result.rows)


SENTENCE = "padding rule 'torch_same': stride must be 1, got 2, as in torch; use 'same_upper' or 'same_static' with a stride."
REFLECT = (
    "padding mode 'reflect' reaches at most 1 for length 2, the plan needs 4; pass a longer input or choose overflow='periodic' "
    "or 'zero-extend'."
)
REFUSING = [
    (cp.policy("torch").evolve(padding="same"), (3, 2, 1, 10), SENTENCE),
    (cp.policy("torch").evolve(padding="causal", padding_mode="reflect"), (5, 1, 1, 2), REFLECT),
]


@pytest.mark.parametrize(("policy", "sizes", "sentence"), REFUSING)
def test_a_policy_that_refuses_the_sizes(policy, sizes, sentence):
    """Its sentence stands in place of its numbers, on its side only; the rest of the comparison goes on."""
    kernel, stride, dilation, length = sizes
    numbers = pads("same_upper", *sizes)
    for swapped in (False, True):
        pair = ("mindspore", policy) if swapped else (policy, "mindspore")
        result = cp.compare(*pair, kernel_size=kernel, stride=stride, dilation=dilation, length=length)
        for row, number in zip(result.rows, numbers):
            assert (row.b, row.a)[:: -1 if swapped else 1] == (number, f"refused: {sentence}")
            assert not row.same
        assert [plan is None for plan in result.plans] == [not swapped, swapped]
        assert "bias" in [row.aspect for row in result.differences]
        assert f"refused: {sentence}" in str(result)
        assert result.to_dict()["plans"][swapped] is None
    both = cp.compare(policy, policy, kernel_size=kernel, stride=stride, dilation=dilation, length=length)
    assert both.plans == (None, None)
    assert both.differences == ()


def test_a_paper():
    """Weight normalisation is a row; without it the rows say the same."""
    rows = [("padding rule", "valid", "same_symmetric"), ("weight_norm", None, 0)]
    pads = [("left", 0, 1), ("right", 0, 1), ("length_out", 7, 9)]
    result = cp.compare("torch", "paper/hifi-gan", kernel_size=3, length=9)
    assert [(row.aspect, row.a, row.b) for row in result.differences] == pads + rows
    plain = cp.policy("paper/hifi-gan").evolve(weight_norm=False)
    assert [row.aspect for row in cp.compare("paper/hifi-gan", plain, kernel_size=3, length=9).differences] == ["weight_norm"]


def test_as_data():
    """``to_dict`` is plain data that JSON carries unchanged: every row, and both plans with what each pad repeats."""
    reflecting = cp.policy("torch").evolve(name="mine", padding=(1, 2), padding_mode="reflect")
    data = cp.compare("torch", reflecting, kernel_size=3, length=4).to_dict()
    assert json.loads(json.dumps(data)) == data
    assert (data["a"], data["b"]) == ("torch", "mine")
    assert [row["aspect"] for row in data["rows"]] == ASPECTS
    assert data["rows"][0] == {"aspect": "left", "a": 0, "b": 1, "same": False}
    assert data["rows"][5] == {"aspect": "bias", "a": True, "b": True, "same": True}
    assert data["plans"][1] == {
        "length": 4, "kernel_size": 3, "stride": 1, "dilation": 1, "left": 1, "right": 2, "mode": "reflect", "value": 0.0,
        "length_out": 5, "left_sources": [1], "right_sources": [2, 1],
    }  # fmt: skip
    assert data["plans"][0]["left_sources"] == []
