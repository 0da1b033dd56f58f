"""The built-in random streams; each one's arithmetic is imported when the first is started."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from convpolicy.hookspecs import hookimpl
from convpolicy.parts import Param
from convpolicy.random.stream import Stream
from convpolicy.streams import RandomStream

# name -> module of convpolicy.random, class, description
STREAMS = {
    "numpy": ("numpy", "NumpyStream", "PCG64 in float64: the same numbers everywhere; claims no framework."),
    "torch": ("torch", "TorchStream", "torch.manual_seed(seed): the one mt19937 generator of torch's CPU fills."),
    "keras": ("keras", "KerasTensorflowStream", "keras.utils.set_random_seed(seed) on TensorFlow: one Python seed per tensor."),
    "keras-torch": ("keras", "KerasTorchStream", "keras.utils.set_random_seed(seed) on torch: one Python seed per tensor."),
    "keras-jax": ("keras", "KerasJaxStream", "keras.utils.set_random_seed(seed) on JAX: one Python seed per tensor."),
    "flax": ("jax", "NnxStream", "nnx.Rngs(seed): one threefry key per tensor, counted."),
    "flax-linen": ("jax", "LinenStream", "module.init(jax.random.key(seed)): one threefry key per tensor, by the module's path."),
    "paddle": ("paddle", "PaddleStream", "paddle.seed(seed): one mt19937_64 generator."),
    "mindspore": ("mindspore", "MindsporeStream", "mindspore.set_seed(seed): one Philox seed per tensor."),
}

PARAMS = {"flax-linen": {"path": Param("", kind="name")}}  # of the Conv in its parent, "Block_0/Conv_1"


def _starter(module: str, kind: str) -> Callable[..., Stream]:
    def start(seed: Any, **params: Any) -> Stream:
        found: Stream = getattr(importlib.import_module(f"convpolicy.random.{module}"), kind)(seed, **params)
        return found

    return start


@hookimpl
def convpolicy_streams() -> list[RandomStream]:
    """Return the built-in random streams."""
    return [
        RandomStream(name, _starter(module, kind), description=description, params=PARAMS.get(name, {}))
        for name, (module, kind, description) in STREAMS.items()
    ]
