"""Every part keeps what convpolicy asks of every plugin; a backend with a fault does not."""

from __future__ import annotations

import attrs
import numpy as np
import pytest

import convpolicy as cp
import convpolicy_mlx
from convpolicy.testing import ConformanceError, check_backend, check_crop_rule, check_layout, faults_of, parametrize_with_checks
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


@parametrize_with_checks([cp.crop_rules()["mlx_explicit"]])
def test_the_crop_rule(check):
    """Integers for every size and parameter, and a layer that cuts them."""
    check()


@parametrize_with_checks([cp.layouts()[layout.name] for layout in convpolicy_mlx.convpolicy_layouts()])
def test_the_layouts(check):
    """The one of transposed weights: every number has its place and comes back."""
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


class Reversed(cp.Layout):
    """A layout that stores the kernel in reverse without saying so."""

    def stored(self, weight, groups=1):
        """Store the reversed kernel."""
        return super().stored(np.flip(weight, -1), groups)


def test_a_wrong_crop_rule_and_a_wrong_layout_are_rejected():
    """A rule that declares what it does not do, one that returns fractions, and a layout that stores the kernel in reverse."""
    rule = cp.crop_rules()["mlx_explicit"]
    for wrong in (
        attrs.evolve(rule, name="multiplies", declares={"length-multiplying"}),
        attrs.evolve(
            rule, name="halves", crops=lambda kernel, stride, dilation, length, padding, output_padding: (kernel / 2, 0)
        ),
    ):
        with pytest.raises(ConformanceError, match=f"crop rule '{wrong.name}' fails check"):
            check_crop_rule(wrong)
    with pytest.raises(ConformanceError, match="layout 'reversed' fails check"):
        check_layout(Reversed("reversed", "OWI", transposed=True))


@pytest.mark.parametrize("fault", FAULTS)
def test_a_backend_with_a_fault_is_rejected(fault):
    """The same checks fail for each of them."""
    with pytest.raises(ConformanceError, match="backend 'mlx' fails check"):
        check_backend(FAULTS[fault], max_examples=20)
