"""The help: whole lines at 80 columns, and the names that a shell completes."""

from __future__ import annotations

import pytest
from click.shell_completion import ShellComplete
from helpers.command_line import run

import convpolicy as cp
from convpolicy.cli import group
from convpolicy.cli.completion import PROGRAM, VARIABLE

COMMANDS = group.build().commands
LONGEST = 55  # characters of a first line that are whole beside the longest command in 80 columns


@pytest.mark.parametrize("name", COMMANDS)
def test_the_first_line_of_a_command_is_whole(name):
    """One short sentence that starts with a verb, printed whole in the list of commands; no line of its help is cut or too wide."""
    first = COMMANDS[name].help.strip().partition("\n\n")[0]
    assert len(first) < LONGEST, first
    assert first.endswith(".")
    assert f"  {name.ljust(10)}  {first}\n" in run("--help").stdout
    shown = run(name, "--help").stdout
    assert max(map(len, shown.splitlines())) <= 80
    assert run("help", name).stdout.partition("\n")[2] == shown.partition("\n")[2]


def test_help_of_no_command():
    """A name that is no command is refused with status 2."""
    result = run("help", "comapre")
    assert (result.exit_code, "No such command 'comapre'" in result.stderr) == (2, True)


def completed(*words: str, start: str) -> set[str]:
    """Return what the Tab key offers after some arguments."""
    items = ShellComplete(group.build(), {}, PROGRAM, VARIABLE).get_completions(list(words), start)
    return {item.value for item in items if item.type == "plain"}


def test_names_are_completed():
    """Commands, kinds of list, policies, parts of any kind, rules and modes; a file where no name fits."""
    assert completed(start="comp") == {"compare", "completion"}
    assert "rules" in completed("list", start="")
    assert completed("compare", "torch", start="mind") == {"mindspore", "mindspore@2.0"}
    assert completed("plan", start="") == set(cp.policies())
    assert completed("show", start="refl") == {"reflect"}
    assert completed("plan", "torch", "--padding-mode", start="") == set(cp.padding_modes())
    assert completed("plan", "torch", "--padding", start="caus") == {"causal", "causal_keep"}
    assert completed("chain", "torch:3", start="tor") == {"torch"}
    (item,) = ShellComplete(group.build(), {}, PROGRAM, VARIABLE).get_completions(["plan"], "mine.to")
    assert item.type == "file"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_script_for_each_shell(shell):
    """The script asks the program under the variable that it reads."""
    script = run("completion", shell).stdout
    assert f"{VARIABLE}={shell}_complete" in script
    assert PROGRAM in script
