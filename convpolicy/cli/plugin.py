"""The plugin that adds the built-in commands; click is imported when the command line starts."""

from __future__ import annotations

from typing import Any

from convpolicy.registry.marks import hookimpl


@hookimpl
def convpolicy_commands(cli: Any) -> None:
    """Add the built-in commands."""
    from convpolicy.cli import bench, chain, commands, completion, convert, explore, help_text, new_plugin, output, translate, why

    for command in (
        *commands.COMMANDS,
        bench.bench,
        chain.chain_layers,
        convert.convert,
        why.diagnose,
        translate.translate,
        explore.explore,
        new_plugin.start_plugin,
        completion.completion,
        help_text.help_text,
    ):
        cli.add_command(output.keeping(command))
