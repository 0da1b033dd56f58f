"""The command ``convpolicy``, a group of built-in commands and commands of plugins."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import click

import convpolicy
from convpolicy import registry
from convpolicy.cli import INTERRUPTED, output
from convpolicy.errors import ConvPolicyError, visible
from convpolicy.extensions.loading import PLUGINS


class _Refusal(click.ClickException):
    exit_code = 2

    def show(self, file: Any = None) -> None:
        output.say_beside(f"convpolicy: {self.message}")


class _Group(click.Group):
    """Prints errors of the library and of files as one sentence on stderr, with exit status 2."""

    def make_context(self, *arguments: Any, **keywords: Any) -> click.Context:
        with _readable():
            return super().make_context(*arguments, **keywords)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, args or ["--help"])  # without arguments click would exit with status 2

    def invoke(self, ctx: click.Context) -> Any:
        try:
            with _readable():
                return super().invoke(ctx)
        except ConvPolicyError as error:
            raise _Refusal(str(error)) from error
        except OSError as error:
            if error.filename is None:  # e.g. a closed pipe
                raise
            name = os.fsdecode(error.filename) if isinstance(error.filename, bytes) else error.filename
            raise _Refusal(f"{name}: {error.strerror or 'failed'}.") from error


@contextmanager
def _readable() -> Iterator[None]:
    """Escape control characters in click's error messages, which repeat arguments."""
    try:
        yield
    except click.ClickException as error:
        vars(error).update(message=visible(error.message))  # assigning raises a type error, since click declares it final
        raise


def build() -> click.Group:
    """Return the command group ``convpolicy`` with all commands.

    Raises:
        ConvPolicyError: a plugin is broken, in strict mode.
    """
    group = _Group("convpolicy", help="Padding, initialization and weight layout of 1-D convolutions in every framework.")
    group = click.version_option(convpolicy.__version__, package_name="convpolicy")(group)
    with output.kept():
        PLUGINS.add_commands(group)
    return group


def main(ready: Callable[[], object] = lambda: None) -> None:
    """Run the command line.

    Args:
        ready: function that is called after all commands are loaded, before one runs.
    """
    _occupy()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that cannot show √ or … shows a question mark
    try:
        group = build()
        for report in registry.current().reports():
            if report.errors:
                output.say_beside(f"convpolicy: plugin {report.name!r} is broken; see: convpolicy plugins")
        ready()
        status = _run(group)
    except ConvPolicyError as error:
        _Refusal(str(error)).show()
        status = _Refusal.exit_code
    except KeyboardInterrupt:
        status = INTERRUPTED
    raise SystemExit(status)


def _run(group: click.Group) -> int:
    """Run a command and return the exit status."""
    try:
        status = group.main(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.Abort:  # Ctrl-C
        return INTERRUPTED
    except OSError as error:  # from click's own output
        if error.filename is not None or sys.stdout is None:
            raise
        output.drop(sys.stdout)
        _Refusal(f"{output.STDOUT}: {error.strerror}.").show()
        return _Refusal.exit_code
    return status if isinstance(status, int) else 0


def _occupy() -> None:
    """Open closed standard streams on the null device, so that no output file gets their file number."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            with suppress(OSError):
                os.open(os.devnull, os.O_RDWR)  # gets the lowest free number
