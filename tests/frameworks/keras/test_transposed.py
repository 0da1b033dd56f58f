"""The policies of Conv1DTranspose need no framework: what they cut, as measured, and what they refuse."""

from __future__ import annotations

import pytest

import convpolicy as cp
from convpolicy.registry import current

POLICIES = ("keras", "keras-torch", "keras-jax", "tensorflow")
# (kernel, stride, dilation, padding, output_padding) -> (left, right) of Keras 3.15.1
MEASURED = {
    (3, 2, 1, "valid", None): (0, 0), (2, 3, 1, "valid", None): (0, -1), (3, 2, 1, "valid", 1): (0, -1), (2, 3, 1, "valid", 0): (0, 0),
    (3, 2, 1, "same", None): (0, 1), (4, 1, 1, "same", None): (1, 2), (5, 2, 1, "same", None): (1, 2), (7, 4, 1, "same", None): (1, 2),
    (2, 3, 1, "same", None): (0, -1), (5, 3, 1, "same", 0): (2, 2), (5, 3, 1, "same", 1): (1, 2), (5, 3, 1, "same", 2): (1, 1),
    (4, 3, 1, "same", 1): (1, 2), (1, 3, 1, "same", 2): (0, -2), (3, 1, 2, "same", None): (2, 2), (2, 1, 3, "same", None): (1, 2),
}  # fmt: skip


def half_of(policy, padding, output_padding):
    """The policy with a padding in Keras's words."""
    half = cp.policy(policy).transposed.evolve(padding=padding)
    return half if output_padding is None else half.evolve(padding=cp.Choice(half.padding.name, output_padding=output_padding))


@pytest.mark.parametrize("policy", POLICIES)
def test_what_each_policy_cuts(policy):
    """The numbers measured on every backend; the length follows from them, and nothing is cut by default."""
    for (kernel, stride, dilation, padding, output_padding), cuts in MEASURED.items():
        plan = half_of(policy, padding, output_padding).plan(kernel, stride, dilation, length=6)
        assert (plan.left, plan.right) == cuts
        assert plan.length_out == 5 * stride + (kernel - 1) * dilation + 1 - sum(cuts)
    default = cp.policy(policy).plan(3, 2, length=6, transposed=True)
    assert (default.left, default.right) == (0, 0)


@pytest.mark.parametrize("policy", POLICIES)
def test_what_each_policy_refuses(policy):
    """output_padding of the stride or more, stride with dilation; on TensorFlow output_padding=0 with an even effective kernel."""
    with pytest.raises(cp.InvalidValueError, match="output_padding must be below the stride, 3, under policy"):
        half_of(policy, "same", 3).plan(5, 3, length=6)
    with pytest.raises(cp.InvalidValueError, match="output_padding must be at least 0, got -1"):
        half_of(policy, "valid", -1).plan(5, 3, length=6)
    with pytest.raises(cp.InvalidValueError, match="stride and dilation must not both be above 1"):
        cp.policy(policy).plan(3, 2, 2, length=6, transposed=True)
    for kernel, stride, dilation in ((4, 3, 1), (2, 1, 3)):
        if policy in ("keras", "tensorflow"):
            with pytest.raises(
                cp.InvalidValueError, match="output_padding=0 fails in TensorFlow for an even effective kernel, got 4; pass"
            ):
                half_of(policy, "same", 0).plan(kernel, stride, dilation, length=6)
        else:
            plan = half_of(policy, "same", 0).plan(kernel, stride, dilation, length=6)
            assert (plan.left, plan.right, plan.length_out) == (2, 2, 5 * stride)


def test_what_it_registers():
    """Names and axes of the weights, the side that counts as fan-in, and the module that runs Keras's own layer."""
    for policy in POLICIES:
        layout = cp.layouts()[cp.policy(policy).transposed.layout.name]
        assert (layout.axes, layout.weight, layout.bias, layout.fan_in, layout.flip) == ("WOI", "kernel", "bias", "O", False)
        assert current().get("native framework", policy).transposed == "convpolicy.frameworks.keras.native_transposed"
    for backend in ("keras", "keras-torch", "keras-jax"):
        assert cp.backends()[backend].transposed_layout == "WOI"
