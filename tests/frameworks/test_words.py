"""What a framework's profile refuses, and its words for padding that say more than a rule."""

from __future__ import annotations

import pytest
from helpers.measured import NOT_BOTH

import convpolicy as cp
from convpolicy import Choice


@pytest.mark.parametrize("name", [name for name in cp.policies() if cp.policy(name).framework])
def test_keras_refuses_stride_with_dilation(name):
    """A plan and a layer with both are refused under Keras's policies only, and not under a name of one's own."""
    policy = cp.policy(name)
    if name in NOT_BOTH:
        sentence = (
            f"stride and dilation must not both be above 1 under policy {name!r}, as {policy.framework} refuses them, got 2 and 3"
        )
        for attempt in (lambda: policy.plan(2, 2, 3, length=9), lambda: cp.Conv1d(1, 1, 2, 2, dilation=3, policy=policy)):
            with pytest.raises(cp.ConvPolicyError, match=sentence) as caught:
                attempt()
            assert isinstance(caught.value, ValueError)
    mine = policy.evolve(name="mine")
    assert mine.strided_dilation
    if name != "paddle":
        plan = mine.plan(2, 2, 3, length=9)
        assert plan.length_out == len(range(0, plan.padded_length - 3, 2))


def test_a_word_may_say_the_mode_too():
    """Flax's CIRCULAR and REFLECT pad statically in a mode of their own; a mode given beside the word wins; a file keeps them."""
    flax = cp.policy("flax")
    for word, mode in (("CIRCULAR", "circular"), ("REFLECT", "reflect")):
        policy = flax.evolve(padding=word)
        assert (policy.padding, policy.padding_mode) == (Choice("same_static"), Choice(mode, overflow="periodic"))
        assert cp.Policy.from_dict(policy.to_dict()) == policy
        assert flax.evolve(padding=word, padding_mode="zeros").padding_mode == Choice("zeros")
        written = flax.to_dict() | {"padding": word}
        del written["padding_mode"]
        assert cp.Policy.from_dict(written) == policy
    assert flax.evolve(padding="SAME").padding_mode == Choice("zeros")


def test_paddles_same_refuses_dilation():
    """Paddle would silently compute dilation 1: the policy says so instead, for plans and for layers."""
    policy = cp.policy("paddle").evolve(padding="SAME")
    assert (policy.plan(4, 2, length=10).left, policy.plan(4, 2, length=10).right) == (1, 1)
    for attempt in (lambda: policy.plan(4, 1, 2, length=10), lambda: cp.Conv1d(1, 1, 4, dilation=2, policy=policy)):
        with pytest.raises(ValueError, match="dilation must be 1, got 2, which Paddle's 'SAME' silently sets to 1"):
            attempt()
