"""The distributions in ``plugins/``: each one's own tests, in a process of its own, as its author would run them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PLUGINS = sorted(path.parent for path in ROOT.glob("plugins/*/pyproject.toml"))


@pytest.mark.parametrize("plugin", PLUGINS, ids=lambda path: path.name)
def test_a_plugins_own_tests_pass(plugin):
    """Every test passes and none is skipped."""
    environment = {name: value for name, value in os.environ.items() if name != "CONVPOLICY_LOAD_PLUGINS"}
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    result = subprocess.run(words, cwd=plugin, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout[-4000:] + result.stderr[-1000:]
    assert "skipped" not in result.stdout.splitlines()[-1]


def test_every_plugin_is_there():
    """The four that the documentation names."""
    assert [path.name for path in PLUGINS] == ["convpolicy-flax", "convpolicy-keras", "convpolicy-onnx", "convpolicy-paddle"]
