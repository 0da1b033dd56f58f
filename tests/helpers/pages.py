"""The blocks of a page of documentation are executed; ``python pages.py PAGE`` does so in a process of its own."""

from __future__ import annotations

import contextlib
import io
import linecache
import re
import shlex
import sys
from pathlib import Path

from click.testing import CliRunner

from convpolicy.cli import group as cli

BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NOT_RUN_HERE = (
    "pip install",
    "pytest",
    "nox",
    "python -m pytest",
    "python benchmarks",
    "pre-commit",
    ".ci/run",
    "git ",
)  # by CI itself
STATUS = {"why": (0, 1)}  # 1: the outputs differ


def run_python(code: str, names: dict) -> str:
    """What a block prints."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        name = f"<block {len(linecache.cache)}>"
        linecache.cache[name] = (len(code), None, code.splitlines(keepends=True), name)  # as a notebook keeps its cells
        exec(compile(code, name, "exec"), names)
    return printed.getvalue()


def run_command(line: str) -> str:
    """What a ``convpolicy`` command prints."""
    result = CliRunner().invoke(cli.build(), shlex.split(line)[1:])
    assert result.exit_code in STATUS.get(line.split()[1], (0,)), (line, result.stderr)
    return result.stdout


def check(page: Path) -> None:
    """Run all Python blocks of a page in one namespace, and its convpolicy commands, in order; what they print stands below them."""
    names: dict = {"__name__": "page"}
    printed = ""
    for language, text in BLOCK.findall(page.read_text(encoding="utf-8")):
        if language == "python":
            assert not printed.strip(), f"no output stands below a block of {page.name} that prints {printed!r}"
            printed = run_python(text, names)
        elif language == "sh":
            for line in text.splitlines():
                if line.startswith("convpolicy "):
                    printed += run_command(line)
                else:
                    assert line.startswith(("#", *NOT_RUN_HERE)) or not line, f"{page.name}: nobody runs {line!r}"
        elif language == "text" and printed:
            assert text.rstrip() == printed.rstrip()
            printed = ""
    assert not printed.strip()


if __name__ == "__main__":
    check(Path(sys.argv[1]))
