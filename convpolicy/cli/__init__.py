"""The command line: click and rich stay here."""

from __future__ import annotations

import io
import sys
from typing import Any

import click

import convpolicy
from convpolicy import registry
from convpolicy.cli.benching import bench
from convpolicy.cli.chaining import chain_layers
from convpolicy.cli.commands import COMMANDS
from convpolicy.cli.converting import convert
from convpolicy.cli.new_plugin import start_plugin
from convpolicy.cli.translating import translate
from convpolicy.cli.why import diagnose
from convpolicy.errors import ConvPolicyError


class _Refusal(click.ClickException):
    exit_code = 2

    def show(self, file: Any = None) -> None:
        click.echo(f"convpolicy: {self.message}", file=file, err=True)


class _Group(click.Group):
    """Turns what the library refuses, and files that cannot be read, into one sentence on stderr and exit status 2."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except ConvPolicyError as error:
            raise _Refusal(str(error)) from error
        except OSError as error:
            if error.filename is None:  # not about a file the user named, e.g. a closed pipe
                raise
            raise _Refusal(f"{error.filename}: {error.strerror}.") from error


def build() -> click.Group:
    """Return the command group ``convpolicy`` with the built-in commands and those of plugins.

    Raises:
        ConvPolicyError: in strict mode, a broken plugin.
    """
    group = _Group("convpolicy", help="Padding, initialization and weight layout of 1-D convolutions, as policies.")
    group = click.version_option(convpolicy.__version__, package_name="convpolicy")(group)
    for command in (*COMMANDS, bench, chain_layers, convert, diagnose, translate, start_plugin):
        group.add_command(command)
    registry.current().add_commands(group)
    return group


def main() -> None:
    """Run the command line."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without √ or … shows a question mark
    try:
        group = build()
    except ConvPolicyError as error:
        refusal = _Refusal(str(error))
        refusal.show()
        raise SystemExit(refusal.exit_code) from error
    for report in registry.current().reports():
        if report.errors:
            click.echo(f"convpolicy: plugin {report.name!r} is broken; see: convpolicy plugins", err=True)
    group()
