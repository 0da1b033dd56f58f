"""What every command prints: a table for people, JSON for programs."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn, TransferSpeedColumn
from rich.table import Table
from rich.text import Text

UNBOUNDED = 10_000  # columns; a pipe or a file has no edge to wrap at


def print_table(head: Sequence[str], lines: Iterable[Sequence[object]]) -> None:
    """Print aligned columns under a heading; all but the first wrap at the edge of a terminal, none in a pipe."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for number, title in enumerate(head):
        table.add_column(title, overflow="fold", no_wrap=number == 0)
    for line in lines:
        table.add_row(*(Text(str(cell)) for cell in line))
    console = Console(width=None if sys.stdout.isatty() else UNBOUNDED)
    with console.capture() as captured:
        console.print(table)
    click.echo("\n".join(line.rstrip() for line in captured.get().splitlines()))


@contextmanager
def progress() -> Iterator[Callable[[str], None]]:
    """Show on stderr what is being done, as a spinner on a terminal; yields a function that takes the next thing done."""
    bar = Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        transient=True,
        disable=not sys.stderr.isatty(),
    )
    with bar:
        task = bar.add_task("starting", total=None)
        yield lambda done: bar.update(task, description=done)


@contextmanager
def progress_bar() -> Iterator[Callable[[str, int, int], None]]:
    """Show on stderr how far a file is, as a bar on a terminal; yields a function that takes a name, bytes done and all bytes."""
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeElapsedColumn())
    bar = Progress(*columns, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty())
    with bar:
        task = bar.add_task("starting", total=None)
        yield lambda name, done, total: bar.update(task, description=Text(name).plain, completed=done, total=total)


def print_json(data: Any) -> None:
    """Print plain data as JSON; NaN and infinity, which JSON has not, as the text ``"nan"``, ``"inf"`` or ``"-inf"``."""
    click.echo(json.dumps(_without_nan(data), indent=2, ensure_ascii=False, allow_nan=False))


def _without_nan(data: Any) -> Any:
    if isinstance(data, dict):
        return {key: _without_nan(value) for key, value in data.items()}
    if isinstance(data, (list, tuple)):
        return [_without_nan(value) for value in data]
    return str(data) if isinstance(data, float) and not math.isfinite(data) else data
