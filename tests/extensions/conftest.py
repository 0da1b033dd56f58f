"""Distributions that a test installs."""

from __future__ import annotations

import sys

import pytest


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Install a distribution with one module and one entry point, as pip leaves it, where Python looks for both."""
    import convpolicy as cp

    cp.plugins()  # the public registry is loaded before anything is installed here
    monkeypatch.delenv("CONVPOLICY_STRICT", raising=False)
    monkeypatch.delenv("CONVPOLICY_LOAD_PLUGINS", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)

    def add(name: str, source: str, plugin: str = "", value: str = "") -> None:
        (tmp_path / f"{name}_module.py").write_text(source)
        metadata = tmp_path / f"{name}-1.2.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n")
        (metadata / "entry_points.txt").write_text(f"[convpolicy]\n{plugin or name} = {value or f'{name}_module'}\n")

    yield add
    for module in set(sys.modules) - before:
        if module.endswith("_module"):
            del sys.modules[module]
