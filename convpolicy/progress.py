"""Progress displays for long work, on stderr and only on a terminal.

Each is a context manager. It yields a function to call with the progress.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TransferSpeedColumn,
)
from rich.text import Text

DESCRIPTION = TextColumn("{task.description}")


@contextmanager
def spinner() -> Iterator[Callable[[str], None]]:
    """Show work of unknown length; call the function with the name of the current step."""
    with _display(SpinnerColumn(), DESCRIPTION, TimeElapsedColumn()) as bar:
        task = bar.add_task("starting", total=None)
        yield lambda step: bar.update(task, description=Text(step).plain)


def bytes_bar() -> AbstractContextManager[Callable[[str, int, int], None]]:
    """Show progress through a file; call the function with its name, the bytes done and the total bytes."""
    return _bar(DownloadColumn(), TransferSpeedColumn())


def count_bar() -> AbstractContextManager[Callable[[str, int, int], None]]:
    """Show progress through a list; call the function with the current item's name, the number done and the total."""
    return _bar(MofNCompleteColumn())


@contextmanager
def _bar(*numbers: ProgressColumn) -> Iterator[Callable[[str, int, int], None]]:
    with _display(DESCRIPTION, BarColumn(), *numbers, TimeElapsedColumn()) as bar:
        task = bar.add_task("starting", total=None)
        yield lambda name, done, total: bar.update(task, description=Text(name).plain, completed=done, total=total)


def _display(*columns: ProgressColumn) -> Progress:
    return Progress(*columns, console=Console(stderr=True), transient=True, disable=sys.stderr is None or not sys.stderr.isatty())
