"""Cases for `speed.py`: layers with ``execution="auto"``, and layers that `tune` gave packed weights, beside the limit.

The limit is one matrix product of weights and windows that are there already: what a convolution costs that copies nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import torch
from interleaved import LIMIT_WAY, Result, compare
from mix import LAYERS, SIZES, built, describe, lowering
from torch import Tensor, nn

import convpolicy as cp

LENGTHS = (16, 100, 600, 3000)
LONG = 600  # from this length on, a third of the rounds is enough
FEW = (2, 4, 8)  # outputs
TUNING = 5  # rounds


def layers(rounds: int, every: int = 1) -> Iterator[Result]:
    """Compare native and auto layers, after their first calls, for each n-th layer and every length, with batches of 1."""
    for length in LENGTHS:
        for layer in LAYERS[::every]:
            arguments = {name: layer[name] for name in SIZES}
            shortest = (layer["kernel_size"] - 1) * layer["dilation"] + 1
            data = torch.randn(1, layer["in_channels"], max(length, shortest))
            fewer = rounds if length < LONG else max(rounds // 3, 3)
            yield _layer("auto", f"{describe(layer)}, length {length}", arguments, data, fewer, length=length)


def few_outputs(rounds: int) -> Iterator[Result]:
    """Compare a large layer that computes few outputs, on one thread and on two."""
    before = torch.get_num_threads()
    arguments = {"in_channels": 512, "out_channels": 512, "kernel_size": 7}
    for threads in (1, 2):
        torch.set_num_threads(threads)
        for outputs in FEW:
            name = f"{describe(arguments)}, {outputs} outputs, {threads} threads"
            yield _layer("few outputs", name, arguments, torch.randn(1, 512, outputs + 6), rounds, threads=threads)
    torch.set_num_threads(before)


def _layer(section: str, name: str, arguments: dict[str, Any], data: Tensor, rounds: int, **facts: Any) -> Result:
    native = nn.Conv1d(**arguments).eval()
    auto, frozen = built(arguments, native, "auto"), nn.Conv1d(**arguments).eval()
    frozen.weight, frozen.bias = native.weight, native.bias  # a copy would have to be read into the cache, beside the others
    with torch.inference_mode():
        (tuned,) = cp.tune(frozen, data, freeze=True, rounds=TUNING, verbose=False).layers
        output = native(data)
        seconds = [_seconds(lambda: native(data)) for _ in range(3)]
        first = _seconds(lambda: auto(data)) / min(seconds)
        ways: dict[str, Callable[[], object]] = {
            "native": lambda: native(data),
            "auto": lambda: auto(data),
            "frozen": lambda: frozen(data),
            LIMIT_WAY: _limit(native, output.shape[-1]),
        }
        more = {"first": round(first), "lowering": lowering(auto), "tuned": tuned.lowering or "unchanged"}
        return compare(section, name, ways, rounds, **facts, **more)


def _seconds(function: Callable[[], object]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def _limit(layer: nn.Conv1d, outputs: int) -> Callable[[], Tensor]:
    rows = layer.weight.detach().reshape(layer.groups, layer.out_channels // layer.groups, -1)
    columns = torch.randn(layer.groups, rows.shape[2], outputs)
    if layer.groups == 1:
        return lambda: torch.mm(rows[0], columns[0])
    return lambda: torch.bmm(rows, columns)
