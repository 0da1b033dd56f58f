"""``convpolicy completion`` and the names that it completes."""

from __future__ import annotations

from collections.abc import Callable

import click
from click.shell_completion import CompletionItem, get_completion_class

from convpolicy import registry
from convpolicy.cli import output
from convpolicy.cli.kinds import LISTS

PROGRAM = "convpolicy"
VARIABLE = "_CONVPOLICY_COMPLETE"  # click derives this name from the program name
Completer = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


@click.command()
@click.argument("shell", type=click.Choice(("bash", "zsh", "fish")))
def completion(shell: str) -> None:
    """Print the script for Tab completion in a shell.

    bash: add eval "$(convpolicy completion bash)" to ~/.bashrc.

    zsh: add eval "$(convpolicy completion zsh)" to ~/.zshrc.

    fish: run convpolicy completion fish > ~/.config/fish/completions/convpolicy.fish.
    """
    script = get_completion_class(shell)
    assert script is not None
    output.write(script(click.get_current_context().find_root().command, {}, PROGRAM, VARIABLE).source() + "\n")


def completer(*kinds: str) -> Completer:
    """Return a function that completes the names of some kinds of part, or file names when none matches."""

    def complete(_context: click.Context, _parameter: click.Parameter, start: str) -> list[CompletionItem]:
        names = sorted({name for kind in kinds for name in registry.current().parts(kind) if name.startswith(start)})
        return [CompletionItem(name) for name in names] or [CompletionItem(start, type="file")]

    return complete


POLICIES = completer("policy")
PARTS = completer(*LISTS.values())
RULES = completer("padding rule", "crop rule")
MODES = completer("padding mode")
