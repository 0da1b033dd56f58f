"""Torch itself and its files keep what the conformance kit asks; its stream and its dialect need no torch."""

from __future__ import annotations

from convpolicy.registry import current
from convpolicy.testing import parametrize_with_checks


@parametrize_with_checks([current().get("native framework", "torch")])
def test_the_framework(check):
    """Names, axes, windows of every word and mode, values and initial weights."""
    check()


@parametrize_with_checks([current().get("file format", name) for name in (".pt", ".pth", ".bin")])
def test_its_files(check):
    """What is written is read, to the bit; what is damaged is refused."""
    check()
