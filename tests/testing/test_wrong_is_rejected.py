"""The tests are tested: what is deliberately wrong is rejected by the very checks that the right one passes.

A fault that changes nothing for some rule or mode, such as swapped sides of equal pads, has to pass: so the tables below also
say that a check rejects nothing but what is wrong.
"""

from __future__ import annotations

import re

import numpy as np
import pytest
from helpers import wrong
from helpers.differential import GROUPS, Choice, random_cases, random_data, same_bits
from helpers.numpy_layers import cases, check_backend, check_layer, check_written_in_place
from helpers.padding_modes import COPYING, FOLDING, MIRRORS, SUMS, check_mode, choice_of
from helpers.padding_rules import RULES, check_rule
from helpers.padding_rules import choice_of as rule_of

import convpolicy as cp
from convpolicy.parts import mode as modes


@pytest.fixture(autouse=True, scope="module")
def plugin():
    """Register all wrong parts, under names of their own."""
    cp.register(wrong.Wrong(), "wrong")
    yield
    cp.unregister("wrong")


# -- rules ----------------------------------------------------------------------------------------------------------------

SWAPPED, STRIDE, DILATION, LENGTH, MORE, NOTHING = wrong.RULE_FAULTS
SHOWS = {  # rule -> the faults that make another rule of it
    "valid": {MORE},
    "explicit": {SWAPPED, MORE, NOTHING},
    **dict.fromkeys(("same_upper", "same_lower", "tf-right", "mindspore-right", "paddle_same"), frozenset(wrong.RULE_FAULTS)),
    "same_static": {SWAPPED, DILATION, MORE, NOTHING},
    "torch_same": {SWAPPED, STRIDE, DILATION, MORE, NOTHING},
    "torch-left": {SWAPPED, STRIDE, DILATION, MORE, NOTHING},
    "half": {MORE, NOTHING},
    "full": {DILATION, MORE, NOTHING},
    "causal": {SWAPPED, DILATION, MORE, NOTHING},
    "reverse_causal": {SWAPPED, DILATION, MORE, NOTHING},
    "semicausal_full": {SWAPPED, STRIDE, DILATION, MORE, NOTHING},
    "semicausal": {SWAPPED, STRIDE, DILATION, MORE, NOTHING},
}


@pytest.mark.parametrize("fault", wrong.RULE_FAULTS)
@pytest.mark.parametrize("rule", RULES)
def test_wrong_rules(rule, fault):
    """Every rule with every fault that shows is rejected for its pads or for what it takes; the others are the rule itself."""
    chosen = Choice(f"{rule}, {fault}")
    if fault in SHOWS[rule]:
        with pytest.raises(AssertionError, match=f"^{chosen} (pads otherwise|takes other sizes)"):
            check_rule(chosen, rule_of(rule))
    else:
        check_rule(chosen, rule_of(rule))


# -- modes ----------------------------------------------------------------------------------------------------------------

CONSTANTS = {"zeros", "constant"}
SAME_MODE = {  # fault -> the modes that it leaves as they are
    "one step late": CONSTANTS | {"replicate"},
    "sides swapped": CONSTANTS,
    "mirrored without the edge": {"reflect"},
    "mirrored with the edge": {"symmetric"},
    "wrapped": {"circular"},
    "wrapped off by one": set(),
    "edge repeated": {"replicate"},
    "constant": CONSTANTS,
    "stuck after one period": set(COPYING),  # but for overflow="periodic"
}
CHOICES = [(mode, None) for mode in COPYING] + [(mode, overflow) for mode in MIRRORS for overflow in ("periodic", "zero-extend")]


@pytest.mark.grid(every=3)
@pytest.mark.parametrize("fault", wrong.MODE_FAULTS)
@pytest.mark.parametrize(("mode", "overflow"), CHOICES)
def test_wrong_modes(mode, overflow, fault):
    """Every mode × overflow rule with every fault that shows is rejected, and only these."""
    right = choice_of(mode, overflow)
    chosen = Choice(f"{mode}, {fault}", **dict(right.params))
    unbounded = mode in MIRRORS and overflow == "periodic" and fault == "stuck after one period"
    if mode in SAME_MODE[fault] and not unbounded:
        check_mode(chosen, mode)
    else:
        with pytest.raises(AssertionError, match=f"^{mode}, {fault}"):
            check_mode(chosen, mode)


@pytest.mark.parametrize("overflow", [None, "periodic", "zero-extend"])
@pytest.mark.parametrize("fault", wrong.SUM_FAULTS)
@pytest.mark.parametrize("mode", SUMS)
def test_wrong_sums(mode, fault, overflow):
    """Every mode that computes, with a wrong coefficient, a term less or another sample, is rejected."""
    right = choice_of(mode, overflow if mode in FOLDING else None)
    with pytest.raises(AssertionError, match=f"^{mode}, {fault}"):
        check_mode(Choice(f"{mode}, {fault}", **dict(right.params)), mode)


def test_zeros_that_are_not_quite_zero():
    """Padding with 1e-3 in place of 0 is rejected."""
    with pytest.raises(AssertionError, match=r"^zeros, not quite, length 1"):
        check_mode(Choice("zeros, not quite"), "zeros")


def forget_plans():
    """Change the registry, so that every plan is resolved anew."""
    cp.unregister("wrong")
    cp.register(wrong.Wrong(), "wrong")


@pytest.mark.grid(every=2)
@pytest.mark.parametrize("mode", MIRRORS)
@pytest.mark.parametrize(("overflow", "fault"), wrong.OVERFLOW_FAULTS)
def test_wrong_overflow_rules(mode, overflow, fault, monkeypatch):
    """Each overflow rule exchanged for a wrong one is rejected for every mode that has it."""
    chosen = choice_of(mode, overflow)
    check_mode(chosen, mode)
    forget_plans()
    monkeypatch.setitem(modes.OVERFLOW, overflow, wrong.OVERFLOW_FAULTS[overflow, fault])
    with pytest.raises(AssertionError, match=f"^{re.escape(str(chosen))}, length"):
        check_mode(chosen, mode)
    forget_plans()


# -- layers ---------------------------------------------------------------------------------------------------------------

SAMPLES = {"grid": lambda: cases(0), "random": lambda: random_cases(2, seed=0)}  # the cases that NumPy's and torch's tests take
NOT_BY_VALUE = {  # fault -> what rejects it, in place of the bound
    "one output less": "expected shape",
    "computes in another dtype": "dtype",
    "works in the caller's array": "^Case",
}


@pytest.mark.grid(every=3)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("sample", SAMPLES)
@pytest.mark.parametrize("fault", wrong.LAYER_FAULTS)
def test_wrong_layers(fault, sample, dtype):
    """Every wrong layer is rejected, by the bound where its shape and dtype are right, in both dtypes and on both samples."""
    with pytest.raises(AssertionError, match=NOT_BY_VALUE.get(fault, "times the bound")):
        check_backend(fault, dtype, SAMPLES[sample]())


@pytest.mark.grid
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("sample", SAMPLES)
def test_a_layer_without_fault_is_accepted(sample, dtype):
    """The layer that carries the faults passes without one, though it adds up in another order than the backend."""
    check_backend(wrong.RIGHT, dtype, SAMPLES[sample]())


UNPADDED = [fault for fault, changed in wrong.LAYER_FAULTS.items() if "plan" not in changed and fault not in NOT_BY_VALUE]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("fault", [wrong.RIGHT, *UNPADDED])
def test_wrong_wide_layers(fault, dtype):
    """The check of wide layers, whose oracle is another, rejects each of them too."""
    layer = cp.Conv1d(6, 6, 3, 2, 0, 2, 3, seed=0, backend=fault, dtype=dtype)
    data = random_data(0, 40, 2, dtype, 6)
    if fault == wrong.RIGHT:
        check_layer(layer, data, 2, 2, 3, dtype)
    else:
        with pytest.raises(AssertionError):
            check_layer(layer, data, 2, 2, 3, dtype)


@pytest.mark.parametrize("groups", GROUPS)
def test_parameters_copied_when_built(groups):
    """A layer that no longer reads its arrays computes rightly until they are written to, and is rejected then."""
    check_backend(wrong.STALE, "float32", random_cases(1, seed=1))
    check_written_in_place(wrong.RIGHT, groups)
    with pytest.raises(AssertionError):
        check_written_in_place(wrong.STALE, groups)


@pytest.mark.parametrize(
    "changed",
    [
        lambda values: np.nextafter(values, np.float32(9)),
        lambda values: -values,  # 0.0 becomes -0.0
        lambda values: values.astype("float64"),
        lambda values: values[None],
    ],
)
def test_exact_means_every_bit(changed):
    """The check of exact equality rejects one unit in the last place, a minus before zero, another dtype, another shape."""
    values = np.array([0.0], "float32")
    same_bits(values, values.copy())
    with pytest.raises(AssertionError):
        same_bits(values, changed(values))
