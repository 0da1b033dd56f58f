"""Measure time and peak memory of `convert` with ``model=`` on a safetensors file of 1 GB, relative to a bare copy of the file.

    python benchmarks/convert_for_model.py [--rounds 5] [--json]

- The file: matrices of Linear layers, 64 MiB each.
- Renamed: a torch model with other names, whose tensors keep their bytes. Transposed: a Flax model, in which every matrix is transposed.
- The bare copy is ``shutil.copyfile`` and a sync, since `convert` syncs its output, too.
- Time: each run is a separate process that times itself, without its imports and a first conversion of a tiny file.
- Memory: VmHWM of that process, as the Linux kernel reports it.

The benchmark needs 3 GB of disk. All files are deleted at the end.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from convert import END, run
from side_by_side import Row, command

SIDE, COUNT = 4096, 16
BUDGET, GROWTH = 1.1, 1.05
COPY = """
import os, shutil, sys, time
source, output = sys.argv[1:]
start = time.perf_counter()
shutil.copyfile(source, output)
file = os.open(output, os.O_RDONLY)
os.fsync(file)
os.close(file)
"""
START = """
import os, sys, time
import convpolicy as cp
source, output = sys.argv[1:]
{build}
import numpy, safetensors.numpy
safetensors.numpy.save_file({{"net.0.weight": numpy.zeros((4, 4), "f4")}}, output)
cp.convert(output, output + ".safetensors", model=build(1, 4), **words)
os.remove(output)
os.remove(output + ".safetensors")
model = build({count}, {side})
start = time.perf_counter()
cp.convert(source, output, model=model, **words)
"""
TORCH = """
import torch
def build(count, side):
    with torch.device("meta"):
        model = torch.nn.Module()
        model.layers = torch.nn.ModuleList([torch.nn.Linear(side, side, bias=False) for _ in range(count)])
    return model
words = {"source": "torch", "target": "torch", "mapping": {"net.*": {"name": "layers.*"}}}
"""
FLAX = """
from flax import nnx
class Net(nnx.Module):
    def __init__(self, count, side):
        self.net = nnx.List([nnx.Linear(side, side, use_bias=False, rngs=nnx.Rngs(0)) for _ in range(count)])
def build(count, side):
    return nnx.eval_shape(lambda: Net(count, side))
words = {"source": "torch", "target": "flax"}
"""


def write(path: Path, count: int) -> None:
    """Write a safetensors file of random matrices."""
    generator, size = np.random.default_rng(0), 4 * SIDE * SIDE
    header = {
        f"net.{number}.weight": {"dtype": "F32", "shape": (SIDE, SIDE), "data_offsets": (number * size, (number + 1) * size)}
        for number in range(count)
    }
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("xb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for _ in range(count):
            file.write(generator.standard_normal(SIDE * SIDE, dtype=np.float32))


def rows(folder: Path) -> Iterator[Row]:
    """Yield every comparison."""
    large, small = folder / "large.safetensors", folder / "small.safetensors"
    write(large, COUNT)
    write(small, 2)
    for title, build in (("renamed", TORCH), ("transposed", FLAX)):
        code, few = (START.format(build=build, count=count, side=SIDE) + END for count in (COUNT, 2))
        yield Row(
            f"{title}, 1 GB, vs a bare copy and a sync",
            lambda code=code: run(code, large)[0],
            lambda: run(COPY + END, large)[0],
            BUDGET,
        )
        yield Row(
            f"{title}, peak memory, 1 GB vs 0.13 GB",
            lambda code=code: run(code, large)[1],
            lambda few=few: run(few, small)[1],
            GROWTH,
        )


if __name__ == "__main__":
    folder = Path(tempfile.mkdtemp(prefix="convpolicy-convert-", dir="."))
    try:
        command(lambda: rows(folder))()
    finally:
        shutil.rmtree(folder)
