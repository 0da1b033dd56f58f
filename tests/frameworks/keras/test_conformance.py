"""Keras's files keep what the conformance kit asks, and its native framework says which process it needs."""

from __future__ import annotations

import pytest

from convpolicy.registry import current
from convpolicy.testing import ConformanceError, check_native, parametrize_with_checks

pytestmark = pytest.mark.needs("h5py")


@parametrize_with_checks([current().get("file format", name) for name in (".weights.h5", ".keras")])
def test_its_files(check):
    """What is written is read, to the bit; what is damaged is refused."""
    check()


def test_another_process_is_asked_for(monkeypatch):
    """A process whose environment is not the one that the layer needs."""
    monkeypatch.setenv("KERAS_BACKEND", "another")
    with pytest.raises(ConformanceError, match="the environment of this process must have KERAS_BACKEND='jax', got 'another'"):
        check_native("keras-jax")
