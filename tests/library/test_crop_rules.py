"""Crop rules against what was measured on the frameworks and against formulas written out again; wrong rules are rejected."""

from __future__ import annotations

import itertools

import pytest
from helpers.refusals import refused
from helpers.scatter import reached

import convpolicy as cp
from convpolicy import arithmetic
from convpolicy.errors import PluginError

Choice = cp.Choice
HALF = cp.policy("torch").transposed
GRID = tuple(itertools.product(range(1, 10), range(1, 6), range(1, 4)))  # kernel_size, stride, dilation


def spread(kernel, dilation):
    """Samples of the output that one input sample reaches, first to last."""
    return len(range(0, kernel * dilation, 1)) - (dilation - 1)


def halves(total, more_right=True):
    """A total in two parts, the larger on one side."""
    small, large = sorted((total - total // 2, total // 2))
    return (small, large) if more_right else (large, small)


def same(kernel, stride, dilation, more_right):
    """Both sides of what is too much; what is missing is appended on the right."""
    total = spread(kernel, dilation) - stride
    return (0, total) if total < 0 else halves(total, more_right)


# choice -> (left, right) for kernel, stride, dilation; None where the rule refuses
RULES = {
    Choice("explicit"): lambda k, s, d: (0, 0),
    Choice("explicit", left=2, right=3): lambda k, s, d: (2, 3),
    Choice("explicit", left=-1, right=-4): lambda k, s, d: (-1, -4),
    Choice("explicit", left=2, right=2, output_padding=2): lambda k, s, d: (2, 0) if max(s, d) > 2 else None,
    Choice("at_least_stride"): lambda k, s, d: (0, 0) if spread(k, d) >= s else (0, spread(k, d) - s),
    Choice("same_upper"): lambda k, s, d: same(k, s, d, more_right=True),
    Choice("same_upper", odd_side="left"): lambda k, s, d: same(k, s, d, more_right=False),
    Choice("same_lower"): lambda k, s, d: same(k, s, d, more_right=False),
    Choice("same_lower", odd_side="right"): lambda k, s, d: same(k, s, d, more_right=True),
    Choice("symmetric"): lambda k, s, d: ((spread(k, d) - s) // 2,) * 2 if spread(k, d) >= s else None,
    Choice("causal"): lambda k, s, d: (0, spread(k, d) - s),
}


def check_rule(choice, expected):
    """Assert that a rule cuts what is expected, and refuses what is to be refused, for every size of the grid."""
    policy = HALF.evolve(padding=choice)
    for sizes in GRID:
        try:
            cuts = policy.static_pads(*sizes)
        except cp.InvalidValueError:
            cuts = None
        assert cuts == expected(*sizes), (choice, sizes)


@pytest.mark.parametrize("choice", RULES, ids=str)
def test_every_rule_cuts_what_its_formula_says(choice):
    """Kernel 1 to 9, stride 1 to 5, dilation 1 to 3, below, at and above the stride; none depends on the length."""
    check_rule(choice, RULES[choice])


def test_every_rule_is_tested():
    """All built-in rules are in the table, and each says what it does."""
    built_in = {name for name, rule in cp.crop_rules().items() if rule.provider == "crop_rules"}
    assert {choice.name for choice in RULES} == built_in
    assert all(rule.description and not rule.needs_length for name, rule in cp.crop_rules().items() if name in built_in)


WRONG = {  # what another implementation may do -> pairs of a rule and the rule that it is mistaken for
    "the extra sample on the other side": (Choice("same_upper"), Choice("same_lower")),
    "nothing appended": (Choice("at_least_stride"), Choice("explicit")),
    "all of it cut on one side": (Choice("same_upper"), Choice("causal")),
    "half of it cut on both sides": (Choice("same_upper"), Choice("symmetric")),
    "output_padding ignored": (Choice("explicit", left=2, right=2, output_padding=2), Choice("explicit", left=2, right=2)),
    "sides exchanged": (Choice("explicit", left=2, right=3), Choice("explicit", left=3, right=2)),
}


@pytest.mark.parametrize("fault", WRONG)
def test_a_wrong_rule_is_rejected(fault):
    """The check above fails for each rule that another is mistaken for."""
    right, wrong = WRONG[fault]
    with pytest.raises(AssertionError):
        check_rule(wrong, RULES[right])


# (kernel, stride, dilation) -> what Keras, Flax and MindSpore cut for `same`, as measured; Paddle's differs, see its own rule
MEASURED_SAME = {
    (3, 2, 1): (0, 1), (4, 1, 1): (1, 2), (5, 2, 1): (1, 2), (7, 4, 1): (1, 2), (2, 3, 1): (0, -1), (3, 2, 2): (1, 2), (4, 2, 1): (1, 1),
}  # fmt: skip


@pytest.mark.parametrize("sizes", MEASURED_SAME)
def test_measured(sizes):
    """`same` of the frameworks as measured, ONNX's SAME_LOWER as its mirror image where samples are cut, and `valid` of length · stride."""
    left, right = MEASURED_SAME[sizes]
    assert HALF.evolve(padding="same_upper").static_pads(*sizes) == (left, right)
    lower = (right, left) if right >= 0 else (left, right)
    assert HALF.evolve(padding="same_lower").static_pads(*sizes) == lower
    valid = HALF.evolve(padding="at_least_stride").plan(*sizes, length=6)
    assert valid.length_out == max(6 * sizes[1], 5 * sizes[1] + spread(sizes[0], sizes[2]))


# (kernel, stride) of the upsampling layers of HiFi-GAN's three generators, and the padding of its code
HIFI_GAN = {(16, 8): 4, (4, 2): 1, (8, 4): 2, (16, 16): 0, (11, 5): 3}


@pytest.mark.parametrize("sizes", HIFI_GAN)
def test_symmetric_is_the_padding_of_vocoders(sizes):
    """``(kernel_size - stride) // 2`` on both sides, which keeps length · stride samples where the difference is even."""
    policy = HALF.evolve(padding="symmetric")
    assert policy.static_pads(*sizes, 1) == (HIFI_GAN[sizes],) * 2
    more = (sizes[0] - sizes[1]) % 2
    assert policy.plan(*sizes, length=7).length_out == 7 * sizes[1] + more


@pytest.mark.parametrize("choice", [choice for choice in RULES if choice.name in ("same_upper", "same_lower", "causal")], ids=str)
def test_the_output_is_a_multiple(choice):
    """These rules keep length · stride samples, counted in a scatter by hand."""
    for sizes, length in itertools.product(GRID[::3], (1, 2, 5)):
        cuts = HALF.evolve(padding=choice).static_pads(*sizes)
        assert len(reached(length, sizes, *cuts)) == length * sizes[1]


def test_refusals():
    """output_padding that is not below max(stride, dilation), a kernel below the stride, and parameters that do not exist."""
    padded = HALF.evolve(padding=Choice("explicit", output_padding=2))
    says = (
        "crop rule 'explicit': output_padding must be below max(stride, dilation) = 2, got 2; pass less, or a pair (left, right)"
    )
    for sizes in ((3, 2, 1), (3, 1, 2), (3, 2, 2)):
        refused(lambda sizes=sizes: padded.static_pads(*sizes), ValueError, says)
    assert padded.static_pads(3, 1, 3) == padded.static_pads(3, 3, 1) == (0, -2)
    assert HALF.evolve(padding=Choice("explicit", right=5, output_padding=0)).static_pads(1, 1, 1) == (0, 5)
    refused(
        lambda: HALF.evolve(padding="symmetric").static_pads(2, 3, 1),
        ValueError,
        "effective kernel must be at least the stride, got 2 and 3",
    )
    for choice, builtin, says in (
        (Choice("explicit", output_padding=-1), ValueError, "explicit: output_padding must be at least 0, got -1"),
        (Choice("explicit", output_padding=1.0), TypeError, "explicit: output_padding must be an integer, got 1.0"),
        (Choice("explicit", left=0.5), TypeError, "explicit: left must be an integer, got 0.5"),
        (Choice("causal", output_padding=1), ValueError, "crop rule 'causal' has no parameter 'output_padding'; it has: none"),
        (Choice("same_upper", odd_side="up"), ValueError, "odd_side must be one of left, right, got 'up'"),
    ):
        refused(lambda choice=choice: HALF.evolve(padding=choice), builtin, says)


FAULTY = {
    "raises": (
        lambda kernel, *_: {}[kernel],
        "crop rule 'faulty' (faulty) failed for kernel 3, stride 1, dilation 1, length None: KeyError: 3",
    ),
    "one number": (lambda *_: 3, "crop rule 'faulty' (faulty) must return (left, right), got 3"),
    "fractions": (lambda *_: (0.5, 0), "crop rule 'faulty' (faulty) must return two integers: left must be an integer, got 0.5"),
    "reads the length": (lambda k, s, d, length: (0, length % 2), "set needs_length=True if it reads the length"),
}


@pytest.mark.parametrize("fault", FAULTY)
def test_a_faulty_rule_of_a_plugin(fault):
    """What a plugin's function does wrong is its error, which names the rule, the plugin and the sizes."""
    function, says = FAULTY[fault]

    class Faulty:
        @cp.hookimpl
        def convpolicy_crop_rules(self):
            return [cp.CropRule("faulty", function)]

    cp.register(Faulty(), "faulty")
    try:
        with pytest.raises(PluginError) as raised:
            cp.ConvTranspose1d(1, 1, 3, padding="faulty", seed=0)
        assert says in str(raised.value)
    finally:
        cp.unregister("faulty")


def test_what_a_rule_may_declare():
    """Causal and length-multiplying; a property of padding rules is refused, with what there is."""
    assert cp.CropRule("mine", lambda *_: (0, 0), declares={"causal"}).declares == {"causal"}
    refused(lambda: cp.CropRule("mine", lambda *_: (0, 0), declares={"length-preserving"}), ValueError, "'length-preserving'")
    assert arithmetic.full_length(0, 3, 2, 1) == 0


def test_an_alias_of_a_rule():
    """It has the numbers of its original with other defaults, and says so."""
    alias = cp.crop_rules()["same_upper"].alias("mine", "The other side.", odd_side="left")
    assert alias.resolve(4, 1, 1, None, alias.arguments(Choice("mine"))) == (2, 1)
    assert (alias.alias_of, alias.description) == ("same_upper", "Alias of same_upper(odd_side=left): The other side.")
