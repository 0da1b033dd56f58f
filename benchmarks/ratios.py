"""Measure what convpolicy costs, as ratios taken side by side in one run.

    python benchmarks/ratios.py [--rounds 15] [--json]

Each row times A (convpolicy) and B (what it is held against) in turn, A B A B …, and prints the median of the pairwise
ratios with the smallest and largest. The budget is the one the project sets itself; nothing fails when it is missed.
Torch runs on one thread; for the NumPy row set OPENBLAS_NUM_THREADS=1 (done here, before NumPy is imported).
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import attrs
import click
import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table

import convpolicy as cp

TARGET_SECONDS = 0.02  # one timing runs for about this long, so that the clock's own cost vanishes


@attrs.frozen
class Row:
    """One comparison: what A and B do, and the largest ratio the project allows itself (None: for information)."""

    name: str
    a: Callable[[], object]
    b: Callable[[], object]
    budget: float | None = None
    subtract: bool = False  # A includes B: the ratio is (A - B) / B


def seconds_inside(code: str) -> Callable[[], float]:
    """Return the seconds that code takes inside a fresh interpreter, its start not counted."""
    timed = f"import time; t = time.perf_counter(); {code}; print(time.perf_counter() - t)"
    return lambda: float(subprocess.run([sys.executable, "-c", timed], check=True, capture_output=True, text=True).stdout)


def _native_normal(*shape: int) -> torch.nn.Conv1d:
    layer = torch.nn.Conv1d(*shape, padding="same", bias=False)
    torch.nn.init.normal_(layer.weight, std=0.01)
    return layer


def _native_truncated(*shape: int) -> torch.nn.Conv1d:
    layer = torch.nn.Conv1d(*shape, padding="same")
    std = (shape[0] * shape[2]) ** -0.5
    torch.nn.init.trunc_normal_(layer.weight, std=std, a=-2 * std, b=2 * std)
    torch.nn.init.zeros_(layer.bias)
    return layer


def _native_seeded(*shape: int) -> torch.nn.Conv1d:
    torch.manual_seed(0)
    return torch.nn.Conv1d(*shape)


def rows() -> Iterator[Row]:
    """Yield every comparison."""
    torch.set_num_threads(1)
    yield Row(
        "import convpolicy, beyond import numpy",
        seconds_inside("import numpy, convpolicy"),
        seconds_inside("import numpy"),
        0.5,
        True,
    )
    for shape in ((1, 1, 3), (16, 16, 3), (120, 240, 4), (512, 512, 7)):
        for label, native, ours in (
            ("policy torch", torch.nn.Conv1d, {}),
            ("policy mindspore", lambda *s: torch.nn.Conv1d(*s, padding="same", bias=False), {"policy": "mindspore"}),
            ("pads (3, 1)", torch.nn.Conv1d, {"padding": (3, 1)}),
            ("policy mindspore@2.0 vs normal_", _native_normal, {"policy": "mindspore@2.0"}),
            ("policy flax vs trunc_normal_", _native_truncated, {"policy": "flax"}),
            ("seed=0 vs manual_seed", _native_seeded, {"seed": 0}),
        ):
            yield Row(
                f"build {shape}, {label}, torch backend",
                lambda shape=shape, ours=ours: cp.Conv1d(*shape, backend="torch", **ours),
                lambda shape=shape, native=native: native(*shape),
                1.5,
            )
    for shape, length in (((1, 1, 3), 3), ((16, 16, 3), 64), ((120, 240, 4), 640)):
        data = torch.randn(1, shape[0], length)
        native = torch.nn.Conv1d(*shape, padding="same")
        ours = cp.Conv1d(*shape, padding="same", backend="torch")
        other_init = cp.Conv1d(*shape, policy="flax", backend="torch")
        yield Row(
            f"forward {shape} length {length}, native layer", lambda f=ours, x=data: f(x), lambda f=native, x=data: f(x), 1.02
        )
        yield Row(
            f"forward {shape} length {length}, own init", lambda f=other_init, x=data: f(x), lambda f=native, x=data: f(x), 1.02
        )
        asymmetric = cp.Conv1d(*shape, padding=(2, 1), backend="torch")
        pad = torch.nn.ZeroPad1d((2, 1))
        valid = torch.nn.Conv1d(*shape)
        yield Row(
            f"forward {shape} length {length}, pads (2, 1), vs ZeroPad1d + Conv1d",
            lambda f=asymmetric, x=data: f(x),
            lambda f=valid, p=pad, x=data: f(p(x)),
        )
    signal = np.random.default_rng(0).standard_normal((16, 64, 4096), dtype=np.float32)
    ours = cp.Conv1d(64, 64, 4, seed=0)
    native = torch.nn.Conv1d(64, 64, 4)
    tensor = torch.from_numpy(signal)
    yield Row("NumPy forward 16×64×64×4096, kernel 4, vs torch on one thread", lambda: ours(signal), lambda: native(tensor), 3.0)


def once(function: Callable[[], object], repeats: int) -> float:
    """Return seconds per call; a function that returns a float has measured itself."""
    start = time.perf_counter()
    for _ in range(repeats):
        value = function()
    return value if isinstance(value, float) else (time.perf_counter() - start) / repeats


def measure(row: Row, rounds: int) -> list[float]:
    """Return one ratio per round, A and B in turn."""
    with torch.inference_mode():
        first = max(once(row.b, 1), once(row.b, 1), 1e-6)
        repeats = max(int(TARGET_SECONDS / first), 1)
        once(row.a, repeats)
        ratios = []
        for _ in range(rounds):
            a, b = once(row.a, repeats), once(row.b, repeats)
            ratios.append((a - b) / b if row.subtract else a / b)
    return ratios


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


if __name__ == "__main__":
    main()
