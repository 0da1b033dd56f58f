"""Measure the speed of layers: those of 113 models and of 18 decoders, hand-written padding, whole models, and layers of other packages.

    python benchmarks/speed.py [--rounds 15] [--section NAME …] [--output DIRECTORY]

Every section runs in a separate process. Every case is timed in turn with its reference (see interleaved.py). The results are written
to speed.json, speed.md and speed.png in the directory. Run nothing else on the machine at the same time.
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

# Depending on its history, a process returns large buffers to the system after each call, which can double the time of a call with
# 6 MB of data. These variables make glibc keep the buffers, like the allocators that torch's tuning guide recommends.
KEEP_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(1 << 30), "MALLOC_TRIM_THRESHOLD_": str(1 << 32), "MALLOC_TOP_PAD_": str(1 << 26)}
SECTIONS = {
    "overhead": ("mix", "overhead"),
    "layers": ("mix", "mix"),
    "batches": ("mix", "batches"),
    "training": ("mix", "training"),
    "paddings": ("mix", "paddings"),
    "transposed": ("transposed", "layers"),
    "transposed batches": ("transposed", "batches"),
    "models": ("peers", "stacks"),
    "keras": ("peers", "keras_on_torch"),
    "flax": ("peers", "flax_under_jit"),
    "codecs": ("peers", "codecs"),
    "mindspore": ("peers", "mindspore_own"),
    "numpy": ("peers", "numpy_beside_torch"),
}


def measured(section: str, rounds: int) -> list[Result]:
    """Run a section and return its results."""
    module, function = SECTIONS[section]
    return list(getattr(importlib.import_module(module), function)(rounds))


@click.command()
@click.option("--rounds", default=15, show_default=True, help="Number of timings of each function.")
@click.option(
    "--section", "sections", multiple=True, type=click.Choice(list(SECTIONS)), help="Run only this section. Repeatable."
)
@click.option("--output", default="speed", show_default=True, type=click.Path(file_okay=False, path_type=Path))
def main(rounds: int, sections: tuple[str, ...], output: Path) -> None:
    """Measure all sections and write the report."""
    results: list[Result] = []
    os.environ.update(KEEP_MEMORY)  # applies to the processes started below
    spawn = multiprocessing.get_context("spawn")
    with Progress(console=Console(stderr=True), transient=True) as bar:
        for section in bar.track(sections or list(SECTIONS), description="sections"):
            with ProcessPoolExecutor(1, mp_context=spawn) as pool:
                results += pool.submit(measured, section, rounds).result()
    output.mkdir(parents=True, exist_ok=True)
    click.echo(write(results, output))


if __name__ == "__main__":
    main()
