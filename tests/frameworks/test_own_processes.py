"""Flax, Keras, Paddle and the plugins end a process in which another framework runs: each one's tests run in a process of their own."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys

import pytest
from helpers.grids import options
from helpers.paths import PLUGINS, ROOT

ROOMS = [name for name in ("flax", "keras", "paddle") if importlib.util.find_spec(name)]
EVERY = {"flax": 2}  # of the cases of each test, where JAX compiles a program for each shape
DISTRIBUTIONS = sorted(path.parent for path in PLUGINS.glob("*/pyproject.toml"))
INSTALLED = {name: value for name, value in os.environ.items() if name != "CONVPOLICY_LOAD_PLUGINS"}  # every plugin is seen


def passes(record_property, folder, *words, **options):
    """Assert that every test of a folder passes and none is skipped; the last lines of the run say how many there were."""
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *words]
    result = subprocess.run(words, capture_output=True, text=True, check=False, **options)
    assert result.returncode == 0, result.stdout[-6000:] + result.stderr[-1000:]
    last = result.stdout.splitlines()[-1]
    assert "passed" in last
    assert "skipped" not in last
    record_property(f"{folder.relative_to(ROOT).as_posix()}, in a process of its own", last)


@pytest.mark.parametrize("name", ROOMS)
def test_a_frameworks_own_tests_pass(name, record_property, request):
    """Those in its folder."""
    folder = ROOT / "tests" / "frameworks" / name
    more = ["--all-frameworks"] if request.config.getoption("--all-frameworks") else []
    passes(record_property, folder, *more, *options(request.config, EVERY.get(name, 1)), folder, cwd=ROOT)


@pytest.mark.parametrize(
    "folder",
    [pytest.param(path, marks=pytest.mark.needs(path.name.replace("-", "_")), id=path.name) for path in DISTRIBUTIONS],
)
def test_a_plugins_own_tests_pass(folder, record_property, request):
    """Those of a distribution in plugins/, which is installed as a user installs it."""
    passes(record_property, folder, *options(request.config), cwd=folder, env=INSTALLED)
