"""Every example runs on the real frameworks and prints what is stored beside it."""

from __future__ import annotations

import subprocess
import sys

import pytest
from helpers.paths import EXAMPLES

pytestmark = pytest.mark.needs("torch", "mindspore")

SCRIPTS = sorted(EXAMPLES.glob("[0-9]*.py"))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_an_example_prints_what_is_stored(script, tmp_path):
    """Run in an empty folder, as a user would, it succeeds and prints exactly ``expected/<name>.txt``."""
    result = subprocess.run([sys.executable, script], cwd=tmp_path, capture_output=True, text=True, encoding="utf-8", check=False)
    assert result.returncode == 0, result.stderr
    assert result.stdout == (EXAMPLES / "expected" / f"{script.stem}.txt").read_text(encoding="utf-8")


def test_every_example_is_listed_and_has_its_output():
    """examples/README.md links each script; no stored output is left over."""
    listed = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    assert all(f"[{script.name}]({script.name})" in listed for script in SCRIPTS)
    assert {path.stem for path in (EXAMPLES / "expected").iterdir()} == {script.stem for script in SCRIPTS}
    assert len(SCRIPTS) == 6
