"""The plugin as pip leaves it, installed or not: a dist-info folder where Python, and every process it starts, finds it."""

from __future__ import annotations

import os
import sys
import tempfile
from importlib.metadata import entry_points
from pathlib import Path

import tomlkit

PLUGIN = Path(__file__).parents[1]
PROJECT = tomlkit.parse((PLUGIN / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def pytest_configure(config):
    """Offer the entry point of pyproject.toml, unless the plugin is installed."""
    (name, module), *_ = PROJECT["entry-points"]["convpolicy"].items()
    if any(found.value == module for found in entry_points(group="convpolicy")):
        return
    folder = tempfile.TemporaryDirectory()
    config.add_cleanup(folder.cleanup)
    metadata = Path(folder.name) / f"{PROJECT['name'].replace('-', '_')}-{PROJECT['version']}.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {PROJECT['name']}\nVersion: {PROJECT['version']}\n")
    (metadata / "entry_points.txt").write_text(f"[convpolicy]\n{name} = {module}\n")
    sys.path[:0] = [str(PLUGIN), folder.name]
    os.environ["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
