"""Measure time and peak memory of `convert` on a safetensors file of 2 GB, relative to the safetensors library.

    python benchmarks/convert.py [--rounds 5] [--json]

- The file: half Conv1d weights, half matrices, 64 MiB each.
- Time: each run is a separate process that times itself, without its imports.
- Memory: VmHWM of that process, as the Linux kernel reports it.
- Sync: `convert` syncs its output before renaming it, which the library does not. A second row times the library with a sync.

The benchmark needs 6 GB of disk, and 5 GB of memory for the library, which loads the whole file. All files are deleted at the end.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from side_by_side import Row, command

SLOWEST, LARGEST_TENSORS, BASE, GROWTH = 1.5, 3, 200e6, 1.05
SHAPES = {"conv.weight": (2048, 2048, 4), "linear.weight": (4096, 4096)}  # 64 MiB each in float32
LARGEST = 4 * 4096 * 4096

START = """
import os, sys, time
import numpy, safetensors.numpy, convpolicy as cp
cp.convert
source, output = sys.argv[1:]
start = time.perf_counter()
"""
END = """
seconds = time.perf_counter() - start
peak = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM")) * 1024
os.remove(output)
print(seconds, peak)
"""
OURS = "cp.convert(source, output, source='torch', target={target!r}, guess=True)"
LIBRARY = "safetensors.numpy.save_file(safetensors.numpy.load_file(source), output)"
SYNCED = LIBRARY + "\nfile = os.open(output, os.O_RDONLY)\nos.fsync(file)"


def write(path: Path, tensors: int) -> None:
    """Write a safetensors file of random tensors without convpolicy and without the library."""
    generator = np.random.default_rng(0)
    header, offset = {}, 0
    for number in range(tensors):
        kind, shape = list(SHAPES.items())[number % len(SHAPES)]
        header[f"layers.{number:03}.{kind}"] = {"dtype": "F32", "shape": shape, "data_offsets": (offset, offset + LARGEST)}
        offset += LARGEST
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("xb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for _ in range(tensors):
            file.write(generator.standard_normal(LARGEST // 4, dtype=np.float32))


def run(code: str, source: Path) -> tuple[float, float]:
    """Run code in a separate process and return its time in seconds and its peak memory in bytes."""
    output = source.with_name("output.safetensors")
    output.unlink(missing_ok=True)
    arguments = [sys.executable, "-c", code, str(source), str(output)]
    seconds, peak = subprocess.run(arguments, check=True, capture_output=True, text=True).stdout.split()
    return float(seconds), float(peak)


def seconds(code: str, source: Path) -> Callable[[], float]:
    """Return a function that measures the time of code."""
    return lambda: run(START + code + END, source)[0]


def peak(code: str, source: Path) -> Callable[[], float]:
    """Return a function that measures the peak memory of code."""
    return lambda: run(START + code + END, source)[1]


def rows(folder: Path) -> Iterator[Row]:
    """Yield every comparison."""
    large, small = folder / "large.safetensors", folder / "small.safetensors"
    write(large, 32)
    write(small, 3)
    allowed = float(LARGEST_TENSORS * LARGEST + BASE)
    for target in ("mindspore", "keras"):
        ours = OURS.format(target=target)
        yield Row(f"torch to {target}, 2 GB, vs the library alone", seconds(ours, large), seconds(LIBRARY, large), SLOWEST)
        yield Row(f"torch to {target}, 2 GB, vs the library and a sync", seconds(ours, large), seconds(SYNCED, large))
        yield Row(f"torch to {target}, peak memory, vs 3 × the largest tensor + 200 MB", peak(ours, large), lambda: allowed, 1.0)
        yield Row(f"torch to {target}, peak memory, 2 GB vs 0.2 GB", peak(ours, large), peak(ours, small), GROWTH)
    yield Row("the library's peak memory, vs the same bound", peak(LIBRARY, large), lambda: allowed)


if __name__ == "__main__":
    folder = Path(tempfile.mkdtemp(prefix="convpolicy-convert-"))
    try:
        command(lambda: rows(folder))()
    finally:
        shutil.rmtree(folder)
