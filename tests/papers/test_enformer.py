"""The example of one long sequence: Enformer's tower on three processes equals one process."""

from __future__ import annotations

import subprocess
import sys

from helpers import examples
from helpers.paths import EXAMPLES

SECONDS = 300  # until processes that hang are ended


def run(name, folder):
    """Run an example in an empty folder, in a process of its own that can be forked, and return what it prints."""
    words = [sys.executable, str(EXAMPLES / f"{name}.py")]
    ran = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False, timeout=SECONDS)
    assert ran.returncode == 0, ran.stderr[-3000:]
    return ran.stdout


def test_the_example_prints_what_is_stored(tmp_path):
    """Outputs and gradients of three processes are those of one, and no file is left."""
    printed = run("14_one_long_sequence", tmp_path)
    assert printed == examples.expected(EXAMPLES / "14_one_long_sequence.py")
    assert not list(tmp_path.iterdir())
