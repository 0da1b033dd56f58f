"""The padding rules of reference codes by their definition, and cuts: pads below zero."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.differential import same_within
from helpers.paper_reads import reads
from hypothesis import given, settings
from hypothesis import strategies as st

import convpolicy as cp
from convpolicy import reference
from convpolicy.comparison.drawing import draw

sizes = st.tuples(st.integers(1, 9), st.integers(1, 5), st.integers(1, 4), st.integers(1, 40))


def dropping(pads, dropped, kernel, stride, dilation, length):
    """The windows of an input padded on both sides, without the last ``dropped`` outputs."""
    total = length + 2 * pads - (kernel - 1) * dilation - 1
    outputs = (total // stride + 1 if total >= 0 else 0) - dropped
    inside = lambda position: position if 0 <= position < length else -1  # noqa: E731
    found = [[inside(o * stride - pads + t * dilation) for t in range(kernel)] for o in range(max(outputs, 0))]
    return found or None


@settings(max_examples=80, derandomize=True, deadline=None)
@given(sizes)
def test_rules_that_drop_outputs(given_sizes):
    """chomp, same_drop_last and causal_keep read what padding both sides and dropping outputs reads, also with a stride."""
    kernel, _stride, dilation, length = given_sizes
    policy, whole = cp.policy("torch"), (kernel - 1) * dilation
    if kernel > 1:
        expected = dropping(whole, whole, *given_sizes)
        assert reads(policy.evolve(padding="chomp"), given_sizes[:3], length) == expected
    at_one = (kernel, 1, dilation)
    expected = dropping(kernel // 2, kernel % 2 == 0, *at_one, length)
    assert reads(policy.evolve(padding="same_drop_last"), at_one, length) == expected
    assert reads(policy.evolve(padding="causal_keep"), at_one, length) == dropping(whole, whole, *at_one, length)


@settings(max_examples=80, derandomize=True, deadline=None)
@given(sizes)
def test_rules_that_fill_the_last_window(given_sizes):
    """EnCodec's and Mimi's: with the extra the last sample is read by the last whole window; to_multiple by its own name."""
    kernel, stride, dilation, length = given_sizes
    effective = (kernel - 1) * dilation + 1
    for rule in ("encodec", "encodec_causal", "mimi"):
        policy = cp.policy("torch").evolve(padding=rule)
        if stride > effective:
            with pytest.raises(ValueError, match=f"stride must be at most the effective kernel {effective}, got {stride}"):
                policy.plan(kernel, stride, dilation, length=length)
            continue
        plan = policy.plan(kernel, stride, dilation, length=length)
        if dilation == 1 or stride == 1 or rule == "mimi":
            assert plan.length_out == -(-length // stride)
            assert plan.padded_length == (plan.length_out - 1) * stride + effective
        least = plan.left + plan.right - (effective - stride)
        assert 0 <= least < stride
    right = cp.policy("torch").evolve(padding=cp.Choice("to_multiple", of=kernel)).plan(1, length=length).right
    assert (length + right) % kernel == 0
    assert 0 <= right < kernel
    assert cp.policy("torch").evolve(padding="to_multiple").plan(1, stride, length=length).right == -length % stride


@settings(max_examples=80, derandomize=True, deadline=None)
@given(
    sizes, st.integers(0, 3), st.integers(0, 3), st.sampled_from(["zeros", "reflect", "symmetric", "replicate", "circular"]),
    st.booleans(),
)  # fmt: skip
def test_a_cut_is_the_input_cut(given_sizes, left, right, mode, padded):
    """A negative pad is the same as convolving a shorter input; beside a pad on the other side, the pad is of the whole input."""
    kernel, stride, dilation, length = given_sizes
    pads = (-left, right if padded else -right)
    rule = cp.PaddingRule("mine", lambda *_: pads)
    mode = mode if mode in ("zeros", "replicate") else cp.Choice(mode, overflow="periodic")
    cp.register(type("Mine", (), {"convpolicy_padding_rules": cp.hookimpl(lambda _self: [rule])})(), "cuts")
    try:
        policy = cp.policy("torch").evolve(padding="mine", padding_mode=mode)
        plan = policy.plan(kernel, stride, dilation, length=length)
        layer = cp.Conv1d(2, 3, kernel, stride, dilation=dilation, policy=policy, seed=1)
        data = np.random.default_rng(2).standard_normal((1, 2, length)).astype(np.float32)
        if not plan.length_out:
            with pytest.raises(ValueError, match="is too short"):
                layer(data)
            return
        assert plan.padded_length == length + sum(pads) == len(plan.positions)
        judged = reference.conv1d(
            data, layer.weight, layer.bias, left=pads[0], right=pads[1], mode=policy.padding_mode.name, overflow="periodic",
            stride=stride, dilation=dilation,
        )  # fmt: skip
        same_within(judged.output, layer(data), judged, "float32")
    finally:
        cp.unregister("cuts")


def test_crop_draws_what_it_cuts():
    """The rule of that name, its drawing, and a crop of everything."""
    policy = cp.policy("torch").evolve(padding=cp.Choice("crop", left=2, right=1))
    plan = policy.plan(3, length=7)
    assert (plan.left, plan.right, plan.length_out, plan.added, plan.cut) == (-2, -1, 2, (0, 0), (2, 1))
    assert draw(plan).splitlines() == [
        "          |1234567|",
        "output 0  |  ^^^  |",
        "output 1  |   ^^^ |",
        "cut away: the first 2 samples",
        "cut away: the last 1 samples",
    ]
    assert policy.plan(3, length=3).length_out == 0


REFUSED = [
    ("nemo_future", (3, 2, 2), "stride and dilation must not both be above 1, got 2 and 2"),
    ("chomp", (1, 1, 1), "kernel must be at least 2, got 1"),
    ("same_drop_last", (3, 2, 1), "stride must be 1, got 2"),
    ("causal_keep", (3, 2, 1), "stride must be 1, got 2"),
    ("dac", (2, 3, 1), "stride must be at most the effective kernel 2, got 3"),
    ("moshi", (4, 2, 1), "length must be a multiple of the stride 2, got 9"),
    (cp.Choice("same_symmetric", odd_only=True), (4, 1, 1), "kernel must be odd, got 4"),
]


@pytest.mark.parametrize(("rule", "given_sizes", "sentence"), REFUSED)
def test_what_rules_refuse(rule, given_sizes, sentence):
    """Each says what came and what is allowed."""
    with pytest.raises(cp.ConvPolicyError, match=sentence):
        cp.policy("torch").evolve(padding=rule).plan(*given_sizes, length=9)
