"""The frameworks installed here, each in a process of its own, still do what was stored: then test_golden.py speaks of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.frameworks import params
from helpers.paths import GOLDEN

# stored file -> what to measure, and the environment it needs
INSTALLED = {
    "torch-2.13.0": ("torch", {}), "flax-0.12.0": ("flax", {}),
    "mindspore-2.10.0": ("mindspore", {}), "flax-linen-0.12.0": ("flax-linen", {}),
    "paddle-3.3.1": ("paddle", {}), "keras-torch-3.15.1": ("keras", {"KERAS_BACKEND": "torch"}),
    "keras-3.15.1": ("keras", {"KERAS_BACKEND": "tensorflow"}), "keras-jax-3.15.1": ("keras", {"KERAS_BACKEND": "jax"}),
}  # fmt: skip


def measured(name, value=None):
    """The parameter of a stored file, left out where its framework is not installed."""
    (part,) = params([name.rpartition("-")[0]])
    return pytest.param(value or name, marks=part.marks, id=name)


def measured_now(script: str, name: str, folder: Path) -> dict:
    """Run a measuring script in a process of its own."""
    framework, environment = INSTALLED[name]
    words = [sys.executable, GOLDEN / script, framework]
    result = subprocess.run(words, env=os.environ | environment, cwd=folder, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr[-2000:]
    return json.loads(result.stdout.strip().splitlines()[-1])


def stored(path: Path) -> dict:
    """A stored measurement."""
    return json.loads(path.read_text(encoding="utf-8"))


@pytest.mark.grid(every=2)  # the others compile, and their rooms compare weights with the installed framework anyway
@pytest.mark.parametrize("name", [measured(name) for name in INSTALLED])
def test_the_installed_framework_gives_what_is_stored(name, tmp_path):
    """Weights, pads, defaults and refusals measured now are those in the file, to the last bit."""
    measured, golden = measured_now("measure.py", name, tmp_path), stored(GOLDEN / f"{name}.json")
    for key in ("framework", "version", "shapes", "page", "weights", "same"):
        assert measured[key] == golden.get(key, {}), key


@pytest.mark.grid()
@pytest.mark.parametrize(
    "path", [measured(path.stem, path) for path in sorted((GOLDEN / "laws").glob("*.json")) if path.stem in INSTALLED]
)
def test_the_installed_initializers_draw_what_is_stored(path, tmp_path):
    """Every law in every dtype measured now is that in the file, to the last bit."""
    measured, golden = measured_now("laws.py", path.stem, tmp_path), stored(path)
    for key in ("framework", "version", "shapes", "draws"):
        assert measured[key] == golden[key], key
