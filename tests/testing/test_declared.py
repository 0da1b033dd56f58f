"""What parts declare: each built-in rule and mode declares what it has, and the kit finds out anything more."""

from __future__ import annotations

import re

import attrs
import pytest

import convpolicy as cp
from convpolicy import testing
from convpolicy.testing import ConformanceError, checks_of

FEW = 10  # examples per check: the parts' own tests try far more

PROPERTIES = {  # what is declared, written out again
    **dict.fromkeys(("causal", "semicausal"), frozenset({"causal", "length-preserving"})),
    **dict.fromkeys(
        ("same_upper", "same_lower", "same_static", "torch_same", "paddle_same", "torch-left", "tf-right", "mindspore-right"),
        frozenset({"length-preserving"}),
    ),
    **dict.fromkeys(("valid", "explicit", "half"), frozenset()),
    "causal_keep": {"causal", "length-preserving"},
    **dict.fromkeys(("chomp", "encodec_causal"), frozenset({"causal"})),
    **dict.fromkeys(("mimi", "moshi"), frozenset({"causal", "length-preserving"})),
    **dict.fromkeys(("same_symmetric", "same_drop_last", "dac", "encodec", "nemo_causal", "nemo_future"), frozenset()),
    **dict.fromkeys(("speechbrain_same", "to_multiple", "crop"), frozenset()),
    "full": {"causal"},  # what it adds on the right makes more outputs, not later reads
    **dict.fromkeys(("zeros", "replicate"), frozenset({"causal", "linear"})),
    **dict.fromkeys(("constant", "linear_ramp", "semicausal_full"), frozenset({"causal"})),
    **dict.fromkeys(("odd", "odd_symmetric", "extrapolate"), frozenset({"linear"})),
    "per_side": frozenset(),
    "reverse_causal": {"length-preserving"},
    **dict.fromkeys(("reflect", "symmetric", "circular"), frozenset({"linear"})),
}  # fmt: skip
CROP_PROPERTIES = {
    **dict.fromkeys(("explicit", "at_least_stride", "symmetric"), frozenset()),
    "same_upper": {"length-multiplying"},
    "same_lower": {"length-multiplying"},
    "causal": {"causal", "length-multiplying"},
}


def test_each_built_in_rule_and_mode_declares_what_it_has():
    """No more and no less than the table says."""
    parts = {**cp.padding_rules(), **cp.padding_modes()}
    assert {name: part.declares for name, part in parts.items()} == {name: PROPERTIES[name] for name in parts}
    assert {name: part.declares for name, part in cp.crop_rules().items()} == CROP_PROPERTIES


LIES = [
    (parts, name, word)
    for parts, words in (("padding_rules", ("causal", "length-preserving")), ("padding_modes", ("causal", "linear")))
    for name in getattr(cp, parts)()
    for word in words
    if word not in PROPERTIES[name] and name != "per_side"  # which has what its sides have
] + [
    ("crop_rules", name, word)
    for name in cp.crop_rules()
    for word in ("causal", "length-multiplying")
    if word not in CROP_PROPERTIES[name]
]


@pytest.mark.grid(every=11)
@pytest.mark.parametrize(("parts", "name", "word"), LIES)
def test_what_is_declared_is_all_that_holds(parts, name, word):
    """Declaring anything more is found out."""
    part = getattr(cp, parts)()[name]
    lying = attrs.evolve(part, declares={*part.declares, word}, name="lying")
    with pytest.raises(ConformanceError, match=rf"fails check '{word}': (\S+: )?declared {word}, but "):
        next(check for check in checks_of(lying, 15 * FEW) if check.name == word)()


@pytest.mark.parametrize(
    ("words", "says"),
    [("causal", "declares must be a set of names, got 'causal'"), ({"casual"}, "got 'casual'. Did you mean 'causal'?"), ({3}, "got 3."), (3, "got 3;")],
)  # fmt: skip
def test_a_word_that_is_none_is_refused(words, says):
    """When the part is made, in a sentence."""
    for make in (cp.PaddingRule, cp.PaddingMode):
        with pytest.raises(cp.ConvPolicyError, match=re.escape(says)):
            make("x", lambda *_: (0, 0), declares=words)


def test_encodec_is_not_causal_at_its_start():
    """The rule is causal and constants are; with reflect the first outputs read later samples, and the probe says which."""
    causal = cp.policy("torch").evolve(name="mine", padding="causal", description="Causal.")
    names = {mode: {check.name for check in checks_of(causal.evolve(padding_mode=mode))} for mode in ("zeros", "reflect")}
    assert "causal" in names["zeros"]
    assert "causal" not in names["reflect"]
    with pytest.raises(
        ConformanceError,
        match=r"output 0 reads sample 1, after its own hop, which ends at 0, for kernel_size 2, stride 1, .* length 2",
    ):
        testing.check_padding_mode(attrs.evolve(cp.padding_modes()["reflect"], declares={"causal"}))
