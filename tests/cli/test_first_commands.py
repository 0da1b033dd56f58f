"""Commands that a reader of the README types first: each prints the expected answer."""

from __future__ import annotations

import pytest
from helpers.command_line import run

COMMANDS = {  # command line -> a word of the answer
    "": "Usage:",
    "--help": "compare",
    "--version": "0.",
    "help": "Commands:",
    "help compare": "--kernel-size",
    "list": "same_upper",
    "list policies": "No padding; bias",
    "list rules": "causal",
    "show torch": "PyTorch default",
    "show reflect": "432|123456789a|987",
    "show same_upper": "keras:same",
    "show he_uniform": "initializer",
    "show paper/encodec": "trap",
    "papers": "WaveNet",
    "plan mindspore": "left 1, right 2",
    "plan keras:same --stride 2 --length 11": "outside: padding",
    "compare torch mindspore": "same_upper",
    "compare torch tensorflow --stride 2": "read the same samples",
    "compare torch:padding=1 keras:same --stride 2": "read the same samples",
    "find tf SAME stride 2": "convpolicy plan tensorflow:same --stride 2",
    "find mirror": "padding mode reflect",
    "chain torch:10:5 torch:3:2": "receptive_field",
    "init torch": "weight",
    "why keras tensorflow": "equal to the bit",
    "translate nn.Conv1d(4,8,3) --to keras": "layers.Conv1D(",
    "plugins": "padding_rules",
    "completion bash": "_CONVPOLICY_COMPLETE=bash_complete",
}


@pytest.mark.parametrize("line", COMMANDS)
def test_a_first_command_answers(line):
    """The status is 0 and the expected text is on stdout."""
    result = run(*line.split())
    assert (result.exit_code, result.stderr) == (0, "")
    assert COMMANDS[line] in result.stdout


def test_policies_that_differ_are_status_1():
    """The one first command that does not end with 0: as with diff, two layers that differ are status 1, and the reason is printed."""
    result = run("why", "torch", "mindspore")
    assert (result.exit_code, "  padding=(1, 2) instead of (0, 0)" in result.stdout) == (1, True)
