"""The built-in random streams; each one's arithmetic is imported when the first is started."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from convpolicy.hookspecs import hookimpl
from convpolicy.random.stream import Stream
from convpolicy.streams import RandomStream

# name -> module of convpolicy.random, class, description
STREAMS = {
    "numpy": ("numpy", "NumpyStream", "PCG64 in float64: the same numbers everywhere; claims no framework."),
    "torch": ("torch", "TorchStream", "torch.manual_seed(seed): the one mt19937 generator of torch's CPU fills."),
    "mindspore": ("mindspore", "MindsporeStream", "mindspore.set_seed(seed): one Philox seed per tensor."),
}


def _starter(module: str, kind: str) -> Callable[..., Stream]:
    def start(seed: Any, **params: Any) -> Stream:
        found: Stream = getattr(importlib.import_module(f"convpolicy.random.{module}"), kind)(seed, **params)
        return found

    return start


@hookimpl
def convpolicy_streams() -> list[RandomStream]:
    """Return the built-in random streams."""
    return [
        RandomStream(name, _starter(module, kind), description=description)
        for name, (module, kind, description) in STREAMS.items()
    ]
