"""The built-in policies against what was measured on each framework, and what a policy can do: evolve, plan, draw."""

from __future__ import annotations

import copy
import pickle

import attrs
import numpy as np
import pytest
from helpers.measured import CAUSAL, COLUMNS, NOT_BOTH, SAME_LOWER, SAME_UPPER, TORCH_SAME
from hypothesis import given, settings
from hypothesis import strategies as st

import convpolicy as cp

Choice = cp.Choice
DEPTHWISE_PROFILES = ["keras-depthwise", "keras-depthwise-jax", "keras-depthwise-torch"]
FLAX_TRANSPOSE_KERNEL = ["flax-linen-transpose-kernel", "flax-transpose-kernel"]
PROFILES = [
    "flax", "flax-linen", *FLAX_TRANSPOSE_KERNEL, "keras", *DEPTHWISE_PROFILES, "keras-jax", "keras-torch", "mindspore", "mindspore@2.0", "paddle",
    "tensorflow", "torch",
]  # fmt: skip
PARTS = {"padding": cp.padding_rules, "padding_mode": cp.padding_modes, "weight_init": cp.initializers}
PARTS |= {"bias_init": cp.initializers, "layout": cp.layouts, "data_layout": cp.layouts}

# measured defaults: padding, bias, weight and bias initializers, stored weight axes and names, data axes
KERAS = ("valid", True, "glorot_uniform", "zeros", "WIO", "kernel", "NWC")
FLAX = ("same_upper", True, "lecun_truncated_normal", "zeros", "WIO", "kernel", "NWC")
DEPTHWISE = ("valid", True, "keras_depthwise_glorot_uniform", "zeros", "WIM", "kernel", "NWC")
DEFAULTS = {
    **dict.fromkeys(DEPTHWISE_PROFILES, DEPTHWISE),
    "torch": ("valid", True, "he_uniform(negative_slope=2.23606797749979)", "uniform", "OIW", "weight", "NCW"),
    "mindspore": ("same_upper", False, "he_uniform(negative_slope=2.23606797749979)", "uniform", "OI1W", "weight", "NCW"),
    "mindspore@2.0": ("same_upper", False, "normal(std=0.01)", "zeros", "OI1W", "weight", "NCW"),
    "keras": KERAS,
    "tensorflow": KERAS,
    "keras-torch": KERAS,
    "keras-jax": KERAS,
    "flax": FLAX,
    "flax-linen": FLAX,
    **dict.fromkeys(FLAX_TRANSPOSE_KERNEL, FLAX),
    "paddle": ("valid", True, "he_normal(fan=fan_in_all_groups)", "zeros", "OIW", "weight", "NCW"),
}
MEASURED = {
    ("mindspore", None): SAME_UPPER,
    ("mindspore@2.0", None): SAME_UPPER,
    ("flax", None): SAME_UPPER,
    ("mindspore", "same"): SAME_UPPER,
    ("flax", "SAME"): SAME_UPPER,
    ("keras", "same"): SAME_UPPER,
    ("tensorflow", "same"): SAME_UPPER,
    ("flax", "SAME_LOWER"): SAME_LOWER,
    ("flax", "CAUSAL"): CAUSAL,
    ("keras", "causal"): CAUSAL,
    ("tensorflow", "causal"): CAUSAL,
    ("torch", "same"): TORCH_SAME,
}


def test_the_profiles_are_there():
    """Exactly these policies of frameworks are built in, sorted, and each is given back as it is."""
    assert [name for name in cp.policies() if not name.startswith("paper/")] == PROFILES == sorted(DEFAULTS)
    torch = cp.policy("torch")
    assert cp.policy(torch) is torch
    assert torch.provider == "torch"


@pytest.mark.parametrize("name", PROFILES)
def test_a_profile_names_everything(name):
    """Each profile names a registered part for all six fields, and the framework, versions and source it was measured on."""
    policy = cp.policy(name)
    for field, registered in PARTS.items():
        choice = getattr(policy, field)
        assert isinstance(choice, Choice)
        part, arguments = policy.part(field)
        assert part is registered()[choice.name]
        assert set(arguments) == set(part.params)
    for text in ("framework", "versions", "measured", "source", "description"):
        assert getattr(policy, text)
    assert policy.framework == name.split("@")[0].split("-")[0]
    for _word, rule in policy.padding_names:
        assert rule in cp.padding_rules()


@pytest.mark.parametrize("name", PROFILES)
def test_measured_defaults(name):
    """Padding, bias, initializers, axes and names are those measured on the real framework."""
    policy = cp.policy(name)
    layout = policy.part("layout")[0]
    got = (
        str(policy.padding), policy.bias, str(policy.weight_init), str(policy.bias_init), layout.axes, layout.weight,
        policy.part("data_layout")[0].axes,
    )  # fmt: skip
    assert got == DEFAULTS[name]
    assert policy.padding_mode == Choice("zeros")
    assert layout.bias == "bias"


@pytest.mark.parametrize(("name", "padding"), MEASURED)
def test_measured_pads(name, padding):
    """By default and under the framework's own words, pads and output lengths are the measured ones, refusals included."""
    policy = cp.policy(name) if padding is None else cp.policy(name).evolve(padding=padding)
    for (kernel, stride, dilation, length), expected in zip(COLUMNS, MEASURED[name, padding]):
        if expected is None or (stride > 1 and dilation > 1 and name in NOT_BOTH):
            with pytest.raises(cp.ConvPolicyError, match=r"stride must be 1, got|stride and dilation must not both be above 1"):
                policy.plan(kernel, stride, dilation, length=length)
            continue
        plan = policy.plan(kernel, stride, dilation, length=length)
        assert (plan.left, plan.right, plan.length_out) == expected
        assert (plan.mode, plan.value, plan.left_sources) == ("zeros", 0.0, (-1,) * plan.left)


@pytest.mark.parametrize("name", ["torch", "keras", "tensorflow"])
def test_profiles_without_padding(name):
    """PyTorch's, Keras's and TensorFlow's layers add nothing by default."""
    for kernel, stride, dilation, length in COLUMNS:
        if stride > 1 and dilation > 1 and name in NOT_BOTH:
            continue
        plan = cp.policy(name).plan(kernel, stride, dilation, length=length)
        windows = len(range(0, length - (kernel - 1) * dilation, stride))
        assert (plan.left, plan.right, plan.length_out) == (0, 0, windows)


def test_static_pads():
    """Pads that every length shares are known beforehand; those that a stride makes depend on the length are not."""
    mindspore, torch = cp.policy("mindspore"), cp.policy("torch")
    assert mindspore.static_pads(4, 1, 3) == (4, 5)
    assert mindspore.static_pads(4, 2, 1) is None
    assert mindspore.static_pads(1, 2, 1) == (0, 0)  # one tap never needs a pad
    assert torch.static_pads(4, 3, 2) == (0, 0)
    assert torch.evolve(padding="causal").static_pads(4, 3, 2) == (6, 0)
    assert torch.evolve(padding=(3, 1)).static_pads(2, 2, 2) == (3, 1)
    with pytest.raises(cp.ConvPolicyError, match="stride must be 1, got 2"):
        torch.evolve(padding="same").static_pads(4, 2, 1)


WORDS = [
    ("torch", "same", "torch_same"), ("mindspore", "same", "same_upper"), ("mindspore@2.0", "same", "same_upper"),
    ("keras", "same", "same_upper"), ("tensorflow", "same", "same_upper"), ("flax", "same", "same_upper"),
    ("flax", "SAME", "same_upper"), ("flax", "SAME_LOWER", "same_lower"), ("flax", "CAUSAL", "causal"),
    ("flax", "VALID", "valid"), ("mindspore", "valid", "valid"), ("torch", "same_upper", "same_upper"),
    ("torch", "torch-left", "torch-left"), ("keras", "causal", "causal"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "word", "rule"), WORDS)
def test_the_frameworks_own_words_come_first(name, word, rule):
    """A word means what the policy's framework means by it; every other name is the rule registered under it."""
    assert cp.policy(name).evolve(padding=word).padding == Choice(rule)
    assert cp.policy(name).evolve(padding=(word,)).padding == Choice(rule)  # torch takes one in a tuple


def test_own_words_may_hide_a_rule_and_a_choice_may_not():
    """A word of ``padding_names`` wins over the rule of that name; a Choice always names the rule."""
    policy = cp.policy("torch").evolve(padding_names=(("full", "causal"), ("auto", "half")))
    assert policy.evolve(padding="full").padding == Choice("causal")
    assert policy.evolve(padding="auto").padding == Choice("half")
    assert policy.evolve(padding=Choice("full")).padding == Choice("full")
    assert policy.evolve(padding={"name": "full"}).padding == Choice("full")
    with pytest.raises(cp.ConvPolicyError, match="unknown padding rule 'same'"):
        policy.evolve(padding="same")


EVOLVED = [
    ("padding", 2, Choice("explicit", left=2, right=2)),
    ("padding", np.int64(2), Choice("explicit", left=2, right=2)),
    ("padding", [1, 3], Choice("explicit", left=1, right=3)),
    ("padding", Choice("same_upper", odd_side="left"), Choice("same_upper", odd_side="left")),
    ("padding", {"name": "same_upper", "odd_side": "left"}, Choice("same_upper", odd_side="left")),
    ("padding_mode", Choice("constant", value=1.5), Choice("constant", value=1.5)),
    ("weight_init", 0.25, Choice("constant", value=0.25)),
    ("weight_init", Choice("normal", std=0.02), Choice("normal", std=0.02)),
    ("bias_init", np.array([1.0, 2.0]), Choice("array", values=[1, 2])),
    ("layout", "WIO", Choice("WIO")),
    ("data_layout", "NWC", Choice("NWC")),
    ("bias", np.bool_(False), False),
    ("source", "a paper", "a paper"),
]


def test_another_name_drops_the_claim_to_be_the_framework():
    """Renamed, a policy names no framework, versions, source or description of its own accord; the parts stay."""
    torch = cp.policy("torch")
    mine = torch.evolve(name="mine", source="a paper")
    empty = {"framework": "", "versions": "", "measured": "", "description": ""}
    half = torch.half().evolve(name="mine")
    changed = {"name": "mine", "source": "a paper", "transposed": half}
    assert attrs.asdict(mine, recurse=False) == attrs.asdict(torch, recurse=False) | empty | changed
    assert (half.name, half.framework, half.source, half.padding) == ("mine", "", "", torch.half().padding)
    assert torch.evolve(name="torch") == torch


@pytest.mark.parametrize(("field", "value", "expected"), EVOLVED, ids=lambda value: str(value)[:30])
def test_evolve_changes_one_field_of_a_copy(field, value, expected):
    """Each field takes what callers say for it; the other fields and the policy itself stay as they were."""
    policy = cp.policy("torch")
    before = attrs.asdict(policy, recurse=False)
    changed = policy.evolve(**{field: value})
    assert attrs.asdict(changed, recurse=False) == before | {field: expected}
    assert attrs.asdict(policy, recurse=False) == before
    assert changed != policy
    assert changed.evolve(**{field: before[field]}) == policy


def test_a_policy_is_frozen():
    """No field of a policy can be assigned, nor the array it holds be written."""
    policy = cp.policy("torch").evolve(weight_init=np.arange(6.0).reshape(1, 2, 3))
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        policy.bias = False
    with pytest.raises(ValueError, match="read-only"):
        dict(policy.weight_init.params)["values"].array[0, 0, 0] = 5


values = st.one_of(
    st.sampled_from([float("nan"), -float("nan"), 0.0, -0.0, 1, 1.0, True, "left", "right"]),
    st.floats(),
    st.lists(st.floats(), max_size=3),
)
choices = st.builds(
    lambda name, params: Choice(name, **params), st.sampled_from("ab"), st.dictionaries(st.sampled_from("pq"), values)
)


@settings(max_examples=100, derandomize=True, deadline=None)
@given(choices, choices)
def test_equal_hash_and_pickle(a, b):
    """A policy of any Choice equals its copies, hashes as they do and survives pickling; NaN and arrays included."""
    policies = [cp.Policy("x", weight_init=choice) for choice in (a, b)]
    for policy in policies:
        for twin in (pickle.loads(pickle.dumps(policy)), copy.deepcopy(policy), cp.Policy("x", weight_init=policy.weight_init)):
            assert (twin, hash(twin), repr(twin)) == (policy, hash(policy), repr(policy))
    assert (policies[0] == policies[1]) == (a == b)
    if a == b:
        assert hash(policies[0]) == hash(policies[1])


def test_what_makes_two_policies_differ():
    """Any field, any parameter, an array's shape or one bit of it; and True is not 1."""
    policy = cp.policy("torch")
    array = np.arange(6.0).reshape(1, 2, 3)
    bit_off = np.nextafter(array, 1)
    different = [
        policy, policy.evolve(name="other"), policy.evolve(bias=False), policy.evolve(padding=1), policy.evolve(padding=(1, 0)),
        policy.evolve(weight_init=array), policy.evolve(weight_init=bit_off), policy.evolve(weight_init=array.reshape(1, 3, 2)),
        policy.evolve(weight_init=1.0), cp.Policy("a", padding=Choice("b", c=1)), cp.Policy("a", padding=Choice("b", c=True)),
        policy.evolve(padding_mode=Choice("constant", value=float("nan"))), policy.evolve(padding_mode="constant"),
    ]  # fmt: skip
    for i, a in enumerate(different):
        for j, b in enumerate(different):
            assert (a == b) == (i == j)
    assert len(set(different)) == len(different)
    assert policy.evolve(weight_init=array) == policy.evolve(weight_init=array.astype("float32"))
    for one, other in ((1, 1.0), (0.0, -0.0), (float("nan"), np.float32("nan"))):
        assert Choice("constant", value=one) == Choice("constant", value=other)
    assert str(Choice("constant", value=-0.0)) == "constant(value=0.0)"  # equal ones pad with the same bits
    assert attrs.evolve(policy, provider="elsewhere") == policy  # where it came from is no part of what it says


def test_printed():
    """A policy prints every part it names."""
    assert str(cp.policy("mindspore@2.0")) == (
        "mindspore@2.0: padding same_upper, mode zeros, weight normal with std 0.01, no bias, layout OI1W/NCW"
    )
    mine = cp.policy("flax").evolve(name="mine", padding=(1, 2), padding_mode=Choice("reflect", overflow="periodic"))
    assert str(mine) == (
        "mine: padding explicit(left=1, right=2), mode reflect(overflow=periodic), weight truncated normal with std √(1/fan_in) (LeCun), bias zeros, "
        "layout WIO/NWC"
    )


def test_initial_has_the_layers_shapes():
    """Weight (out, in/groups, kernel) and bias (out,) of the dtype asked for; None where the policy has no bias."""
    drawn = cp.policy("torch").initial(4, 6, 5, 2)
    assert (drawn["weight"].shape, drawn["weight"].dtype) == ((6, 2, 5), np.float32)
    assert (drawn["bias"].shape, drawn["bias"].dtype) == ((6,), np.float32)
    assert cp.policy("mindspore").initial(4, 6, 5, 2, dtype="float64")["bias"] is None
    assert cp.policy("mindspore").evolve(bias=True).initial(4, 6, 5, 2, dtype="float64")["bias"].dtype == np.float64
    layer = cp.Conv1d(4, 6, 5, groups=2, seed=0)
    assert layer.weight.tolist() == drawn["weight"].tolist()  # seed 0 is the default of `initial`
    assert layer.bias.tolist() == drawn["bias"].tolist()
