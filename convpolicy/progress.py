"""What long work shows on stderr while it runs, on a terminal only; each yields a function that takes what is done."""

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
    """Work of unknown length; the function takes the next thing done."""
    with _shown(SpinnerColumn(), DESCRIPTION, TimeElapsedColumn()) as bar:
        task = bar.add_task("starting", total=None)
        yield lambda done: bar.update(task, description=Text(done).plain)


def bytes_bar() -> AbstractContextManager[Callable[[str, int, int], None]]:
    """How far a file is; the function takes its name, bytes done and all bytes."""
    return _bar(DownloadColumn(), TransferSpeedColumn())


def count_bar() -> AbstractContextManager[Callable[[str, int, int], None]]:
    """How many things are done; the function takes the name of the next one, how many are done and all."""
    return _bar(MofNCompleteColumn())


@contextmanager
def _bar(*numbers: ProgressColumn) -> Iterator[Callable[[str, int, int], None]]:
    with _shown(DESCRIPTION, BarColumn(), *numbers, TimeElapsedColumn()) as bar:
        task = bar.add_task("starting", total=None)
        yield lambda name, done, total: bar.update(task, description=Text(name).plain, completed=done, total=total)


def _shown(*columns: ProgressColumn) -> Progress:
    return Progress(*columns, console=Console(stderr=True), transient=True, disable=sys.stderr is None or not sys.stderr.isatty())
