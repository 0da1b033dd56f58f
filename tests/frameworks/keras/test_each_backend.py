"""Each Keras backend in a process of its own: a process has one Keras."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.frameworks import params
from helpers.grids import options

from convpolicy.frameworks.keras.plugin import RUNS_ON

HERE = Path(__file__).parent
FILES = sorted(HERE.glob("each_*.py"))
EVERY = {"keras-jax": 3}  # of the cases of each test, where JAX compiles a program for each shape


@pytest.fixture(scope="module")
def processes(request):
    """The three, side by side."""
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *map(str, FILES)]
    output = {"text": True, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    started = {
        name: subprocess.Popen(
            [*words, *options(request.config, EVERY.get(name, 1))],
            cwd=HERE.parent,
            env={**os.environ, "KERAS_BACKEND": runs},
            **output,
        )
        for name, runs in RUNS_ON.items()
        if importlib.util.find_spec(runs)
    }
    yield started
    for process in started.values():
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.mark.parametrize("backend", params(RUNS_ON))
def test_each_backend(backend, processes):
    """Every test in ``each_*.py`` passes, and none is skipped."""
    assert len(FILES) == 13
    output, _ = processes[backend].communicate()
    assert processes[backend].returncode == 0, output[-6000:]
    assert "passed" in output.splitlines()[-1]
    assert "skipped" not in output.splitlines()[-1]
