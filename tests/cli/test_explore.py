"""``convpolicy explore``: the page it writes, what it says, and where it cannot write or finds no browser."""

from __future__ import annotations

import webbrowser
from pathlib import Path

import pytest
from helpers.command_line import json_of, run
from helpers.explorer import plans_of

import convpolicy as cp
from convpolicy import explorer
from convpolicy.explorer import codes, plans


@pytest.fixture
def small(monkeypatch):
    """Pages of few sizes and without code, which are made faster."""
    ranges = plans.Ranges(kernel=(1, 2), stride=(1, 1), dilation=(1, 1), length=(1, 2), pad=(0, 1))
    monkeypatch.setattr(explorer, "Ranges", lambda: ranges)
    monkeypatch.setattr(codes, "targets", dict)


@pytest.fixture
def opened(monkeypatch):
    """The addresses that were opened, in a browser that takes them all."""
    addresses = []
    monkeypatch.setattr(webbrowser, "open", lambda address: addresses.append(address) or True)
    return addresses


def test_the_page_is_written_and_opened(tmp_path, small, opened):
    """Its path is printed; every policy is in it. The page of default sizes is part of the site, and tested there."""
    path = tmp_path / "page.html"
    result = run("explore", "--save", str(path))
    assert result.exit_code == 0, result.stderr
    page = path.read_text(encoding="utf-8")
    assert result.stdout == f"{path}\n"
    assert opened == [path.as_uri()]
    assert {policy["name"] for policy in plans_of(page)["policies"]} == set(cp.policies())


def test_policies_and_files_are_arguments(tmp_path, small, opened):
    """The page starts with A and B; a policy of a file is in it; ``--no-open`` opens nothing; the JSON says where and how large."""
    cp.policy("flax").evolve(name="mine", padding="causal").save(tmp_path / "mine.toml")
    path = tmp_path / "page.html"
    said = json_of("explore", "mindspore", str(tmp_path / "mine.toml"), "--save", str(path), "--no-open")
    assert said == {"path": str(path), "bytes": path.stat().st_size, "address": path.as_uri(), "opened": False}
    assert opened == []
    page = path.read_text(encoding="utf-8")
    assert '{"a": "mindspore", "b": "mine"' in page
    assert plans_of(page)["policies"][1]["name"] == "mine"


def test_without_save_the_page_goes_to_a_new_folder(small, opened, tmp_path, monkeypatch):
    """The path is printed; two runs write two files."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    paths = {json_of("explore")["path"] for _ in range(2)}
    assert len(paths) == 2
    assert all(Path(path).is_file() and tmp_path in Path(path).parents for path in paths)


def test_no_browser_is_said(small, tmp_path, monkeypatch):
    """Where no browser starts the path is printed, stderr says so, and the status is 0."""

    def refuse(address):
        raise webbrowser.Error("could not locate runnable browser")

    for start in (lambda address: False, refuse):
        monkeypatch.setattr(webbrowser, "open", start)
        result = run("explore", "--save", str(tmp_path / "page.html"))
        assert result.exit_code == 0
        assert result.stdout.startswith(str(tmp_path / "page.html"))
        assert result.stderr == "convpolicy: no browser was found; open the file in one.\n"


def test_a_folder_that_cannot_be_written_is_refused(small, tmp_path, monkeypatch):
    """No such folder, a folder without permission and a name that is a folder end with one sentence and status 2."""
    result = run("explore", "--no-open", "--save", str(tmp_path / "none" / "page.html"))
    assert result.exit_code == 2
    assert "--save must be a file in a folder that exists" in str(result.stderr) + str(result.exception)
    monkeypatch.setattr("os.access", lambda path, mode: False)
    result = run("explore", "--no-open", "--save", str(tmp_path / "page.html"))
    assert result.exit_code == 2
    assert "--save must be a file in a folder that you can write" in str(result.stderr) + str(result.exception)
    assert run("explore", "--no-open", "--save", str(tmp_path)).exit_code == 2
    assert list(tmp_path.iterdir()) == []


def test_two_policies_of_one_name(small, tmp_path):
    """The same policy twice is one entry of the page; two that differ are refused, as the page could not tell them apart."""
    path = tmp_path / "page.html"
    assert run("explore", "torch", "torch", "--no-open", "--save", str(path)).exit_code == 0
    names = [policy["name"] for policy in plans_of(path.read_text(encoding="utf-8"))["policies"]]
    assert names[0] == "torch"
    assert sorted(names) == sorted(set(names))
    cp.policy("torch").evolve(padding=3).save(tmp_path / "mine.toml")
    result = run("explore", "torch", str(tmp_path / "mine.toml"), "--no-open", "--save", str(path))
    assert result.exit_code == 2
    assert "A and B must have different names if they differ, got 'torch' twice; rename one of them." in result.stderr


def test_an_unknown_policy_is_refused(small, tmp_path):
    """The nearest name is in the sentence, and nothing is written."""
    result = run("explore", "kears", "--no-open", "--save", str(tmp_path / "page.html"))
    assert result.exit_code == 2
    assert "keras" in result.stderr
    assert list(tmp_path.iterdir()) == []
