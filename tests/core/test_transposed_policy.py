"""The half of a policy that describes transposed convolutions: evolve, files, lengths, output_size, initial weights and refusals."""

from __future__ import annotations

import copy
import json
import pickle

import numpy as np
import pytest
from helpers.refusals import refused
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import convpolicy as cp

Choice = cp.Choice
TORCH = cp.policy("torch")
HALF = TORCH.transposed
WORDS = HALF.evolve(
    name="words", padding_names={"same": "same_upper", "valid": "at_least_stride", "CIRCULAR": "same_upper"}, mode_names={"CIRCULAR": "circular"}
)  # fmt: skip

# -- what a policy does with its half -------------------------------------------------------------------------------------


def test_a_policy_plans_and_draws_with_its_half():
    """``transposed=True`` is the half's own plan and initial weights; without it they are the convolution's."""
    assert TORCH.half() is HALF
    assert TORCH.plan(4, 2, length=5, transposed=True) == HALF.plan(4, 2, length=5)
    assert isinstance(TORCH.plan(4, 2, length=5), cp.Plan)
    own, by_flag = HALF.initial(4, 6, 3, 2, seed=3), TORCH.initial(4, 6, 3, 2, seed=3, transposed=True)
    assert own["weight"].shape == (4, 3, 3)
    assert own["bias"].shape == (6,)
    assert all(np.array_equal(own[role], by_flag[role]) for role in own)
    assert TORCH.initial(4, 6, 3, 2, seed=3)["weight"].shape == (6, 2, 3)


def test_the_fan_of_the_layout_scales_the_weights():
    """torch's bound is ±√(1/fan_in) of the output side: 1/√(256 · 5) for 64 -> 256, kernel 5, as measured, not 1/√(64 · 5)."""
    values = TORCH.initial(64, 256, 5, transposed=True)
    for array in values.values():
        assert 0.0278 < np.abs(array).max() <= 1 / np.sqrt(256 * 5)
    grouped = TORCH.initial(8, 64, 5, groups=8, transposed=True)["weight"]
    assert 0.155 < np.abs(grouped).max() <= 1 / np.sqrt(8 * 5)


def test_evolve_changes_one_half():
    """A mapping changes the half, a half replaces it, None removes it; other fields leave it as it is, and the name changes both."""
    changed = TORCH.evolve(transposed={"padding": "causal", "bias": False})
    assert (changed.transposed.padding, changed.transposed.bias, changed.bias) == (Choice("causal"), False, True)
    assert changed.evolve(transposed=HALF) == TORCH
    assert TORCH.evolve(padding="causal", bias=False).transposed is HALF
    assert TORCH.evolve(transposed=None).transposed is None
    renamed = TORCH.evolve(name="mine")
    assert (renamed.name, renamed.transposed.name) == ("mine", "mine")
    assert HALF.framework == HALF.evolve(padding=2).framework == "torch"
    for policy in (renamed, renamed.transposed, HALF.evolve(name="mine")):
        assert (policy.framework, policy.versions, policy.measured, policy.source) == (
            "",
            "",
            "",
            "",
        )  # it no longer claims anything
    other = TORCH.evolve(transposed=HALF.evolve(name="other"))
    assert other.evolve(name="mine").transposed.name == "other"  # a half with a name of its own keeps it
    assert TORCH.evolve(name="torch").transposed is HALF


def test_halves_compare_and_pickle_by_value():
    """Equal fields are an equal policy with an equal hash, any change is another, and a half is no Policy."""
    for same in (
        copy.deepcopy(HALF),
        pickle.loads(pickle.dumps(HALF)),
        HALF.evolve(padding=2).evolve(padding=0).evolve(padding="explicit"),
    ):
        assert (same, hash(same)) == (HALF, hash(HALF))
    others = {HALF, HALF.evolve(padding=1), HALF.evolve(bias=False), HALF.evolve(padding_mode="circular"), TORCH}
    assert len(others) == 5
    assert str(HALF).startswith("torch (transposed): padding explicit, mode zeros, ")
    assert repr(HALF) == f"TransposedPolicy({str(HALF)!r})"
    assert "explicit" in HALF._repr_html_()


PADDINGS = [
    (0, (0, 0)), (2, (2, 2)), ((3, 1), (3, 1)), ([1, -2], (1, -2)), ((-1, 0), (-1, 0)), ("causal", (0, 3)), ("same_upper", (1, 2)),
    (Choice("same_upper", odd_side="left"), (2, 1)), ({"name": "explicit", "left": 1}, (1, 0)),
    (Choice("explicit", left=1, right=1, output_padding=1), (1, 0)), ("symmetric", (1, 1)),
]  # fmt: skip


@pytest.mark.parametrize(("padding", "cuts"), PADDINGS)
def test_what_padding_may_be(padding, cuts):
    """A number for both sides, a pair with negative numbers, a crop rule by name, Choice or mapping: kernel 5, stride 2."""
    plan = HALF.evolve(padding=padding).plan(5, 2, length=4)
    assert (plan.left, plan.right) == cuts
    assert HALF.evolve(padding=padding).static_pads(5, 2, 1) == cuts


def test_words_of_a_framework():
    """A name of the half means its rule, and a mode where it implies one; the policy's other half does not know it."""
    assert WORDS.evolve(padding="same").padding == Choice("same_upper")
    circular = WORDS.evolve(padding="CIRCULAR")
    assert (circular.padding, circular.padding_mode) == (Choice("same_upper"), Choice("circular"))
    assert WORDS.evolve(padding="same").padding_mode == Choice("zeros")
    layer = cp.ConvTranspose1d(1, 1, 4, 2, "valid", policy=WORDS, seed=0)
    assert layer.plan(3).length_out == 8
    refused(lambda: cp.ConvTranspose1d(1, 1, 4, 2, "CIRCULAR", seed=0), LookupError, "unknown crop rule 'CIRCULAR'")


# -- files ----------------------------------------------------------------------------------------------------------------

paddings = st.one_of(
    st.sampled_from(["causal", "same", "valid", "CIRCULAR", Choice("same_lower", odd_side="right")]),
    st.integers(0, 2**40),
    st.tuples(st.integers(-99, 99), st.integers(-99, 99)),
    st.builds(lambda left, more: Choice("explicit", left=left, output_padding=more), st.integers(-9, 9), st.integers(0, 9)),
)
halves = st.builds(
    lambda padding, **changes: WORDS.evolve(padding=padding, **changes),
    padding=paddings,
    bias=st.booleans(),
    weight_init=st.sampled_from(["zeros", Choice("normal", std=0.1), 0.5]),
    weight_norm=st.sampled_from([None, 0, 1]),
    description=st.text("abc äé\n\"'=[]", max_size=9),
    name=st.sampled_from(["words", "mine", "another"]),
)


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(half=halves, suffix=st.sampled_from([".toml", ".json"]), alone=st.booleans())
def test_a_half_survives_a_file(tmp_path, half, suffix, alone):
    """As the table ``transposed`` of a policy, and as plain data of its own: what is read is equal."""
    assert cp.TransposedPolicy.from_dict(json.loads(json.dumps(half.to_dict()))) == half
    policy = cp.Policy("mine", transposed=half if alone else half.evolve(name="mine"))
    path = tmp_path / f"policy{suffix}"
    policy.save(path)
    assert cp.load_policy(path) == policy == cp.Policy.from_dict(policy.to_dict())
    table = policy.to_dict()["transposed"]
    assert "schema" not in table
    assert ("name" in table) == (policy.transposed.name != "mine")  # the name of the policy is not repeated


def test_the_file_has_a_table(tmp_path):
    """TOML has ``[transposed]`` after the keys of the policy, and a policy without a half has none."""
    path = tmp_path / "mine.toml"
    TORCH.evolve(name="mine", transposed={"padding": "causal"}).save(path)
    text = path.read_text(encoding="utf-8")
    assert text.index('name = "mine"') < text.index("[transposed]") < text.index('padding = "causal"')
    TORCH.evolve(name="mine", transposed=None).save(path)
    assert "transposed" not in path.read_text(encoding="utf-8")
    assert cp.load_policy(path).transposed is None


def test_a_file_written_by_hand(tmp_path):
    """Only what differs from the defaults, with the framework's names and the name of the policy."""
    path = tmp_path / "hand.toml"
    path.write_text(
        'schema = 1\nname = "hand"\n[transposed]\npadding = "same"\npadding_names = {same = "same_lower"}\nbias = false\n'
    )
    half = cp.load_policy(path).transposed
    assert (half.name, half.padding, half.bias, half.layout) == ("hand", Choice("same_lower"), False, Choice("IOW"))


BAD_TABLES = [
    ({"transposed": 3}, TypeError, "policy key 'transposed' must be a table, got 3"),
    ({"transposed": {"paddding": "causal"}}, ValueError, "a policy has no key 'paddding'", "Did you mean 'padding'?"),
    ({"transposed": {"padding": "torch_same"}}, LookupError, "unknown crop rule 'torch_same'"),
    ({"transposed": {"padding": {"name": "explicit", "left": 0.5}}}, TypeError, "explicit: left must be an integer, got 0.5"),
    ({"transposed": {"padding_mode": "reflect"}}, ValueError, "padding_mode of a transposed convolution must be one of zeros, circular, got 'reflect'"),
    ({"transposed": {"layout": "OIW"}}, ValueError, "layout must name a layout of weights of transposed convolutions, got 'OIW'"),
    ({"transposed": {"bias": 1}}, TypeError, "policy key 'bias' must be of type bool, got 1"),
    ({"transposed": {"transposed": {}}}, ValueError, "a policy has no key 'transposed'"),
    ({"layout": "IOW"}, ValueError, "layout must name a layout of weights, got 'IOW'"),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "builtin", "says"), [(row[0], row[1], row[2:]) for row in BAD_TABLES])
def test_bad_tables(fields, builtin, says):
    """A key, a part or a value of the table that is wrong is named, from plain data as from evolve."""
    refused(lambda: cp.Policy.from_dict({"schema": 1, "name": "mine", **fields}), builtin, *says)


# -- lengths --------------------------------------------------------------------------------------------------------------

SIZES = st.tuples(st.integers(1, 9), st.integers(1, 5), st.integers(1, 3))
RULES = (
    "explicit",
    "at_least_stride",
    "same_upper",
    "same_lower",
    "causal",
    Choice("explicit", left=3, right=2),
    Choice("explicit", right=-2),
)


@settings(max_examples=120, deadline=None, derandomize=True)
@given(SIZES, st.sampled_from(RULES), st.integers(0, 12), st.integers(1, 30))
def test_lengths_and_their_inverse(sizes, rule, length, outputs):
    """``length`` is the plan's, ``shortest_length`` the least input with so many outputs, found by trying every length."""
    policy = HALF.evolve(padding=rule)
    assert policy.length(length, *sizes) == policy.plan(*sizes, length=length).length_out
    assert policy.shortest_length(outputs, *sizes) == next(n for n in range(99) if policy.length(n, *sizes) >= outputs)


@settings(max_examples=120, deadline=None, derandomize=True)
@given(SIZES, st.sampled_from(RULES), st.integers(1, 12))
def test_causality(sizes, rule, length):
    """Causal where no output depends on a sample after ``output // stride``, for one length as read off the plan."""
    policy = HALF.evolve(padding=rule)
    plan = policy.plan(*sizes, length=length)
    if not plan.length_out:
        refused(lambda: policy.is_causal(*sizes, length=length), ValueError, "is too short")
        return
    late = [output for output in range(plan.length_out) if (plan.reads(output) or [0])[-1] > output // sizes[1]]
    assert policy.is_causal(*sizes, length=length) == (not late)
    if rule == "causal":
        assert not late
        assert policy.is_causal(*sizes)


# -- output_size and output_padding ---------------------------------------------------------------------------------------


@settings(max_examples=120, deadline=None, derandomize=True)
@given(SIZES, st.integers(0, 6), st.integers(1, 9), st.integers(-2, 9))
def test_output_size_is_the_output_length(sizes, cut, length, more):
    """From the length without output_padding up to a stride more; the sentence for any other names the range."""
    policy = HALF.evolve(padding=cut)
    least = (length - 1) * sizes[1] + (sizes[0] - 1) * sizes[2] + 1 - 2 * cut  # below 0 if more is cut than there is
    wanted, last = max(least + more, 0), least + sizes[1] - 1
    if least <= wanted <= last:
        plan = policy.plan(*sizes, length=length, output_size=wanted)
        assert (plan.length_out, plan.left, plan.right) == (wanted, cut, cut - (wanted - least))
        padded = Choice("explicit", left=cut, right=cut, output_padding=wanted - least)
        assert plan == policy.evolve(padding=padded).plan(*sizes, length=length)
        return
    says = f"output_size must be from {max(least, 0)} to {last} for an input of length {length}, got {wanted}"
    if last < 0:
        says = f"input of length {length} is too short: {cut} and {cut} samples are cut"
    refused(lambda: policy.plan(*sizes, length=length, output_size=wanted), ValueError, says)


BAD_OUTPUT_SIZES = [
    (
        "causal",
        8,
        ValueError,
        "output_size must be left out for crop rule 'causal', which has no parameter output_padding, got 8",
    ),
    (0, 8.0, TypeError, "output_size must be an integer, got 8.0 of type float"),
    (0, -1, ValueError, "output_size must be at least 0, got -1"),
    (0, True, TypeError, "output_size must be an integer, got True of type bool"),
]


@pytest.mark.parametrize(("padding", "size", "builtin", "says"), BAD_OUTPUT_SIZES)
def test_bad_output_sizes(padding, size, builtin, says):
    """A rule without the parameter, a float, a bool and a negative number."""
    refused(lambda: HALF.evolve(padding=padding).plan(4, 2, length=4, output_size=size), builtin, says)


REFUSED = [
    (lambda: cp.Policy("mine").half(), ValueError, "policy 'mine' describes no transposed convolution", "evolve(transposed="),
    (lambda: cp.Policy("mine").plan(3, length=4, transposed=True), ValueError, "policy 'mine' describes no transposed convolution"),
    (lambda: cp.Policy("mine").initial(1, 1, 1, transposed=True), ValueError, "policy 'mine' describes no transposed convolution"),
    (lambda: cp.Policy("mine").evolve(transposed={"bias": False}), ValueError, "policy 'mine' describes no transposed convolution"),
    (lambda: TORCH.evolve(transposed=TORCH), TypeError, "transposed must be a TransposedPolicy or None"),
    (lambda: TORCH.evolve(transposed={"strides": 1}), ValueError, "a policy has no field 'strides'"),
    (lambda: HALF.evolve(padding="half"), LookupError, "unknown crop rule 'half'. Did you mean 'symmetric'?"),
    (lambda: HALF.evolve(padding="same"), LookupError, "unknown crop rule 'same'. Did you mean 'same_upper'?"),
    (lambda: HALF.evolve(padding="cusal"), LookupError, "unknown crop rule 'cusal'. Did you mean 'causal'?"),
    (lambda: HALF.evolve(padding=-1), ValueError, "padding must be at least 0, got -1"),
    (lambda: HALF.evolve(padding=(1, 2, 3)), ValueError, "padding must be one number for one spatial axis, got (1, 2, 3)"),
    (lambda: HALF.evolve(padding=1.5), TypeError, "padding must be an integer, got 1.5"),
    (lambda: HALF.evolve(padding_mode=("zeros", "circular")), ValueError, "padding_mode of a transposed convolution must be one of zeros, circular"),
    (lambda: HALF.evolve(padding_mode=Choice("constant", value=1.0)), ValueError, "padding_mode of a transposed convolution must be one of zeros, circular"),
    (lambda: HALF.evolve(layout="WIO"), ValueError, "layout must name a layout of weights of transposed convolutions, got 'WIO'"),
    (lambda: HALF.evolve(data_layout="IOW"), ValueError, "data_layout must name a layout of data, got 'IOW'"),
    (lambda: TORCH.evolve(layout="IOW"), ValueError, "layout must name a layout of weights, got 'IOW'"),
    (lambda: HALF.plan(0, length=3), ValueError, "kernel_size must be at least 1, got 0"),
    (lambda: HALF.plan(3, length=-1), ValueError, "length must be at least 0, got -1"),
    (lambda: HALF.evolve(padding="symmetric").plan(1, 4, length=2), ValueError, "the effective kernel must be at least the stride, got 1 and 4"),
    (lambda: HALF.evolve(strided_dilation=False).plan(3, 2, 2, length=4), ValueError, "stride and dilation must not both be above 1 under policy 'torch'"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("call", "builtin", "says"), [(row[0], row[1], row[2:]) for row in REFUSED], ids=[str(row[2]) for row in REFUSED]
)
def test_refusals(call, builtin, says):
    """One sentence with the argument, what came, what is allowed and the nearest name."""
    refused(call, builtin, *says)
