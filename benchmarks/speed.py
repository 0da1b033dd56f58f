"""Measure how fast layers are: the layers of 113 models, paddings, whole models, and what people use instead.

    python benchmarks/speed.py [--rounds 15] [--section NAME …] [--output DIRECTORY]

Every section runs in a process of its own, every case is timed in turn with what it is held against (see interleaved.py), and
speed.json, speed.md and speed.png are written into the directory. A machine that does anything else meanwhile measures that.
"""

from __future__ import annotations

import importlib
import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import click
from interleaved import Result
from report import write
from rich.console import Console
from rich.progress import Progress

# glibc gives large buffers back and faults them in again, or does not, by the history of the process: the same call of 6 MB then
# takes once or twice its time. Here it keeps them, as the allocators do that torch's own tuning guide recommends.
KEEP_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(1 << 30), "MALLOC_TRIM_THRESHOLD_": str(1 << 32), "MALLOC_TOP_PAD_": str(1 << 26)}
SECTIONS = {
    "overhead": ("mix", "overhead"),
    "layers": ("mix", "mix"),
    "batches": ("mix", "batches"),
    "training": ("mix", "training"),
    "paddings": ("mix", "paddings"),
    "models": ("peers", "stacks"),
    "keras": ("peers", "keras_on_torch"),
    "flax": ("peers", "flax_under_jit"),
    "codecs": ("peers", "codecs"),
    "mindspore": ("peers", "mindspore_own"),
    "numpy": ("peers", "numpy_beside_torch"),
}


def measured(section: str, rounds: int) -> list[Result]:
    """Return every case of a section."""
    module, function = SECTIONS[section]
    return list(getattr(importlib.import_module(module), function)(rounds))


@click.command()
@click.option("--rounds", default=15, show_default=True, help="Timings of every way.")
@click.option("--section", "sections", multiple=True, type=click.Choice(list(SECTIONS)), help="Only these; repeatable.")
@click.option("--output", default="speed", show_default=True, type=click.Path(file_okay=False, path_type=Path))
def main(rounds: int, sections: tuple[str, ...], output: Path) -> None:
    """Measure and write the report."""
    found: list[Result] = []
    os.environ.update(KEEP_MEMORY)  # read when a process starts
    spawn = multiprocessing.get_context("spawn")
    with Progress(console=Console(stderr=True), transient=True) as bar:
        for section in bar.track(sections or list(SECTIONS), description="sections"):
            with ProcessPoolExecutor(1, mp_context=spawn) as pool:
                found += pool.submit(measured, section, rounds).result()
    output.mkdir(parents=True, exist_ok=True)
    click.echo(write(found, output))


if __name__ == "__main__":
    main()
