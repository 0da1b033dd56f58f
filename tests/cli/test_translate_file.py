"""``convpolicy translate FILE``: the file, its diff, or written in place, with every byte around the layers as it was."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys

import pytest
from click.testing import CliRunner

import convpolicy as cp
from convpolicy.cli import group as cli

PAGE = "import torch\r\nfrom torch import nn\r\n\r\nconv = nn.Conv1d(4, 8, 3)  # größer\r\nbn = nn.BatchNorm1d(8)\r\n"
WITHOUT = "from torch import nn\nx = nn.Linear(3, 4)\ny = nn.Conv1d(*sizes)\n"


def run(*words, data=None):
    """The result of a command."""
    return CliRunner().invoke(cli.build(), ["translate", *map(str, words)], input=data)


@pytest.fixture
def page(tmp_path):
    """A file with a byte order mark and the line ends of Windows."""
    path = tmp_path / "model.py"
    path.write_bytes(("\ufeff" + PAGE).encode())
    path.chmod(0o640)
    return path


def test_the_whole_file_is_printed(page):
    """The bytes of `page.text`, from the file and from stdin; the file is as it was."""
    before = page.read_bytes()
    expected = cp.translate_page("\ufeff" + PAGE, "torch", "paddle").text.encode()
    assert expected.startswith(before[: before.index(b"from torch")])
    assert b"\r\nbn = nn.BatchNorm1d(8)\r\n" in expected
    assert b"  # gr\xc3\xb6\xc3\x9fer\r\n" in expected
    assert b"\n" not in expected.replace(b"\r\n", b"")
    assert run(page, "--to", "paddle").stdout_bytes == expected
    assert run("-", "--to", "paddle", data=before).stdout_bytes == expected
    assert page.read_bytes() == before


@pytest.mark.skipif(shutil.which("git") is None, reason="git")
@pytest.mark.parametrize(
    "text",
    [
        "\ufeff" + PAGE,
        PAGE.replace("\r\n", "\n"),
        PAGE.replace("\r\n", "\n")[:-1],
        "from torch import nn\nx = nn.Conv1d(1, 2, 3)",
    ],
)
def test_the_diff_makes_the_file(tmp_path, text):
    """`git apply` makes of the file what is printed without --diff, at its relative path, to the last line without an end."""
    (tmp_path / "a folder").mkdir()
    path = tmp_path / "a folder" / "model.py"
    path.write_bytes(text.encode())
    words = [sys.executable, "-m", "convpolicy", "translate", "a folder/model.py", "--to", "keras"]
    whole, diff = (
        subprocess.run([*words, *more], cwd=tmp_path, capture_output=True, check=True).stdout for more in ([], ["--diff"])
    )
    assert diff.startswith(b"--- a/a folder/model.py")
    applied = subprocess.run(
        ["git", "apply", "--whitespace=nowarn", "-"], cwd=tmp_path, input=diff, capture_output=True, check=False
    )
    assert applied.returncode == 0, applied.stderr
    assert path.read_bytes() == whole


def test_in_place(page):
    """The file gets the text, atomically: permissions and symbolic links stay, nothing else is left in the folder."""
    link = page.parent / "link.py"
    link.symlink_to(page.name)
    expected = run(page, "--to", "keras").stdout_bytes
    result = run(link, "--to", "keras", "--in-place")
    assert result.exit_code == 0
    assert result.stdout == f"{link}: 1 of 2 layers are translated; comments with 'convpolicy:' mark the others.\n"
    assert page.read_bytes() == expected
    assert stat.S_IMODE(page.stat().st_mode) == 0o640
    assert link.is_symlink()
    assert sorted(path.name for path in page.parent.iterdir()) == ["link.py", "model.py"]
    again = run(page, "--to", "keras", "--in-place")
    assert again.exit_code == 2
    assert page.read_bytes() == expected


@pytest.mark.parametrize("data", [WITHOUT.encode(), b"x = nn.Conv1d(4, 8,\n", "from torch import nn\n# größer\nnn.Conv1d(4, 8, 3)\n".encode("latin-1"),
                                  b"# -*- coding: latin-1 -*-\nfrom torch import nn\nnn.Conv1d(4, 8, 3)\n", b"# coding: none\nnn.Conv1d(4, 8, 3)\n",
                                  b"", b"import keras\nkeras.layers.Conv1D(3, 4)\n", b"  x = nn.Conv1d(4, 8, 3)\n", b"x = nn.Conv1d(4, 8, 3)\0\n"])  # fmt: skip
def test_what_is_refused_leaves_the_file_as_it_is(tmp_path, data):
    """Nothing to translate, no Python, no UTF-8: one sentence and status 2; not a byte of the file changes."""
    path = tmp_path / "model.py"
    path.write_bytes(data)
    for form in ("--in-place", "--diff"):
        result = run(path, "--to", "keras" if b"keras" not in data else "torch", form)
        assert result.exit_code == 2
        assert result.stderr.startswith("convpolicy: ")
        assert result.stderr.count("\n") == 1
        assert path.read_bytes() == data
        assert [entry.name for entry in tmp_path.iterdir()] == ["model.py"]


def test_options_that_do_not_go_together(page):
    """Each sentence names the option; a full disk or a folder without permission leaves the file."""
    for words, sentence in {
        ("-", "--in-place"): "--in-place needs the path of a file, got - for stdin",
        ("nn.Conv1d(4, 8, 3)", "--diff"): "--diff needs a FILE, got the code 'nn.Conv1d(4, 8, 3)'",
        (page, "--json", "--diff"): "--json and --diff cannot be combined",
    }.items():
        result = run(*words, data=PAGE)
        assert result.exit_code == 2
        assert sentence in result.stderr
    assert [row["line"] for row in json.loads(run(page, "--json").stdout)] == [4, 5]


def test_a_failure_while_it_writes_leaves_the_file(page, monkeypatch):
    """A full disk, found when the temporary file is synced: the old file is whole, and nothing lies beside it."""
    before = page.read_bytes()

    def full(_descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    result = run(page, "--to", "keras", "--in-place")
    assert result.exit_code == 2
    assert "No space left on device" in result.stderr
    assert page.read_bytes() == before
    assert [entry.name for entry in page.parent.iterdir()] == ["model.py"]
