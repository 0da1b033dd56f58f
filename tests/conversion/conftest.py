"""File formats that a test registers."""

from __future__ import annotations

import pytest
from helpers.plugins import offering_formats

import convpolicy as cp


@pytest.fixture
def register():
    """Register file formats under a plugin's name for one test."""
    names = []

    def add(*formats, name="tide"):
        cp.register(offering_formats(*formats), name)
        names.append(name)

    yield add
    for name in names:
        cp.unregister(name)
