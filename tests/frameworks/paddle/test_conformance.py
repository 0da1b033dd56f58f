"""The backend keeps what convpolicy asks of every plugin, forward and backward; the backend with a fault does not."""

from __future__ import annotations

import pytest

import convpolicy as cp
from convpolicy.registry import current
from convpolicy.testing import ConformanceError, check_backend, faults_of, parametrize_with_checks
from convpolicy.testing.backend_cases import MODES

BACKEND = cp.backends()["paddle"]
LAYERS = 600  # per dtype, a quarter of them differentiated: every rule and mode dozens of times
FAULTS = faults_of(BACKEND)


@parametrize_with_checks([BACKEND], max_examples=LAYERS)
def test_the_backend(check):
    """Against the float64 reference and its adjoint, over every rule, mode and policy."""
    check()


@parametrize_with_checks([current().get("native framework", "paddle")])
def test_the_framework(check):
    """Names, axes, windows of every word and mode, values and initial weights."""
    check()


@pytest.mark.parametrize("fault", FAULTS)
def test_a_backend_with_a_fault_is_rejected(fault):
    """The same checks fail for each of them."""
    with pytest.raises(ConformanceError, match="backend 'paddle' fails check"):
        check_backend(FAULTS[fault], max_examples=len(MODES))  # each mode once
