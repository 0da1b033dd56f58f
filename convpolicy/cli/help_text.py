"""``convpolicy help``: print the help of a command."""

from __future__ import annotations

import click

from convpolicy.cli import output


@click.command("help")
@click.argument("command", required=False)
def help_text(command: str | None) -> None:
    """Show the help of a command."""
    root = click.get_current_context().find_root()
    if command is None:
        output.say(root.get_help())
        return
    assert isinstance(root.command, click.Group)
    shown = root.command.get_command(root, command)
    if shown is None:
        raise click.UsageError(f"No such command {command!r}; convpolicy --help lists them.")
    output.say(shown.get_help(click.Context(shown, info_name=command, parent=root)))
