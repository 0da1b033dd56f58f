"""The backend, the rules and the policies keep what convpolicy asks of every plugin; the backend with a fault does not."""

from __future__ import annotations

import pytest

import convpolicy as cp
import convpolicy_onnx
from convpolicy.testing import ConformanceError, check_backend, faults_of, parametrize_with_checks

BACKEND = cp.backends()["onnx"]
LAYERS = 600  # per dtype: every rule and mode dozens of times
FAULTS = faults_of(BACKEND)


@parametrize_with_checks([BACKEND], max_examples=LAYERS)
def test_the_backend(check):
    """Against the float64 reference, over every rule, mode and policy."""
    check()


@parametrize_with_checks(
    [
        *(cp.padding_rules()[name] for name in ("onnx_same_upper", "onnx_same_lower")),
        *map(cp.policy, ("onnx", "onnx-same-upper", "onnx-same-lower")),
    ]
)
def test_rules_and_policies(check):
    """What they declare, too."""
    check()


@parametrize_with_checks([*convpolicy_onnx.convpolicy_natives(), *convpolicy_onnx.convpolicy_file_formats()])
def test_the_framework_and_its_files(check):
    """Names, axes, windows and values of ONNX Runtime; files that are not read say what to do."""
    check()


@pytest.mark.parametrize("fault", FAULTS)
def test_a_backend_with_a_fault_is_rejected(fault):
    """The same checks fail for each of them."""
    with pytest.raises(ConformanceError, match="backend 'onnx' fails check"):
        check_backend(FAULTS[fault], max_examples=20)
