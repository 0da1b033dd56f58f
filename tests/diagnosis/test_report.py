"""Reports of `why`: equal layers, wrong attributes, indistinguishable explanations and several causes."""

from __future__ import annotations

import json

import numpy as np
import pytest
from helpers.diagnosed import X, layer

import convpolicy as cp
from convpolicy import reference
from convpolicy.diagnosis.computation import Computation, Grid


def aspects(found):
    """The aspects of the causes."""
    return [cause.aspect for cause in found.causes]


# -- equal ----------------------------------------------------------------------------------------------------------------


def test_equal_to_the_bit():
    """Two layers with the same arguments, or a layer and its output."""
    a = layer()
    for b in (layer(), a(X), cp.capture(a).build("numpy"), lambda data: a(data.astype("float32"))):
        found = cp.why(a, b, X)
        assert found.equal
        assert str(found) == "The outputs are equal to the bit."
        assert (found.causes, found.first_difference, found.largest_difference, found.change) == ((), None, None, "")


def test_equal_within_rounding_says_how_far():
    """A float64 layer of the same weights: the largest distance, and what rounding explains; one unit of float16 more is no rounding."""
    a = layer()
    b = cp.capture(a).build("numpy", dtype="float64")
    found = cp.why(a, b, X)
    assert found.verdict == "equal within rounding"
    largest = np.abs(a(X) - b(X.astype("float64"))).max()
    assert abs(found.largest_difference.a - found.largest_difference.b) == largest > 0
    assert largest <= found.largest_difference.bound < 1e-4
    assert not cp.why(a, b(X.astype("float64")) * (1 + 2**-11), X).equal


def test_the_first_difference_is_the_first():
    """If one output is slightly off, its position and both values are reported, and no cause is named."""
    a = layer()
    output = a(X)
    output[1, 3, 7] += 0.001
    found = cp.why(a, output, X)
    assert (found.verdict, found.causes, found.changed, found.change) == ("unexplained", (), None, "")
    first = found.first_difference
    assert (first.batch, first.channel, first.position) == (1, 3, 7)
    assert (first.a, first.b) == (a(X)[1, 3, 7], output[1, 3, 7])
    assert found.largest_difference == first
    assert found.where == "1 of 21 positions and 1 of 6 channels differ, also in windows that read no padding"
    assert str(found).startswith(
        f"Unexplained: none of the {found.tried} changes tried, alone or in pairs, makes the outputs equal.\n"
    )
    assert found.tried > 100


def test_where_the_difference_lies():
    """At the ends only, for another padding mode; the lengths, for another total."""
    assert cp.why(layer(), layer(padding_mode="circular"), X).where == (
        "3 of 21 positions and 6 of 6 channels differ, only in windows that read padding"
    )
    found = cp.why(layer(), layer(padding=(1, 1)), X)
    assert found.where == "a has output length 21 and b has 20"
    assert (found.first_difference.position, found.first_difference.b) == (20, None)


# -- labels -----------------------------------------------------------------------------------------------------------------


class Labelled:
    """A layer whose attributes say one thing and that computes another."""

    def __init__(self, says, does):
        self.says, self.does = says, does

    def __call__(self, data):
        return self.does(data)


@pytest.fixture
def labelled():
    """A backend whose capture believes the attributes of its layers."""

    class Plugin:
        @cp.hookimpl
        def convpolicy_backends(self):
            """Return it."""
            return [
                cp.Backend(
                    "labelled", Labelled, capture=lambda given: cp.capture(given.says) if type(given) is Labelled else None
                )
            ]

    cp.register(Plugin(), "labelled")
    yield Labelled
    cp.unregister("labelled")


def test_no_label_is_believed(labelled):
    """Wrong attributes on either side are noticed, and the explanation follows the outputs."""
    upper, lower = layer(padding=(1, 2)), layer(padding=(2, 1))
    liar = labelled(says=upper, does=lower)
    assert cp.capture(liar).policy.padding == upper.policy.padding  # the label is there to be believed
    assert cp.why(upper, liar, X).causes == cp.why(upper, lower, X).causes != ()
    assert cp.why(lower, liar, X).equal  # by the labels they differ
    backwards = cp.why(liar, upper, X)
    assert (aspects(backwards), backwards.changes_on) == (["odd side"], "b")
    assert backwards.change == "in b: padding=(2, 1) instead of (1, 2)"
    assert backwards.notes == ("a does not compute what its attributes describe, so it is compared by its outputs only.",)
    honest = labelled(says=upper, does=upper)
    assert cp.why(upper, honest, X).verdict == "equal to the bit"
    with pytest.raises(TypeError, match=r"a or b must be a layer that convpolicy\.capture accepts, got none"):
        cp.why(liar, labelled(says=lower, does=upper), X)


def test_the_labels_of_weights_are_not_believed(labelled):
    """Weights that say to be a's and are flipped in the forward."""
    flipped = layer()
    flipped.weight[...] = flipped.weight[:, :, ::-1].copy()
    found = cp.why(layer(), labelled(says=layer(), does=flipped), X)
    assert (found.verdict, aspects(found)) == ("one cause", ["flip"])


# -- what cannot be told apart --------------------------------------------------------------------------------------------------


def test_what_one_input_cannot_tell_apart():
    """torch's padding 1 and TensorFlow's 'same' on an even length: by total or by phase; the input it names tells them apart."""
    x = X[..., :20]
    a, b = layer(kernel_size=3, stride=2, padding=1), layer(kernel_size=3, stride=2, padding="same_upper")
    found = cp.why(a, b(x), x)
    assert found.verdict == "undecided"
    said = [found.causes, *(other.causes for other in found.alternatives)]
    assert {tuple(cause.aspect for cause in causes) for causes in said} == {("total",), ("stride phase",)}
    assert {causes[0].change for causes in said} == {"padding=(0, 1) instead of (1, 1)", "padding=(0, 2) instead of (1, 1)"}
    named = found.alternatives[0].told_apart_by
    longer = eval(named, {"numpy": np})
    assert longer.shape == (1, 4, 21)
    assert str(found).startswith("Most likely: amount of padding.\n")
    assert (
        f"This fits the input too: {found.alternatives[0].causes[0].change}\nTo decide, compare the layers on x = {named}."
        in str(found)
    )
    assert aspects(cp.why(a, b, longer)) == []  # both have (1, 1) there: the rule is by length, which no one pad is
    assert cp.why(a, b, longer).equal


def test_an_input_that_says_little():
    """On zeros all pads and weights are alike: those layers are equal, and a bias is one explanation among others."""
    zeros = np.zeros_like(X)
    assert cp.why(layer(), layer(padding=(2, 1)), zeros).verdict == "equal to the bit"
    found = cp.why(layer(), layer(bias=False), zeros)
    assert found.verdict == "undecided"
    assert aspects(found) == ["bias"]  # what b itself has comes first


def test_modes_that_do_the_same_are_one():
    """With one added element replicate and symmetric are the same on every input: one cause, no alternative."""
    found = cp.why(layer(kernel_size=3, padding=1), layer(kernel_size=3, padding=1, padding_mode="symmetric"), X)
    assert (found.verdict, aspects(found), found.alternatives) == ("one cause", ["padding mode"], ())


# -- more -------------------------------------------------------------------------------------------------------------------


def test_more_than_two_causes():
    """Where b is known, its properties that are needed are counted, and no other."""
    a = layer()
    b = layer(seed=1, padding=(2, 1), bias=False, padding_mode="circular")
    found = cp.why(a, b, X)
    assert found.verdict == "4 causes"
    assert set(aspects(found)) == {"initial weights", "total", "padding mode", "bias"}
    assert cp.why(found.changed, b, X).equal
    assert cp.why(a, b(X), X).verdict == "unexplained"


def test_other_sizes():
    """Another kernel_size, or other groups, with weights of another shape."""
    found = cp.why(layer(), layer(kernel_size=5, padding=(1, 3)), X)
    assert set(aspects(found)) == {"kernel_size and groups", "total"}
    assert "kernel_size=5 instead of 4, with b's weight and bias" in found.change
    assert aspects(cp.why(layer(bias=False), layer(groups=2, bias=False), X)) == ["kernel_size and groups"]


def test_axes_of_data():
    """Outputs as (batch, length, out); inputs that were reshaped where they had to be transposed."""
    a = layer()
    found = cp.why(a, a(X).transpose(0, 2, 1), X)
    assert (found.verdict, found.change) == ("one cause", "in a: read b's output as (batch, length, out)")
    two = cp.why(a, layer(padding=(2, 1))(X).transpose(0, 2, 1), X)
    assert aspects(two) == ["output axes", "odd side"]
    wrong = X.transpose(0, 2, 1).reshape(X.shape)
    found = cp.why(a, a(wrong), X)
    assert (aspects(found), found.change) == (["input axes"], "in a: pass x.transpose(0, 2, 1).reshape(2, 4, 21)")
    square = X[..., :4]
    assert aspects(cp.why(a, a(square.transpose(0, 2, 1)), square)) == ["input axes"]


def test_computing_in_a_narrower_dtype():
    """Input and weight rounded to tf32's 10 bits, as a GPU multiplies by default: off by 1e-3, and named."""

    def tf32(values):
        bits = values.view(np.uint32) + 0x0FFF + (values.view(np.uint32) >> 13 & 1)
        return (bits & 0xFFFFE000).view(np.float32)

    a = layer(in_channels=16, kernel_size=9, padding=4)
    x = np.random.default_rng(0).standard_normal((2, 16, 40)).astype("float32")
    fast = layer(in_channels=16, kernel_size=9, padding=4)
    fast.weight[...] = tf32(fast.weight)
    found = cp.why(a, fast(tf32(x)), x)
    assert (found.verdict, found.change) == ("one cause", "in a: multiply in tf32: round input and weight to it")
    assert 1e-4 < abs(found.largest_difference.a - found.largest_difference.b) < 1e-2


def test_captures_need_no_framework():
    """A `Capture` can replace its layer, also in dtypes that NumPy layers do not support."""
    weight = np.random.default_rng(0).standard_normal((6, 4, 4)).astype("float16")
    spec = cp.ConvSpec.of(4, 6, 4, 1, 1, 1)
    half = [
        cp.Capture(spec, cp.policy("torch").evolve(padding=pads, bias=False), weight, None, "float16")
        for pads in ((1, 2), (2, 1))
    ]
    assert cp.why(half[0], half[0], X).equal
    assert aspects(cp.why(*half, X)) == ["odd side"]


def test_the_values_are_the_references():
    """What is tried against is the float64 loop of `convpolicy.reference`, at any outputs, with its magnitudes."""
    for words in (
        {"padding_mode": "reflect", "dilation": 2},
        {"groups": 2, "stride": 3, "padding_mode": cp.Choice("constant", value=2.0)},
    ):
        taken = cp.capture(layer(**words))
        computation = Computation(taken, X.astype("float64"))
        plan, spec = computation.plan, taken.spec
        judged = reference.conv1d(
            X, taken.weight, taken.bias, left=plan.left, right=plan.right, mode=plan.mode, value=plan.value,
            stride=spec.stride, dilation=spec.dilation, groups=spec.groups,
        )  # fmt: skip
        values = computation.full()
        grid = Grid(np.array([1]), np.array([5, 0]), np.array([0, 3, plan.length_out - 1]))
        bound = 2 * reference.tolerance("float64", judged.terms, judged.magnitude)
        assert (np.abs(values.output - judged.output) <= bound).all()
        assert (np.abs(values.magnitude - judged.magnitude) <= bound).all()
        assert (np.abs(computation.at(grid).output - grid.of(judged.output)) <= grid.of(bound)).all()
        assert values.terms == judged.terms


def test_a_diagnosis_as_data():
    """`to_dict` is JSON and holds every field."""
    found = cp.why(layer(), layer(padding=(2, 1), bias=False), X)
    data = json.loads(json.dumps(found.to_dict()))
    assert (data["verdict"], data["equal"], data["change"]) == ("two causes", False, found.change)
    assert data["causes"] == [{"aspect": cause.aspect, "change": cause.change} for cause in found.causes]
    assert data["first_difference"]["position"] == found.first_difference.position
    assert data["changed"] == str(found.changed)


def test_a_bias_that_the_other_lacks_is_not_loaded():
    """Among three changes the missing bias is one, by its name."""
    random = np.random.default_rng(0)
    base = cp.Conv1d(8, 8, 3, padding=1, seed=0)
    other = cp.Conv1d(8, 8, 3, padding=2, dilation=2, bias=False, weight_init=base.weight)
    found = cp.why(base, other, random.standard_normal((2, 8, 40), dtype=np.float32))
    assert found.verdict == "3 causes"
    assert found.change == "in a: dilation=2 instead of 1 and padding=(2, 2) instead of (1, 1) and bias=False"
