"""Every part keeps what convpolicy asks of every plugin; a backend with a fault does not."""

from __future__ import annotations

import pytest

import convpolicy as cp
import convpolicy_mlx
from convpolicy.testing import ConformanceError, check_backend, faults_of, parametrize_with_checks
from convpolicy_mlx.dialect import dialect

BACKEND = cp.backends()["mlx"]
LAYERS = 600  # per dtype, a quarter of them differentiated: every rule and mode dozens of times
FAULTS = faults_of(BACKEND)
NATIVE, _OLD = convpolicy_mlx.convpolicy_natives()


@parametrize_with_checks([BACKEND], max_examples=LAYERS)
def test_the_backend(check):
    """Against the float64 reference and its adjoint, over every rule, mode and policy."""
    check()


@parametrize_with_checks([cp.policy("mlx"), cp.policy("mlx@0.32.3")])
def test_the_policies(check):
    """Words, parts, files, initial weights and values."""
    check()


@parametrize_with_checks([cp.random_streams()["mlx"]])
def test_the_stream(check):
    """Seeds, shapes, dtypes and distributions, with both values of its parameter."""
    check()


@parametrize_with_checks([NATIVE])
def test_the_framework(check):
    """Names, axes, windows, values and initial weights; ``mlx@0.32.3`` is for a version that is not installed."""
    check()


@parametrize_with_checks([dialect()])
def test_the_dialect(check):
    """What is written is read back."""
    check()


@parametrize_with_checks(convpolicy_mlx.convpolicy_file_formats())
def test_the_files(check):
    """What is written is read, to the bit."""
    check()


@pytest.mark.parametrize("fault", FAULTS)
def test_a_backend_with_a_fault_is_rejected(fault):
    """The same checks fail for each of them."""
    with pytest.raises(ConformanceError, match="backend 'mlx' fails check"):
        check_backend(FAULTS[fault], max_examples=20)
