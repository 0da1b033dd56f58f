"""The conformance kit on both backends, and that it rejects layers of theirs with a fault."""

from __future__ import annotations

import attrs
import jax
import pytest

import convpolicy as cp
from convpolicy.registry import current
from convpolicy.testing import ConformanceError, checks_of, parametrize_with_checks

TRANSPOSE_KERNEL = ("flax-transpose-kernel", "flax-linen-transpose-kernel")
BACKENDS = [cp.backends()[name] for name in ("flax", "flax-linen")]


@pytest.fixture(autouse=True)
def sixty_four_bits():
    """Float64 layers need JAX's 64-bit mode."""
    with jax.experimental.enable_x64():
        yield


@pytest.mark.grid(every=2)  # every check on one of the two
@parametrize_with_checks(BACKENDS, max_examples=5)  # every shape is compiled, once for both
def test_conformance(check):
    """Names, signatures, shapes, values in every dtype, gradients, assign and capture, over every rule and mode."""
    check()


NATIVES = [current().get("native framework", name) for name in ("flax", "flax-linen", *TRANSPOSE_KERNEL)]


@pytest.mark.grid(every=3)  # every check on one of the four, or on two
@parametrize_with_checks(NATIVES, max_examples=8)  # enough for one layer that 'valid' in small letters does not cut completely
def test_the_framework(check):
    """Names, axes, windows of every word, values and initial weights."""
    check()


def with_fault(backend, fault):
    """The backend, whose layers run on weights with a fault."""

    def run(layer, data):
        right = backend.parameters(layer)
        backend.assign(layer, {"weight": fault(right["weight"]), "bias": right["bias"]})
        return backend.run(layer, data)

    return attrs.evolve(backend, run=run)


FAULTS = {
    "kernel flipped": lambda weight: weight[..., ::-1],
    "channels swapped": lambda weight: weight[:, ::-1],
    "weight rounded": lambda weight: weight.astype("float16").astype(weight.dtype),
}


@pytest.mark.grid(every=1)
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("backend", BACKENDS, ids=lambda backend: backend.name)
def test_a_fault_is_rejected(backend, fault):
    """The check of values sees what is deliberately wrong in a layer that is otherwise the right one."""
    (check,) = [check for check in checks_of(with_fault(backend, FAULTS[fault]), 20) if check.name == "values-float32"]
    with pytest.raises(ConformanceError, match="differs from the float64 reference"):
        check()
