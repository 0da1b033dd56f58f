"""The linters and the type checker run here, so that the one test command covers them."""

from __future__ import annotations

import subprocess
import sys

import pytest
from helpers.paths import ROOT

pytestmark = pytest.mark.needs("ruff", "mypy", "torch")

MOST_LINES = 300


@pytest.mark.parametrize("tool", [["ruff", "check"], ["ruff", "format", "--check"], ["mypy"]], ids=" ".join)
def test_tool_finds_nothing(tool):
    """Ruff's rules and format, and mypy in strict mode, hold for the whole checkout."""
    result = subprocess.run([sys.executable, "-m", *tool], cwd=ROOT, capture_output=True, text=True, check=False)

    assert (result.returncode, "" if result.returncode == 0 else result.stdout + result.stderr) == (0, "")


def test_a_fault_is_found(tmp_path):
    """The check above can fail: a file with an unused import is refused under the same configuration."""
    (tmp_path / "fault.py").write_text("import os\n")

    result = subprocess.run(
        [sys.executable, "-m", "ruff", "check", "--config", ROOT / "pyproject.toml", tmp_path],
        capture_output=True,
        text=True,
        check=False,
    )

    assert result.returncode == 1
    assert "F401" in result.stdout


def too_long(folder):
    """Return the Python files of a folder that have more lines than can be read in one sitting."""
    return sorted(path.name for path in folder.rglob("*.py") if len(path.read_text(encoding="utf-8").splitlines()) > MOST_LINES)


def test_every_file_is_short(tmp_path):
    """No file of the library, tests, plugins, examples or benchmarks exceeds the limit, and one that did would be named."""
    for folder in ("convpolicy", "tests", "plugins", "examples", "benchmarks"):
        assert too_long(ROOT / folder) == []
    (tmp_path / "short.py").write_text("x = 1\n" * MOST_LINES)
    (tmp_path / "long.py").write_text("x = 1\n" * (MOST_LINES + 1))
    assert too_long(tmp_path) == ["long.py"]
