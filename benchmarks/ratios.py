"""Measure the overhead of convpolicy relative to native code.

    python benchmarks/ratios.py [--rounds 15] [--json]

Each row times A (convpolicy) and B (the native code) in turn; see side_by_side.py. Torch and NumPy run on one thread.
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import torch
from side_by_side import Row, command

import convpolicy as cp


def seconds_inside(code: str) -> Callable[[], float]:
    """Return a function that times code in a new interpreter, without the start of the interpreter."""
    timed = f"import time; t = time.perf_counter(); {code}; print(time.perf_counter() - t)"
    environment = {
        name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"
    }  # with .pyc files, as after pip install
    run = partial(subprocess.run, [sys.executable, "-c", timed], env=environment, check=True, capture_output=True, text=True)
    return lambda: float(run().stdout)


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
                1.2 if label.startswith("policy") else 1.5,
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


if __name__ == "__main__":
    command(rows)()
