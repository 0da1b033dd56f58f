"""The distributions in ``plugins/``: each one's own tests, in a process of its own, and all policies on all backends."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PLUGINS = sorted(path.parent for path in ROOT.glob("plugins/*/pyproject.toml"))
INSTALLED = {name: value for name, value in os.environ.items() if name != "CONVPOLICY_LOAD_PLUGINS"}  # all of them


def run(*words: str, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Run a module of Python with every plugin."""
    return subprocess.run([sys.executable, "-m", *words], cwd=folder, env=INSTALLED, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("plugin", PLUGINS, ids=lambda path: path.name)
def test_a_plugins_own_tests_pass(plugin):
    """Every test passes and none is skipped."""
    result = run("pytest", "-q", "-p", "no:cacheprovider", folder=plugin)
    assert result.returncode == 0, result.stdout[-4000:] + result.stderr[-1000:]
    assert "skipped" not in result.stdout.splitlines()[-1]


def test_every_plugin_is_there():
    """The four that the documentation names."""
    assert [path.name for path in PLUGINS] == ["convpolicy-flax", "convpolicy-keras", "convpolicy-onnx", "convpolicy-paddle"]


def test_every_policy_runs_on_every_backend_as_the_readme_shows():
    """No cell is empty or fails; a framework on its own backend is exact; the README shows these policies, backends and verdicts."""
    found = json.loads(run("convpolicy", "verify", "--matrix", "--json").stdout)
    cells = {(cell["policy"], cell["backend"]): cell for cell in found["cells"] if cell["verdict"] != "not checked"}
    assert found["failed"] == 0
    assert {cell["verdict"] for cell in cells.values()} == {"exact", "within tolerance"}
    assert {cell["policy"] for cell in found["cells"]} - {policy for policy, _backend in cells} == {"mindspore@2.0"}
    text = (ROOT / "README.md").read_text(encoding="utf-8").split("<!-- made by docs/make_matrix.py -->\n")[1]
    head, _line, *rows = [re.findall(r"[^|*\s]+", line) for line in text.split("<!--")[0].splitlines()]
    shown = {(row[0], backend): cell for row in rows for backend, cell in zip(head[1:], row[1:])}
    assert set(shown) == set(cells)
    assert set(head[1:]) >= {"numpy", "torch", "mindspore", "keras", "keras-torch", "keras-jax", "flax", "paddle", "onnx"}
    for own in ("torch", "mindspore", "keras", "keras-torch", "keras-jax", "flax", "flax-linen", "paddle", "onnx"):
        assert shown[own, own] == cells[own, own]["verdict"] == "exact"
    for at in cells:
        assert shown[at] == "exact" or float(shown[at]) > 0
