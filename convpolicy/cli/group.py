"""The command group ``convpolicy``: its commands are those that plugins add, the built-in ones among them."""

from __future__ import annotations

import io
import sys
from typing import Any

import click

import convpolicy
from convpolicy import registry
from convpolicy.errors import ConvPolicyError
from convpolicy.extensions.loading import PLUGINS


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
    PLUGINS.add_commands(group)
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
