"""What the tests of translation share."""

from __future__ import annotations

import pytest

import convpolicy as cp


@pytest.fixture
def register():
    """``register(plugin, name="stranger")``, undone after the test."""
    names = []

    def run(plugin, name="stranger"):
        report = cp.register(plugin, name)
        names.append(report.name)
        return report

    yield run
    for name in names:
        if any(report.name == name for report in cp.plugins()):  # a test may have removed it
            cp.unregister(name)
