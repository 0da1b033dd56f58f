"""Two plugins that offer the same file format."""

from __future__ import annotations

import pytest

import convpolicy as cp
from convpolicy.conversion.formats import format_of
from convpolicy.extensions.loading import PluginRegistry

TWO = """
import convpolicy as cp
from convpolicy.conversion import Reader, Writer
@cp.hookimpl
def convpolicy_file_formats():
    return [cp.FileFormat(".tide", Reader, Writer), cp.FileFormat({other!r}, Reader)]
"""


def test_two_plugins_with_one_suffix(install, tmp_path, monkeypatch):
    """Neither wins: both are named, when they are loaded and when such a file is met; the other formats work."""
    install("ebb", TWO.format(other=".ebb"))
    install("flood", TWO.format(other=".npz"))
    registry = PluginRegistry()
    reports = {report.name: report.errors for report in registry.reports()}
    assert reports["ebb"] == ["file format '.tide' is offered by two plugins, 'ebb' and 'flood'."]
    assert sorted(reports["flood"]) == [
        "file format '.npz' is offered by two plugins, 'file_formats' and 'flood'.",
        "file format '.tide' is offered by two plugins, 'ebb' and 'flood'.",
    ]
    monkeypatch.setattr("convpolicy.registry._current", registry)
    with pytest.raises(
        cp.ConvPolicyError, match=r"file format '\.tide' is offered by two plugins, 'ebb' and 'flood'; uninstall one"
    ):
        format_of("src", tmp_path / "a.tide")
    assert format_of("src", tmp_path / "a.ebb").provider == "ebb"
    assert format_of("src", tmp_path / "a.npz").provider == "file_formats"
