"""Measure how long it takes to draw initial weights with NumPy, relative to the frameworks.

    python benchmarks/draws.py [--rounds 15] [--json]

Each layer has 10 million weights. Torch runs on one thread, as its random numbers always do. Peak memory is the peak of NumPy's allocations during the draw, relative
to the size of the weights.
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import tracemalloc
from collections.abc import Callable, Iterator

import mindspore
import torch
from side_by_side import Row, command

import convpolicy as cp

IN, OUT, KERNEL = 1000, 1000, 10
LARGEST_TIME, LARGEST_MEMORY = 1.0, 4.0


def drawing(policy: str) -> Callable[[], object]:
    """Return a function that draws the default weight of a policy."""
    without_bias = cp.policy(policy).evolve(bias=False)
    return lambda: without_bias.initial(IN, OUT, KERNEL, seed=0)


def peak(policy: str) -> Callable[[], float]:
    """Return a function that measures the peak memory of a draw in bytes."""
    draw = drawing(policy)

    def measured() -> float:
        tracemalloc.start()
        draw()
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return float(most)

    return measured


def rows() -> Iterator[Row]:
    """Yield every comparison."""
    torch.set_num_threads(1)
    weight = torch.empty(OUT, IN, KERNEL)
    yield Row(
        "torch's default, vs its own nn.Conv1d",
        drawing("torch"),
        lambda: torch.nn.Conv1d(IN, OUT, KERNEL, bias=False),
        LARGEST_TIME,
    )
    yield Row(
        "torch's default, vs kaiming_uniform_ in memory that is there",
        drawing("torch"),
        lambda: torch.nn.init.kaiming_uniform_(weight),
    )
    native = lambda: mindspore.nn.Conv1d(IN, OUT, KERNEL)
    yield Row("MindSpore's default, vs its own nn.Conv1d", drawing("mindspore"), native, LARGEST_TIME)
    old = lambda: mindspore.nn.Conv1d(IN, OUT, KERNEL, weight_init="normal")
    yield Row("MindSpore 2.0's default, vs weight_init='normal'", drawing("mindspore@2.0"), old, LARGEST_TIME)
    size = float(4 * IN * OUT * KERNEL)
    for policy in sorted(name for name in cp.policies() if cp.policy(name).framework and "depthwise" not in name):
        yield Row(f"peak memory of {policy}, over the result", peak(policy), lambda: size, LARGEST_MEMORY)


if __name__ == "__main__":
    command(rows)()
