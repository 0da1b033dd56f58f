"""The frameworks installed here, each in a process of its own, still do what was stored: then test_golden.py speaks of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

GOLDEN = Path(__file__).with_name("golden")
# stored file -> what to measure, and the environment it needs
INSTALLED = {
    "torch-2.13.0": ("torch", {}), "mindspore-2.10.0": ("mindspore", {}), "flax-0.12.0": ("flax", {}),
    "flax-linen-0.12.0": ("flax-linen", {}), "paddle-3.3.1": ("paddle", {}),
    "keras-3.15.1": ("keras", {"KERAS_BACKEND": "tensorflow"}), "keras-torch-3.15.1": ("keras", {"KERAS_BACKEND": "torch"}),
    "keras-jax-3.15.1": ("keras", {"KERAS_BACKEND": "jax"}),
}  # fmt: skip


@pytest.mark.parametrize("name", INSTALLED)
def test_the_installed_framework_gives_what_is_stored(name, tmp_path):
    """Weights, pads, defaults and refusals measured now are those in the file, to the last bit."""
    framework, environment = INSTALLED[name]
    words = [sys.executable, GOLDEN / "measure.py", framework]
    result = subprocess.run(words, env=os.environ | environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr[-2000:]
    measured = json.loads(result.stdout.strip().splitlines()[-1])
    stored = json.loads((GOLDEN / f"{name}.json").read_text(encoding="utf-8"))
    for key in ("framework", "version", "shapes", "page", "weights", "same"):
        assert measured[key] == stored.get(key, {}), key
