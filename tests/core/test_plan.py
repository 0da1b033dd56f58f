"""Plans: frozen, hashable, printable, resolved once per length, and true: every number against windows placed one by one."""

from __future__ import annotations

import copy
import json
import pickle

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import convpolicy as cp

Choice = cp.Choice
TORCH = cp.policy("torch")
QUICK = settings(max_examples=120, deadline=None, derandomize=True)
SIZES = st.tuples(st.integers(1, 8), st.integers(1, 5), st.integers(1, 4))  # kernel_size, stride, dilation


def example_plan():
    """Return a plan with unequal pads, a mirrored left side and a zero-extended right one."""
    mode = Choice("reflect", overflow="zero-extend")
    return TORCH.evolve(padding=(1, 3), padding_mode=mode).plan(2, 2, 3, length=3)


FIELDS = {
    "length": 3,
    "kernel_size": 2,
    "stride": 2,
    "dilation": 3,
    "left": 1,
    "right": 3,
    "mode": "reflect",
    "value": 0.0,
    "length_out": 2,
    "left_sources": (1,),
    "right_sources": (-1, 2, 1),  # 123 is extended to 1230, mirrored to 2|1230|321, and its last element cut off
}


def test_a_plan_worked_out_by_hand():
    """Every field of one plan: three samples, pads of 1 and 3, two windows of span 4."""
    assert {field: getattr(example_plan(), field) for field in FIELDS} == FIELDS
    assert (example_plan().effective_kernel, example_plan().padded_length, example_plan().is_constant) == (4, 7, False)


@pytest.mark.parametrize("field", FIELDS)
def test_a_plan_is_frozen(field):
    """No field can be set or deleted."""
    with pytest.raises(AttributeError):
        setattr(example_plan(), field, FIELDS[field])
    with pytest.raises(AttributeError):
        delattr(example_plan(), field)


def test_a_plan_is_hashable_and_equal_by_value():
    """A copy equals the plan and hashes alike, a change of any field makes another; a dict finds it."""
    plan = example_plan()
    for same in (copy.copy(plan), copy.deepcopy(plan), pickle.loads(pickle.dumps(plan)), cp.Plan.from_dict(FIELDS)):
        assert (same, hash(same)) == (plan, hash(plan))
    other = dict.fromkeys(FIELDS, 9) | {"mode": "zeros", "left_sources": (0,), "right_sources": (0,)}
    changed = {cp.Plan.from_dict(FIELDS | {field: other[field]}) for field in FIELDS}
    assert len({plan} | changed) == 1 + len(FIELDS)


PRINTED = [
    (cp.policy("mindspore"), (4,), 10, "length 10, kernel_size 4, stride 1, dilation 1: left 1, right 2, zeros -> length 10"),
    (cp.policy("mindspore"), (5, 3), 10, "length 10, kernel_size 5, stride 3, dilation 1: left 2, right 2, zeros -> length 4"),
    (cp.policy("mindspore"), (5, 3), 11, "length 11, kernel_size 5, stride 3, dilation 1: left 1, right 2, zeros -> length 4"),
    (TORCH, (3, 1, 2), 4, "length 4, kernel_size 3, stride 1, dilation 2: left 0, right 0, zeros -> length 0"),
    (
        TORCH.evolve(padding=(2, 0), padding_mode=Choice("constant", value=-1.5)),
        (3,),
        0,
        "length 0, kernel_size 3, stride 1, dilation 1: left 2, right 0, constant -1.5 -> length 0",
    ),
    (
        TORCH.evolve(padding="causal", padding_mode="constant"),
        (2,),
        7,
        "length 7, kernel_size 2, stride 1, dilation 1: left 1, right 0, constant 0 -> length 7",
    ),
    (
        TORCH.evolve(padding="torch-left", padding_mode="reflect"),
        (4,),
        640,
        "length 640, kernel_size 4, stride 1, dilation 1: left 2, right 1, reflect -> length 640",
    ),
]


@pytest.mark.parametrize(("policy", "sizes", "length", "printed"), PRINTED)
def test_what_a_plan_prints(policy, sizes, length, printed):
    """One line with every size, both pads, the mode, its value where it is a constant, and the output length."""
    assert str(policy.plan(*sizes, length=length)) == printed


def test_the_repr_of_a_plan():
    """All fields by name but the long ones."""
    assert repr(example_plan()) == (
        "Plan(length=3, kernel_size=2, stride=2, dilation=3, left=1, right=3, mode='reflect', length_out=2)"
    )


SUMS = TORCH.evolve(padding=(2, 3), padding_mode=Choice("linear_ramp", value=[1.0, 2.0]))


@pytest.mark.parametrize("policy", [TORCH, cp.policy("flax"), TORCH.evolve(padding_mode=Choice("constant", value=2.5)), SUMS])
def test_a_plan_is_json(policy):
    """``to_dict`` passes through JSON unchanged, plain Python numbers only, and rebuilds an equal plan."""
    for plan in (policy.plan(np.int64(4), length=np.int32(9)), example_plan()):
        data = json.loads(json.dumps(plan.to_dict(), allow_nan=False))
        assert data == plan.to_dict()
        assert cp.Plan.from_dict(data) == plan


@QUICK
@given(SIZES, st.integers(0, 30), st.integers(0, 9), st.integers(0, 9))
@example((3, 1, 2), 4, 0, 0)
@example((3, 1, 2), 4, 1, 0)
def test_every_output_reads_what_its_window_covers(sizes, length, left, right):
    """As many outputs as windows fit, each reading from its first to its last tap; the next output is refused."""
    kernel, stride, dilation = sizes
    plan = TORCH.evolve(padding=(left, right)).plan(*sizes, length=length)
    axis = [*range(-left, length + right)]  # the padded axis, each element as its input position
    assert plan.padded_length == len(axis)
    first_of = range(0, len(axis), stride)
    windows = [taps for first in first_of if len(taps := axis[first : first + (kernel - 1) * dilation + 1 : dilation]) == kernel]
    assert [plan.receptive_interval(output) for output in range(plan.length_out)] == [(w[0], w[-1]) for w in windows]
    with pytest.raises(cp.ConvPolicyError, match=f"output must be below length_out={len(windows)}, got {len(windows)}"):
        plan.receptive_interval(len(windows))


@QUICK
@given(SIZES, st.integers(0, 30), st.integers(0, 9), st.integers(0, 9))
def test_no_window_is_length_out_0(sizes, length, left, right):
    """``length_out`` is 0 exactly where the padded input is shorter than the effective kernel, and a layer then refuses it."""
    kernel, _, dilation = sizes
    policy = TORCH.evolve(padding=(left, right))
    too_short = left + length + right <= (kernel - 1) * dilation
    assert (policy.plan(*sizes, length=length).length_out == 0) == too_short
    if too_short:
        layer = cp.Conv1d(1, 1, *sizes[:2], dilation=dilation, policy=policy, seed=0)
        with pytest.raises(ValueError, match=f"input of length {length} is too short: padded to {left + length + right} sample"):
            layer(np.zeros((1, 1, length), "float32"))


@pytest.fixture
def asked():
    """Register a rule and a mode that write down each question; return what was asked."""
    questions = []

    def pads(kernel, stride, dilation, length):
        questions.append(("rule", kernel, stride, dilation, length))
        return 1, 0

    def source(positions, length):
        questions.append(("mode", length))
        return np.zeros_like(positions)

    class Curious:
        @cp.hookimpl
        def convpolicy_padding_rules(self):
            return [cp.PaddingRule("curious", pads, needs_length=True)]

        @cp.hookimpl
        def convpolicy_padding_modes(self):
            return [cp.PaddingMode("curious", source)]

    cp.register(Curious(), "curious")
    yield questions
    cp.unregister("curious")


def test_a_plan_is_resolved_once_per_length(asked):
    """By plans and by a layer's calls together, a rule is asked once for each length and sizes, a mode once for each length and pads."""
    policy = TORCH.evolve(padding="curious", padding_mode="curious")
    layer = cp.Conv1d(2, 2, 3, policy=policy, seed=0)
    assert asked == []
    for length in (5, 6):
        first = policy.plan(3, length=length)
        assert asked == [("rule", 3, 1, 1, length), ("mode", length)]
        for _ in range(3):
            assert policy.plan(3, length=length) is first
            assert layer.plan(length) is first
            layer(np.zeros((1, 2, length), "float32"))
        assert len(asked) == 2
        asked.clear()
    policy.plan(3, 2, length=5)
    assert asked == [("rule", 3, 2, 1, 5)]  # with the same pads


def test_a_plan_is_resolved_anew_when_a_plugin_changes():
    """After a rule of the same name with other pads is registered, the cached plan is not used again."""
    pads = []
    for count in (1, 4):

        class Changing:
            @cp.hookimpl
            def convpolicy_padding_rules(self, count=count):
                return [cp.PaddingRule("changing", lambda kernel, stride, dilation, length: (count, 0))]

        cp.register(Changing(), "changing")
        pads.append(TORCH.evolve(padding="changing").plan(3, length=5).left)
        cp.unregister("changing")
    assert pads == [1, 4]


def test_what_a_backend_is_asked_for_knows_its_plan():
    """A `LayerRequest` plans for its own sizes, and refuses an input that holds no window, as every framework's layer does."""
    request = cp.LayerRequest(cp.ConvSpec.of(1, 1, 4, 2, 1, 1), cp.policy("mindspore"))
    assert request.plan(9) == cp.policy("mindspore").plan(4, 2, length=9)
    with pytest.raises(cp.InvalidValueError, match=r"input of length 3 is too short: padded to 3 samples .* window of 4"):
        cp.LayerRequest(cp.ConvSpec.of(1, 1, 4, 2, 1, 1), cp.policy("torch")).plan(3)


def test_the_value_of_a_plan_that_adds_none_of_its_constants():
    """A constant per channel on a side where nothing is added: the plan copies, and its value is a number, also from JSON."""
    per_channel = cp.Choice("constant", value=np.arange(4.0))
    for padding, mode, value in (
        ((0, 2), (per_channel, "reflect"), 0.0),
        ((0, 2), (per_channel, cp.Choice("constant", value=1.5)), 1.5),
        ((2, 0), ("reflect", per_channel), 0.0),
        ((0, 0), per_channel, 0.0),
    ):
        layer = cp.Conv1d(4, 8, 3, padding=padding, padding_mode=mode, seed=0)
        plan = layer.plan(6)
        assert plan.copies
        assert plan.value == value
        assert cp.Plan.from_dict(json.loads(json.dumps(plan.to_dict()))).to_dict() == plan.to_dict()
        assert layer(np.ones((1, 4, 6), np.float32)).shape == (1, 8, plan.length_out)


def test_the_limit_of_each_side_is_for_its_own_pad():
    """With a mode for each side, a wide pad of zeros leaves a reflection alone; with one mode, its limit is for the wider pad."""
    mixed = TORCH.evolve(padding=(2, 9), padding_mode=("reflect", "zeros"))
    assert mixed.plan(3, length=5).sides[0].sources == (2, 1)
    assert mixed.plan(3, length=5).sides[1].sources == (-1,) * 9
    for refused in (mixed.evolve(padding=(9, 2)), mixed.evolve(padding_mode="reflect")):
        with pytest.raises(cp.InvalidValueError, match="padding mode 'reflect' reaches at most 4 for length 5, the plan needs 9"):
            refused.plan(3, length=5)
