"""The backend, the rules and the policies keep what convpolicy asks of every plugin; the backend with a fault does not."""

from __future__ import annotations

import attrs
import pytest

import convpolicy as cp
import convpolicy_onnx
from convpolicy.testing import ConformanceError, check_backend, check_crop_rule, faults_of, parametrize_with_checks

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


@parametrize_with_checks(
    [
        *(cp.crop_rules()[rule.name] for rule in convpolicy_onnx.convpolicy_crop_rules()),
        cp.layouts()[cp.policy("onnx").half().layout.name],
    ]
)
def test_crop_rules_and_the_layout(check):
    """Integers for every size and parameter, and a layer that cuts them; the layout of a ConvTranspose."""
    check()


def test_a_wrong_crop_rule_is_rejected():
    """One that declares what it does not do, and one that reads a length that it does not ask for."""
    same, shaped = (cp.crop_rules()[name] for name in ("onnx_same_upper", "onnx_output_shape"))
    for wrong in (
        attrs.evolve(same, name="multiplies", declares={"length-multiplying"}),
        attrs.evolve(shaped, name="forgets", needs_length=False),
    ):
        with pytest.raises(ConformanceError, match=f"crop rule '{wrong.name}' fails check"):
            check_crop_rule(wrong)


@parametrize_with_checks([*convpolicy_onnx.convpolicy_natives(), *convpolicy_onnx.convpolicy_file_formats()])
def test_the_framework_and_its_files(check):
    """Names, axes, windows and values of ONNX Runtime; files that are not read say what to do."""
    check()


@pytest.mark.parametrize("fault", FAULTS)
def test_a_backend_with_a_fault_is_rejected(fault):
    """The same checks fail for each of them."""
    with pytest.raises(ConformanceError, match="backend 'onnx' fails check"):
        check_backend(FAULTS[fault], max_examples=20)
