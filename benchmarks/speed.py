"""Measure the speed of layers: those of 113 models and of 18 decoders, hand-written padding, whole models, and layers of other packages.

    python benchmarks/speed.py [--quick] [--every 1] [--rounds 5] [--section NAME …] [--output DIRECTORY]

Every section runs in a separate process. Every case is timed in turn with its reference (see interleaved.py), and again if it exceeds
the limit. The results are written to speed.json, speed.md and speed.png in benchmarks/results/PROCESSOR, and
``python docs/make_speed.py`` shows all processors side by side. Sections that do not run keep their results. Run nothing else on the
machine at the same time: it takes 30 to 45 minutes, of which section auto takes 15. ``--every 4`` measures each fourth layer only.
``--quick`` takes 2 minutes: it measures few layers and writes nothing unless you pass ``--output``.
"""

from __future__ import annotations

import importlib
import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import click
from backends import FRAMEWORKS
from interleaved import Result
from report import machine, merged, slug, summary, write
from rich.console import Console
from rich.progress import Progress

# Depending on its history, a process returns large buffers to the system after each call, which can double the time of a call with
# 6 MB of data. These variables make glibc keep the buffers, like the allocators that torch's tuning guide recommends.
KEEP_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(1 << 30), "MALLOC_TRIM_THRESHOLD_": str(1 << 32), "MALLOC_TOP_PAD_": str(1 << 26)}
SECTIONS = {
    "overhead": ("mix", "overhead"),
    "layers": ("mix", "mix"),
    "auto": ("automatic", "layers"),
    "few outputs": ("automatic", "few_outputs"),
    "batches": ("mix", "batches"),
    "training": ("mix", "training"),
    "paddings": ("mix", "paddings"),
    "transposed": ("transposed", "layers"),
    "transposed batches": ("transposed", "batches"),
    "models": ("peers", "stacks"),
    "Keras and torch": ("peers", "keras_on_torch"),
    "Flax and torch": ("peers", "flax_under_jit"),
    "codecs": ("peers", "codecs"),
    "compile": ("peers", "compiled"),
    "numpy": ("peers", "numpy_beside_torch"),
    **{backend: ("backends", "own", backend) for backend in FRAMEWORKS},
}


QUICK = ("overhead", "auto", "few outputs", "numpy")  # sections of a quick run
THINNED = ("layers", "auto", "batches", "training", "transposed", "transposed batches")  # sections of which --every takes a part
EVERY_QUICK = 12  # a quick run measures each 12th layer
RESULTS = Path(__file__).parent / "results"


def measured(section: str, rounds: int, every: int) -> list[Result]:
    """Run a section, for each n-th layer, and return its results."""
    module, function, *arguments = SECTIONS[section]
    options = {"every": every} if section in THINNED else {}
    return list(getattr(importlib.import_module(module), function)(rounds, *arguments, **options))


@click.command()
@click.option("--every", default=1, show_default=True, type=click.IntRange(1), help="Measure each n-th layer.")
@click.option("--rounds", default=5, show_default=True, help="Number of timings of each function.")
@click.option(
    "--section", "sections", multiple=True, type=click.Choice(list(SECTIONS)), help="Run only this section. Repeatable."
)
@click.option("--quick", is_flag=True, help="Measure few layers in a few rounds, whatever --every and --rounds are.")
@click.option("--output", type=click.Path(file_okay=False, path_type=Path), help="Folder; default: results/PROCESSOR.")
def main(every: int, rounds: int, sections: tuple[str, ...], quick: bool, output: Path | None) -> None:
    """Measure all sections and write the report."""
    sections = sections or (QUICK if quick else tuple(SECTIONS))
    rounds, every = (3, EVERY_QUICK) if quick else (rounds, every)
    results: list[Result] = []
    os.environ.update(KEEP_MEMORY)  # applies to the processes started below
    spawn = multiprocessing.get_context("spawn")
    with Progress(console=Console(stderr=True), transient=True) as bar:
        for section in bar.track(sections, description="sections"):
            with ProcessPoolExecutor(1, mp_context=spawn) as pool:
                results += pool.submit(measured, section, rounds, every).result()
    about = machine()
    if quick and output is None:
        click.echo(summary(about, results))
        return
    folder = output or RESULTS / slug(about)
    folder.mkdir(parents=True, exist_ok=True)
    click.echo(write(merged(results, folder, about), folder, about))


if __name__ == "__main__":
    main()
