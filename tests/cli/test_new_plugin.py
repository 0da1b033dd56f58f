"""``convpolicy new-plugin``: what it writes for each kind, and what it refuses. Installing the result is test_write_a_plugin.py's."""

from __future__ import annotations

import importlib
import json
import os
import runpy
import subprocess
import sys
import types

import numpy as np
import pytest
import tomlkit
from click.testing import CliRunner
from helpers.paths import ROOT

import convpolicy as cp
from convpolicy.cli import group as cli
from convpolicy.cli import new_plugin
from convpolicy.parts.side import Arithmetic
from convpolicy.testing import checks_of

FILES = [
    ".github/workflows/tests.yml", ".gitignore", "README.md", "pyproject.toml", "tests/test_conformance.py",
    "convpolicy_tide_pool/__init__.py",
]  # fmt: skip


def run(*words):
    """What the command line prints."""
    return CliRunner().invoke(cli.build(), ["new-plugin", *words])


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    """A plugin whose name has two parts, created in an empty folder."""
    monkeypatch.chdir(tmp_path)
    result = run("tide-pool")
    assert result.exit_code == 0, result.stderr
    return tmp_path / "convpolicy-tide-pool"


def test_what_is_written(plugin):
    """Every file is written without template variables, and nothing is written outside the folder."""
    found = sorted(path.relative_to(plugin).as_posix() for path in plugin.rglob("*") if path.is_file())
    assert found == sorted(FILES)
    assert [path.name for path in plugin.parent.iterdir()] == [plugin.name]
    for name in FILES:
        text = (plugin / name).read_text()
        assert "{%" not in text
        assert ("{{" in text) == ("${{ matrix.python }}" in text)
    project = tomlkit.parse((plugin / "pyproject.toml").read_text())["project"]
    assert project["entry-points"]["convpolicy"] == {"tide-pool": "convpolicy_tide_pool"}
    assert f"convpolicy>={cp.__version__}" in project["dependencies"]
    assert project["optional-dependencies"]["test"] == ["convpolicy[testing]"]
    test = (plugin / "tests" / "test_conformance.py").read_text()
    assert len(test[test.index("@parametrize") :].splitlines()) == 3


def test_the_module_conforms(plugin):
    """Registered, its rule and its mode pass every check of the kit."""
    module = types.SimpleNamespace(**runpy.run_path(str(plugin / "convpolicy_tide_pool" / "__init__.py")))
    cp.register(module, "tide-pool")
    try:
        for part in (cp.padding_rules()["tide-pool-lookahead"], cp.padding_modes()["tide-pool-alternate"]):
            assert part.provider == "tide-pool"
            for check in checks_of(part, 30):
                check()
        plan = cp.policy("torch").evolve(padding=2, padding_mode="tide-pool-alternate").plan(1, length=4)
        assert (plan.left_sources, plan.right_sources) == ((0, 1), (2, 3))
    finally:
        cp.unregister("tide-pool")


PARTS = {  # kind -> the part that the plugin tide-pool offers, and an example of what it does
    "rule": lambda: cp.padding_rules()["tide-pool-lookahead"],
    "crop": lambda: cp.crop_rules()["tide-pool-window"],
    "mode": lambda: cp.padding_modes()["tide-pool-fade"],
    "initializer": lambda: cp.initializers()["tide-pool-smoothing"],
    "policy": lambda: cp.policy("tide-pool"),
    "backend": lambda: cp.backends()["tide-pool"],
}


@pytest.mark.parametrize("kind", PARTS)
def test_each_kind_conforms(tmp_path, monkeypatch, kind):
    """Registered, the part passes the checks of the kit; the README's example runs, and the project says what it is."""
    monkeypatch.syspath_prepend(tmp_path / kind)
    assert run("tide-pool", "--kind", kind, "--folder", str(tmp_path / kind)).exit_code == 0
    module = importlib.import_module("convpolicy_tide_pool")
    cp.register(module, "tide-pool")
    try:
        for check in checks_of(PARTS[kind](), 8):
            check()
        readme = (tmp_path / kind / "README.md").read_text(encoding="utf-8")
        exec(readme.split("```python")[1].split("```")[0], {})
    finally:
        cp.unregister("tide-pool")
        for name in [name for name in sys.modules if name.partition(".")[0] == "convpolicy_tide_pool"]:
            del sys.modules[name]
    project = tomlkit.parse((tmp_path / kind / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert f"{project['description']}." == module.__doc__
    assert f"\n{module.__doc__}\n\nThis is a plugin for [convpolicy]" in readme


def test_a_mode_fades_as_it_is_drawn(tmp_path):
    """The new mode is a sum of two terms, and its drawing is what it does."""
    new_plugin.write("tide", tmp_path / "tide", "mode")
    found = runpy.run_path(str(tmp_path / "tide" / "convpolicy_tide" / "__init__.py"))
    mode = found["convpolicy_padding_modes"]()[0]
    sides = [mode.side(side, 2, 4, mode.arguments(cp.Choice("tide-fade"))) for side in ("left", "right")]
    data = np.array([[2.0, 4.0, 6.0, 8.0]])
    assert [side.added(Arithmetic.of_numpy(data))[0].tolist() for side in sides] == [[4.0, 3.0], [7.0, 6.0]]
    assert "2468, left 2, right 2 -> 43|2468|76" in mode.description


@pytest.mark.needs("hatchling")
def test_a_framework_verifies(tmp_path):
    """The tests of an installed framework plugin pass: policy, backend, native layer in a separate process, and dialect."""
    new_plugin.write("tide-pool", tmp_path / "plugin", "framework")
    install = "-m pip --disable-pip-version-check -q install --no-deps --no-build-isolation --no-index --target site ./plugin"
    environment = dict(os.environ) | {"PYTHONPATH": f"site{os.pathsep}{ROOT}", "CONVPOLICY_LOAD_PLUGINS": "tide-pool"}
    for words in (install, "-m pytest -q -p no:cacheprovider plugin/tests"):
        done = subprocess.run(
            [sys.executable, *words.split()],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_a_kind_that_is_none(tmp_path, monkeypatch):
    """In a sentence with the nearest one, with status 2, and nothing is written."""
    monkeypatch.chdir(tmp_path)
    result = run("tide-pool", "--kind", "backnd")
    assert result.exit_code == 2
    assert "kind must be one of padding, rule, crop, mode, initializer, policy, backend, framework, got 'backnd'" in result.stderr
    assert "Did you mean 'backend'?" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_folder_and_json(tmp_path):
    """Another folder, made with what is missing above it; the files as JSON."""
    target = tmp_path / "some" / "where"
    result = run("tide-pool", "--folder", str(target), "--json")
    assert result.exit_code == 0
    said = json.loads(result.stdout)
    assert said["folder"] == str(target)
    assert sorted(said["files"]) == sorted(FILES)
    assert all((target / name).is_file() for name in said["files"])


@pytest.mark.parametrize(
    "name", ["Tide", "tide_pool", "-tide", "tide-", "1tide", "tide--pool", "", "tide pool", "../tide", "tide\n"]
)
def test_names_that_are_refused(tmp_path, monkeypatch, name):
    """In a sentence, with status 2, and nothing is written."""
    monkeypatch.chdir(tmp_path)
    result = run("--", name)
    assert result.exit_code == 2
    assert f"NAME must be lower-case letters, digits and single hyphens, starting with a letter, got {name!r}" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_what_is_taken_is_refused(plugin):
    """A folder that exists, which stays as it is, and a plugin that is there already."""
    kept = (plugin / "README.md").read_bytes()
    result = run("tide-pool")
    assert result.exit_code == 2
    assert "folder must not exist yet, got 'convpolicy-tide-pool'; remove it or pass --folder." in result.stderr
    assert (plugin / "README.md").read_bytes() == kept
    cp.register(types.SimpleNamespace(convpolicy_layouts=cp.hookimpl(lambda: iter(()))), "taken")
    try:
        result = run("taken")
        assert (result.exit_code, "NAME must be new, got 'taken', the name of an installed plugin" in result.stderr) == (2, True)
    finally:
        cp.unregister("taken")


def test_nothing_is_left_of_a_failure(tmp_path, monkeypatch):
    """A full disk in the middle leaves no folder, whole or half."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(new_plugin.Path, "write_text", lambda *_args, **_more: (_ for _ in ()).throw(OSError(28, "full")))
    with pytest.raises(OSError, match="full"):
        new_plugin.write("tide-pool", tmp_path / "convpolicy-tide-pool")
    assert list(tmp_path.iterdir()) == []
