"""Output of the commands: text, tables and JSON on stdout; whatever plugins print goes to stderr."""

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

UNBOUNDED = 10_000  # columns of a table in a pipe or file, where nothing is wrapped
COLUMNS = 80  # columns of a drawing in a pipe or file
STDOUT = "standard output"  # its name in an error
JSON_CONTROLS = {
    code: f"\\u{code:04x}" for code in CONTROLS if code > 126
}  # JSON allows them unescaped, but a terminal obeys them
_stdout: ContextVar[IO[str] | None] = ContextVar("stdout")
_page: ContextVar[list[str] | None] = ContextVar("page", default=None)  # text collected for a pager


class _Stderr:
    """Replacement of stdout that writes to stderr and cannot be closed."""

    def close(self) -> None:
        """Ignore the call."""

    def __getattr__(self, name: str) -> Any:
        return getattr(sys.stderr or io.StringIO(), name)


@contextmanager
def kept() -> Iterator[None]:
    """Reserve stdout for `write` and `say`; all other output, e.g. of plugins, goes to stderr."""
    token = _stdout.set(sys.stdout)
    try:
        with redirect_stdout(cast("IO[str]", _Stderr())):
            yield
    finally:
        _stdout.reset(token)


def keeping(command: click.Command) -> click.Command:
    """Return a copy of a command with reserved stdout and a pager; see `kept` and `paged`."""
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
    """Print on stdout with control characters escaped.

    Raises:
        OSError: stdout is closed or full.
    """
    write(visible(str(text)) + end)


def say_beside(text: object) -> None:
    """Print on stderr with control characters escaped."""
    click.echo(visible(str(text)), err=True)


def write(text: str | bytes) -> None:
    """Print on stdout without escaping; see `say`."""
    page = _page.get()
    if page is not None and isinstance(text, str):
        page.append(text)
        return
    stream = _stdout.get(sys.stdout)
    if stream is None:
        raise OSError(errno.EBADF, os.strerror(errno.EBADF), STDOUT)
    try:
        click.echo(text, file=stream, nl=False)
    except OSError as error:
        if error.errno != errno.EPIPE:  # a reader that stops early is not an error
            error.filename = STDOUT
            drop(stream)
        raise


def write_exactly(text: str) -> None:
    """Print the text of a file on stdout, as UTF-8 and with its line ends, whatever the locale and the system are."""
    write(text if _page.get() is not None else text.encode())


def drop(stream: IO[str]) -> None:
    """Discard the buffer of a stream, so that Python does not try to write it again at exit."""
    with suppress(OSError, ValueError, io.UnsupportedOperation):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


@contextmanager
def paged() -> Iterator[None]:
    """Collect the output for a terminal, and show it in a pager if it is longer than the screen."""
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
    """Return the columns of the terminal, or 80 if stdout is not a terminal."""
    stream = _stdout.get(sys.stdout)
    on_terminal = stream is not None and stream.isatty()
    return shutil.get_terminal_size((COLUMNS, 24)).columns if on_terminal else COLUMNS


def wrapped(text: str, indent: str = "") -> str:
    """Wrap a text to the width of the terminal and indent every line."""
    return textwrap.fill(text, width(), initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False)


def print_table(head: Sequence[str], lines: Iterable[Sequence[object]], whole: int = 1) -> None:
    """Print a table with aligned columns.

    Args:
        head: titles of the columns.
        lines: cells of each row.
        whole: number of first columns that are not wrapped. The others wrap in a terminal, but not in a pipe or file.
    """
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
    """Print plain data as JSON; NaN and infinity become the strings ``"nan"``, ``"inf"`` and ``"-inf"``."""
    text = json.dumps(_without_nan(data), indent=2, ensure_ascii=False, allow_nan=False)
    write(text.translate(JSON_CONTROLS) + "\n")


def _without_nan(data: Any) -> Any:
    if isinstance(data, dict):
        return {key: _without_nan(value) for key, value in data.items()}
    if isinstance(data, (list, tuple)):
        return [_without_nan(value) for value in data]
    return str(data) if isinstance(data, float) and not math.isfinite(data) else data
