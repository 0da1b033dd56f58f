"""What every command prints: a table for people, JSON for programs."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import click
from rich.console import Console
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


def print_json(data: Any) -> None:
    """Print plain data as JSON; NaN and infinity, which JSON has not, as the text ``"nan"``, ``"inf"`` or ``"-inf"``."""
    click.echo(json.dumps(_without_nan(data), indent=2, ensure_ascii=False, allow_nan=False))


def _without_nan(data: Any) -> Any:
    if isinstance(data, dict):
        return {key: _without_nan(value) for key, value in data.items()}
    if isinstance(data, (list, tuple)):
        return [_without_nan(value) for value in data]
    return str(data) if isinstance(data, float) and not math.isfinite(data) else data
