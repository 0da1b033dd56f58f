"""MindSpore itself and its files keep what the conformance kit asks; its stream and its dialect need no MindSpore."""

from __future__ import annotations

from convpolicy.registry import current
from convpolicy.testing import parametrize_with_checks


@parametrize_with_checks([current().get("native framework", "mindspore")])
def test_the_framework(check):
    """Names, axes, windows of every word, values and initial weights; ``mindspore@2.0`` is for a version that is not installed."""
    check()


@parametrize_with_checks([current().get("file format", ".ckpt")])
def test_its_files(check):
    """What is written is read, to the bit; what is damaged is refused."""
    check()
