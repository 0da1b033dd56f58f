"""Plans of transposed convolutions: frozen, hashable, printable, resolved once per length, and true against a scatter by hand."""

from __future__ import annotations

import copy
import json
import pickle

import attrs
import numpy as np
import pytest
from helpers.scatter import applied, reached
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

import convpolicy as cp

HALF = cp.policy("torch").transposed
QUICK = settings(max_examples=150, deadline=None, derandomize=True)
SIZES = st.tuples(st.integers(1, 9), st.integers(1, 5), st.integers(1, 3))  # kernel_size, stride, dilation
CUTS = st.tuples(st.integers(-4, 9), st.integers(-4, 9))
MODES = st.sampled_from(["zeros", "circular"])


def plan_of(sizes, length, cuts, mode="zeros"):
    """Return the plan of fixed cuts."""
    return HALF.evolve(padding=cuts, padding_mode=mode).plan(*sizes, length=length)


FIELDS = {
    "length": 3, "kernel_size": 2, "stride": 2, "dilation": 3, "left": 1, "right": -2, "mode": "zeros", "length_out": 9,
}  # fmt: skip


def test_a_plan_worked_out_by_hand():
    """Samples 0, 1, 2 reach positions 0 and 3, 2 and 5, 4 and 7 of eight; the first is cut and two zeros follow."""
    plan = plan_of((2, 2, 3), 3, (1, -2))
    assert {field: getattr(plan, field) for field in FIELDS} == FIELDS
    assert (plan.effective_kernel, plan.full_length, plan.cut, plan.appended, plan.value) == (4, 8, (1, 0), (0, 2), 0.0)
    assert [plan.reads(output) for output in range(9)] == [(), (1,), (0,), (2,), (1,), (), (2,), (), ()]
    assert plan.cropped(np.arange(8.0)).tolist() == [1, 2, 3, 4, 5, 6, 7, 0, 0]
    assert plan.position(np.arange(3), 1).tolist() == [2, 4, 6]
    circular = attrs.evolve(plan_of((2, 2, 3), 3, (1, 2)), mode="circular")
    assert circular.cropped(np.arange(8.0)).tolist() == [1 + 6, 2 + 7, 3, 4, 5 + 0]
    assert circular.reads(1) == (1, 2)


@pytest.mark.parametrize("field", FIELDS)
def test_a_plan_is_frozen(field):
    """No field can be set or deleted."""
    plan = plan_of((2, 2, 3), 3, (1, -2))
    with pytest.raises(AttributeError):
        setattr(plan, field, FIELDS[field])
    with pytest.raises(AttributeError):
        delattr(plan, field)


def test_a_plan_is_hashable_and_equal_by_value():
    """A copy, a pickle and plain data through JSON equal it and hash alike; a change of any field makes another plan."""
    plan = plan_of((2, 2, 3), 3, (1, -2))
    data = json.loads(json.dumps(plan.to_dict(), allow_nan=False))
    assert data == FIELDS | {"transposed": True}
    for same in (copy.deepcopy(plan), pickle.loads(pickle.dumps(plan)), cp.TransposedPlan.from_dict(data)):
        assert (same, hash(same)) == (plan, hash(plan))
    others = {attrs.evolve(plan, **{field: "circular" if field == "mode" else 99}) for field in FIELDS}
    assert len({plan} | others) == 1 + len(FIELDS)
    assert plan != cp.policy("torch").plan(2, 2, 3, length=3)


PRINTED = [
    (HALF, (4, 2), 5, "length 5, kernel_size 4, stride 2, dilation 1, transposed: full length 12, cut left 0, right 0 -> length 12"),
    (
        HALF.evolve(padding=cp.Choice("explicit", left=1, right=1, output_padding=1)), (3, 2, 1), 4,
        "length 4, kernel_size 3, stride 2, dilation 1, transposed: full length 9, cut left 1, right 0 -> length 8",
    ),
    (
        HALF.evolve(padding="same_upper"), (2, 3), 2,
        "length 2, kernel_size 2, stride 3, dilation 1, transposed: full length 5, cut left 0, right -1 -> length 6",
    ),
    (
        HALF.evolve(padding="causal", padding_mode="circular"), (5, 2), 4,
        "length 4, kernel_size 5, stride 2, dilation 1, transposed: full length 11, cut left 0, right 3, circular -> length 8",
    ),
    (HALF, (3,), 0, "length 0, kernel_size 3, stride 1, dilation 1, transposed: full length 0, cut left 0, right 0 -> length 0"),
]  # fmt: skip


@pytest.mark.parametrize(("policy", "sizes", "length", "printed"), PRINTED)
def test_what_a_plan_prints(policy, sizes, length, printed):
    """One line with every size, the length of the full result, both cuts, the mode where it is not zeros, and the output length."""
    assert str(policy.plan(*sizes, length=length)) == printed


def check_plan(plan, sizes, length, cuts, mode):
    """Assert that everything a plan says of its outputs is what a scatter by hand finds with these cuts."""
    outputs = reached(length, sizes, *cuts, mode)
    assert plan.length_out == (len(outputs) if outputs else 0)
    assert [plan.reads(output) for output in range(plan.length_out)] == [
        tuple(sorted({at for at, _ in row})) for row in outputs or ()
    ]
    draw = np.random.default_rng(0)
    signal, taps = draw.integers(-9, 10, length), draw.integers(1, 10, sizes[0])
    full = applied(reached(length, sizes, 0, 0) or [], signal, taps)
    assert plan.cropped(full).tolist() == applied(outputs or [], signal, taps).tolist()
    pairs = [[] for _ in range(plan.length_out)]
    for coefficients, sources in plan.window_terms(np.arange(plan.length_out)):
        assert coefficients.shape == sources.shape == (plan.length_out, sizes[0])
        assert set(np.unique(coefficients)) <= {0.0, 1.0}
        assert ((sources == -1) == (coefficients == 0)).all()
        for output, tap in zip(*np.nonzero(coefficients)):
            pairs[output].append((int(sources[output, tap]), int(tap)))
    assert [sorted(row) for row in pairs] == [sorted(row) for row in outputs or ()]


@QUICK
@given(SIZES, st.integers(1, 9), CUTS, MODES)
@example((1, 4, 1), 3, (0, -3), "zeros")
@example((3, 2, 3), 2, (-2, 8), "circular")
@example((2, 1, 1), 1, (1, 0), "circular")
def test_every_output_is_what_reaches_it(sizes, length, cuts, mode):
    """Reads, window terms, cropping and the output length, for cuts of both signs and both modes, also where nothing is left."""
    check_plan(plan_of(sizes, length, cuts, mode), sizes, length, cuts, mode)


@pytest.mark.parametrize("mode", ["zeros", "circular"])
@pytest.mark.parametrize("wrong", [{"left": 2, "right": 1}, {"stride": 2}, {"dilation": 1}, {"left": 0}, {"mode": "other"}])
def test_a_wrong_plan_is_rejected(wrong, mode):
    """The check above can fail: sides exchanged, another stride, dilation or cut, and in circular mode what is cut dropped."""
    plan = plan_of((4, 3, 2), 5, (1, 2), mode)
    check_plan(plan, (4, 3, 2), 5, (1, 2), mode)
    if wrong == {"mode": "other"}:
        wrong = {"mode": "zeros" if mode == "circular" else "circular"}
    with pytest.raises(AssertionError):
        check_plan(attrs.evolve(plan, **wrong), (4, 3, 2), 5, (1, 2), mode)


@QUICK
@given(SIZES, st.integers(1, 9), CUTS)
def test_the_receptive_interval_is_where_taps_span_an_output(sizes, length, cuts):
    """First and last of all positions, existing or not, whose first tap is at the output or before it and whose last is not before it."""
    plan = plan_of(sizes, length, cuts)
    assume(plan.length_out)
    span = (sizes[0] - 1) * sizes[2]
    for output in range(plan.length_out):
        at = output + cuts[0]
        spanning = [i for i in range(-60, 60) if i * sizes[1] <= at <= i * sizes[1] + span]
        first, last = plan.receptive_interval(output)
        assert list(range(first, last + 1)) == spanning
        assert set(plan.reads(output)) <= set(spanning)
        assert plan.spans(0, output) == (plan.receptive_interval(0)[0], last)
    for method in (plan.receptive_interval, plan.reads):
        with pytest.raises(
            cp.InvalidValueError, match=f"output must be below length_out={plan.length_out}, got {plan.length_out}"
        ):
            method(plan.length_out)


@QUICK
@given(SIZES, st.integers(0, 6), CUTS)
def test_nothing_left_is_length_out_0(sizes, length, cuts):
    """``length_out`` is 0 exactly where everything is cut or the input is empty, and a layer then refuses it with the numbers."""
    plan = plan_of(sizes, length, cuts)
    assert (plan.length_out == 0) == (reached(length, sizes, *cuts) is None)
    if not plan.length_out:
        layer = cp.ConvTranspose1d(1, 1, *sizes[:2], dilation=sizes[2], padding=cuts, seed=0)
        says = f"input of length {length} is too short: {cuts[0]} and {cuts[1]} samples are cut from a full result of {plan.full_length}, "
        with pytest.raises(cp.InvalidValueError, match=says):
            layer(np.zeros((1, 1, length), "float32"))


@pytest.fixture
def asked():
    """Register crop rules that write down each question; return what was asked."""
    questions = []

    def crops(kernel, stride, dilation, length):
        questions.append((kernel, stride, dilation, length))
        return 1, 0

    class Curious:
        @cp.hookimpl
        def convpolicy_crop_rules(self):
            return [cp.CropRule("curious", crops, needs_length=True), cp.CropRule("static", crops)]

    cp.register(Curious(), "curious")
    yield questions
    cp.unregister("curious")


def test_a_plan_is_resolved_once_per_length(asked):
    """A rule is asked once for each length and sizes, by plans and by a layer's calls together; a static one never gets the length."""
    policy = HALF.evolve(padding="curious")
    layer = cp.ConvTranspose1d(2, 2, 3, policy=policy, seed=0)
    assert asked == []
    for length in (5, 6):
        first = policy.plan(3, length=length)
        for _ in range(3):
            assert policy.plan(3, length=length) is first
            assert layer.plan(length) is first
            layer(np.zeros((1, 2, length), "float32"))
        assert asked == [(3, 1, 1, length)]
        asked.clear()
    assert HALF.evolve(padding="static").plan(3, length=5).left == 1
    assert asked == [(3, 1, 1, None)]


def test_what_a_backend_is_asked_for_knows_its_plan():
    """A `LayerRequest` of a half plans for its own sizes, says its static cuts, and refuses an input of which nothing is left."""
    half = HALF.evolve(padding=(3, 1))
    request = cp.LayerRequest(cp.ConvSpec(1, 1, 4, 2, transposed=True), half)
    assert request.plan(9) == half.plan(4, 2, length=9)
    assert request.static_pads() == (3, 1)
    with pytest.raises(
        cp.InvalidValueError, match=r"input of length 1 is too short: 3 and 1 samples are cut from a full result of 4"
    ):
        request.plan(1)
