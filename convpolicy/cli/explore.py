"""``convpolicy explore``: write an HTML page that compares two policies, and open it."""

from __future__ import annotations

import os
import tempfile
import webbrowser
from contextlib import suppress
from pathlib import Path

import click

import convpolicy
from convpolicy import progress
from convpolicy.cli import arguments, output
from convpolicy.cli.policies import policy_of
from convpolicy.core.policy import Policy
from convpolicy.errors import InvalidValueError
from convpolicy.files import whole

START = {"ap": "1,1", "bp": "same"}  # paddings of the two default policies
FILE = "convpolicy-explorer.html"


@click.command()
@click.argument("a", metavar="[A]", default="torch")
@click.argument("b", metavar="[B]", default="keras")
@click.option(
    "--save", "path", type=click.Path(dir_okay=False, path_type=Path), help="Output file; by default in a new temporary folder."
)
@click.option("--no-open", is_flag=True, help="Do not open the page in a browser.")
@arguments.as_json
def explore(a: str, b: str, path: Path | None, no_open: bool, as_json: bool) -> None:
    """Compare two policies in your browser.

    A and B are names or files of policies. The page contains every registered policy, padding rule and padding mode. It works
    offline, and you can send it to others.
    """
    from convpolicy import explorer

    policies = [_of_conv1d(text) for text in (a, b)]
    names = [policy.name for policy in policies]
    if names[0] == names[1] and policies[0] != policies[1]:
        raise InvalidValueError(f"A and B must have different names if they differ, got {names[0]!r} twice; rename one of them.")
    start = {"a": names[0], "b": names[1], "version": convpolicy.__version__} | (START if names == ["torch", "keras"] else {})
    path = path or Path(tempfile.mkdtemp(prefix="convpolicy-")) / FILE
    target = path.absolute()
    if not target.parent.is_dir():
        raise InvalidValueError(f"--save must be a file in a folder that exists, got {str(path)!r}; create the folder first.")
    if not os.access(target.parent, os.W_OK):
        raise InvalidValueError(f"--save must be a file in a folder that you can write, got {str(path)!r}; pick another folder.")
    with progress.spinner() as step:
        step("the page")
        text = explorer.page(start, policies).encode()
    whole.write(target, text)
    opened = not no_open and _open(target)
    if as_json:
        output.print_json({"path": str(target), "bytes": len(text), "address": target.as_uri(), "opened": opened})
        return
    output.say(path)
    if not no_open and not opened:
        output.say_beside("convpolicy: no browser was found; open the file in one.")


def _of_conv1d(text: str) -> Policy:
    policy = policy_of(text)
    if not isinstance(policy, Policy):
        raise InvalidValueError(f"A and B must be policies of Conv1d, got {text!r}; leave out the setting transposed.")
    return policy


def _open(target: Path) -> bool:
    """Open the page in a browser; return False if there is none."""
    with suppress(webbrowser.Error, OSError):
        return webbrowser.open(target.as_uri())
    return False
