"""Ratios of two functions timed in turn, A B A B …, reported as median, minimum and maximum of the pairwise ratios.

A row may have a budget, the largest ratio that the project accepts. Exceeding it is reported and is not an error.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Iterable

import attrs
import click
import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table

TARGET_SECONDS = 0.02  # one timing runs for about this long, so that the cost of the clock is negligible


@attrs.frozen
class Row:
    """One comparison of the functions A and B. A budget of None means that there is no target."""

    name: str
    a: Callable[[], object]
    b: Callable[[], object] | None  # None: A times both and returns the ratio
    budget: float | None = None
    subtract: bool = False  # True if A includes B; the ratio is then (A - B) / B


def once(function: Callable[[], object], repeats: int) -> float:
    """Return seconds per call; a function that returns a float returns its own measurement."""
    start = time.perf_counter()
    for _ in range(repeats):
        value = function()
    return value if isinstance(value, float) else (time.perf_counter() - start) / repeats


def measure(row: Row, rounds: int) -> list[float]:
    """Return one ratio per round, A and B in turn."""
    if row.b is None:
        return [once(row.a, 1) for _ in range(rounds)]
    with torch.inference_mode():
        first = max(once(row.b, 1), once(row.b, 1), 1e-6)
        repeats = max(int(TARGET_SECONDS / first), 1)
        once(row.a, repeats)
        ratios = []
        for _ in range(rounds):
            a, b = once(row.a, repeats), once(row.b, repeats)
            ratios.append((a - b) / b if row.subtract else a / b)
    return ratios


def command(rows: Callable[[], Iterable[Row]]) -> click.Command:
    """Return a command that measures the rows and prints them."""

    @click.command()
    @click.option("--rounds", default=15, show_default=True, help="Pairs per row.")
    @click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
    def main(rounds: int, as_json: bool) -> None:
        """Measure every row."""
        table = Table("what", "ratio", "min … max", "budget")
        document = []
        for row in track(list(rows()), console=Console(stderr=True), transient=True):
            ratios = measure(row, rounds)
            median = statistics.median(ratios)
            document.append({"name": row.name, "ratio": median, "min": min(ratios), "max": max(ratios), "budget": row.budget})
            verdict = "" if row.budget is None else f"≤ {row.budget:g} {'kept' if median <= row.budget else 'MISSED'}"
            table.add_row(row.name, f"{median:.3f}", f"{min(ratios):.2f} … {max(ratios):.2f}", verdict)
        if as_json:
            click.echo(json.dumps(document, indent=2))
        else:
            Console(width=130).print(table)

    return main
