"""The command line, run in this process."""

from __future__ import annotations

import json

from click.testing import CliRunner

from convpolicy.cli import group as cli


def run(*words: str):
    """Run one command in this process."""
    return CliRunner().invoke(cli.build(), words)


def json_of(*words: str):
    """The JSON a command prints; nothing else may be on stdout."""
    result = run(*words, "--json")
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)
