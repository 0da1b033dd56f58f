"""What every command prints: a table for people, JSON for programs; and what plugins print meanwhile, which goes to stderr."""

from __future__ import annotations

import copy
import errno
import io
import json
import math
import os
import shutil
import sys
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout, suppress
from contextvars import ContextVar
from functools import wraps
from typing import IO, Any, cast

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from convpolicy.errors import CONTROLS, visible

UNBOUNDED = 10_000  # columns; a pipe or a file has no edge to wrap at
COLUMNS = 80  # of a drawing that is printed to no terminal
STDOUT = "standard output"  # its name in an error
JSON_CONTROLS = {code: f"\\u{code:04x}" for code in CONTROLS if code > 126}  # which JSON allows and a terminal obeys
_stdout: ContextVar[IO[str] | None] = ContextVar("stdout")
_page: ContextVar[list[str] | None] = ContextVar("page", default=None)  # what a pager will show


class _Stderr:
    """stderr in the place of stdout; what closes it closes nothing."""

    def close(self) -> None:
        """Do nothing."""

    def __getattr__(self, name: str) -> Any:
        return getattr(sys.stderr or io.StringIO(), name)


@contextmanager
def kept() -> Iterator[None]:
    """Keep stdout for `say` and what is built on it; what anything else prints meanwhile goes to stderr."""
    token = _stdout.set(sys.stdout)
    try:
        with redirect_stdout(cast("IO[str]", _Stderr())):
            yield
    finally:
        _stdout.reset(token)


def keeping(command: click.Command) -> click.Command:
    """Return a command that has stdout to itself and a pager; see `kept` and `paged`."""
    function = command.callback
    assert function is not None

    @wraps(function)
    def callback(*arguments: Any, **keywords: Any) -> Any:
        with paged(), kept():
            return function(*arguments, **keywords)

    command = copy.copy(command)
    command.callback = callback
    return command


def say(text: object = "", *, end: str = "\n") -> None:
    """Print on stdout, control characters written out.

    Raises:
        OSError: stdout is closed or full; names it.
    """
    write(visible(str(text)) + end)


def say_beside(text: object) -> None:
    """Print on stderr, control characters written out."""
    click.echo(visible(str(text)), err=True)


def write(text: str) -> None:
    """Print on stdout as it is; see `say`."""
    page = _page.get()
    if page is not None:
        page.append(text)
        return
    stream = _stdout.get(sys.stdout)
    if stream is None:
        raise OSError(errno.EBADF, os.strerror(errno.EBADF), STDOUT)
    try:
        click.echo(text, file=stream, nl=False)
    except OSError as error:
        if error.errno != errno.EPIPE:  # which is no fault: who reads has read enough
            error.filename = STDOUT
            drop(stream)
        raise


def drop(stream: IO[str]) -> None:
    """Let what a stream still holds go nowhere, so that Python does not try again at its end."""
    with suppress(OSError, ValueError, io.UnsupportedOperation):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


@contextmanager
def paged() -> Iterator[None]:
    """Keep what is printed on a terminal until the end, and show it in a pager if it is longer than the screen."""
    if sys.stdout is None or not sys.stdout.isatty():
        yield
        return
    lines: list[str] = []
    token = _page.set(lines)
    try:
        yield
    finally:
        _page.reset(token)
        text = "".join(lines)
        if text.count("\n") < shutil.get_terminal_size().lines:
            write(text)
        else:
            click.echo_via_pager(text)


def width() -> int:
    """Return the columns of the terminal, or 80 where stdout is none."""
    stream = _stdout.get(sys.stdout)
    on_terminal = stream is not None and stream.isatty()
    return shutil.get_terminal_size((COLUMNS, 24)).columns if on_terminal else COLUMNS


def wrapped(text: str, indent: str = "") -> str:
    """Return a text in lines that fit the terminal, each indented."""
    return textwrap.fill(text, width(), initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False)


def print_table(head: Sequence[str], lines: Iterable[Sequence[object]], whole: int = 1) -> None:
    """Print aligned columns under a heading; all but the first ``whole`` wrap at the edge of a terminal, none in a pipe."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for number, title in enumerate(head):
        table.add_column(title, overflow="fold", no_wrap=number < whole)
    for line in lines:
        table.add_row(*(Text(visible(str(cell))) for cell in line))
    stream = _stdout.get(sys.stdout)
    on_terminal = stream is not None and stream.isatty()
    console = Console(file=stream, width=None if on_terminal else UNBOUNDED)
    with console.capture() as captured:
        console.print(table)
    write("\n".join(line.rstrip() for line in captured.get().splitlines()) + "\n")


def print_json(data: Any) -> None:
    """Print plain data as JSON; NaN and infinity, which JSON has not, as the text ``"nan"``, ``"inf"`` or ``"-inf"``."""
    text = json.dumps(_without_nan(data), indent=2, ensure_ascii=False, allow_nan=False)
    write(text.translate(JSON_CONTROLS) + "\n")


def _without_nan(data: Any) -> Any:
    if isinstance(data, dict):
        return {key: _without_nan(value) for key, value in data.items()}
    if isinstance(data, (list, tuple)):
        return [_without_nan(value) for value in data]
    return str(data) if isinstance(data, float) and not math.isfinite(data) else data
