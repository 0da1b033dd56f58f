"""``convpolicy new-plugin``: what it writes, and what it refuses. Installing the result is test_docs_plugin.py's."""

from __future__ import annotations

import json
import runpy
import types

import pytest
import tomlkit
from click.testing import CliRunner

import convpolicy as cp
from convpolicy.cli import group as cli
from convpolicy.cli import new_plugin
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
    """A plugin of two words, started in an empty folder."""
    monkeypatch.chdir(tmp_path)
    result = run("tide-pool")
    assert result.exit_code == 0, result.stderr
    return tmp_path / "convpolicy-tide-pool"


def test_what_is_written(plugin):
    """Every file, no template word left in it, and nothing beside the folder."""
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
        assert (result.exit_code, "NAME must be new, got 'taken', which is a plugin already" in result.stderr) == (2, True)
    finally:
        cp.unregister("taken")


def test_nothing_is_left_of_a_failure(tmp_path, monkeypatch):
    """A full disk in the middle leaves no folder, whole or half."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(new_plugin.Path, "write_text", lambda *_args, **_more: (_ for _ in ()).throw(OSError(28, "full")))
    with pytest.raises(OSError, match="full"):
        new_plugin.write("tide-pool", tmp_path / "convpolicy-tide-pool")
    assert list(tmp_path.iterdir()) == []
