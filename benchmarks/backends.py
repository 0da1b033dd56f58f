"""Cases for `speed.py`: the layers of every backend beside those of its framework, called with NumPy arrays (batch, channels, length).

Both layers are called by the same code, get the same array and return one: what a framework takes to convert arrays and to start a
call is part of both times. Layers of the ONNX backend convert by themselves.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import numpy as np
from interleaved import Result, compare

import convpolicy as cp
from convpolicy import registry
from convpolicy.verification.cases import Checked
from convpolicy.verification.native import LAYERS as KINDS

FRAMEWORKS = ("mindspore", "keras", "keras-jax", "keras-torch", "flax", "flax-linen", "paddle", "mlx", "onnx")
LAYERS = {  # kind -> in, out, kernel, stride, groups, length
    "Conv1d": [
        (16, 16, 3, 1, 1, 64), (64, 64, 1, 1, 1, 600), (64, 64, 3, 1, 1, 600), (512, 512, 7, 1, 1, 14), (64, 128, 4, 2, 1, 6000),
        (512, 512, 31, 1, 512, 600), (768, 768, 1, 1, 4, 600),
    ],
    "ConvTranspose1d": [(16, 8, 4, 2, 1, 64), (512, 256, 16, 8, 1, 50), (64, 32, 4, 2, 1, 3000)],
}  # fmt: skip


def own(rounds: int, backend: str) -> Iterator[Result]:
    """Compare layers of a backend, exact and fast, with those of its framework, with the same parameters and default arguments."""
    native = registry.current().parts("native framework")[backend]
    os.environ.update(native.environment)  # before the framework is imported
    part, random = registry.current().get("backend", backend), np.random.default_rng(0)
    for kind in native.layers:
        checked = Checked.of(native, kind)
        for sizes in LAYERS[kind]:
            inner, outer, kernel, stride, groups, length = sizes
            spec = checked.spec(inner, outer, (kernel, stride, 1), groups)
            weight = random.standard_normal(spec.weight_shape, dtype=np.float32)
            bias, data = np.zeros(outer, np.float32), random.standard_normal((1, inner, length), dtype=np.float32)
            theirs = checked.framework.build(spec, {"bias": True})
            checked.framework.give(theirs, checked.layout.pack({"weight": weight, "bias": bias}, groups))
            build: Any = cp.Conv1d if kind == KINDS[0] else cp.ConvTranspose1d
            arguments = {"groups": groups, "policy": checked.policy, "backend": backend, "bias": True}
            ours = {way: build(inner, outer, kernel, stride, **arguments, execution=way) for way in ("exact", "fast")}
            for layer in ours.values():
                part.assign(layer, {"weight": weight, "bias": bias})
            called = {"native": theirs, **ours}
            if backend == "flax-linen":
                called |= {way: vars(layer) for way, layer in ours.items()}  # module and variables
            ways: dict[str, Any] = {
                way: lambda o=layer, c=checked, d=data: c.data_layout.to_ncw(c.framework.run(o, c.data_layout.from_ncw(d)))
                for way, layer in called.items()
            }
            if backend == "onnx":
                ways |= {way: lambda o=layer, d=data: part.run(o, d) for way, layer in ours.items()}
            outputs = {name: way() for name, way in ways.items()}
            text = f"{kind} {inner}→{outer} k{kernel} s{stride} g{groups}, length {length}"
            facts = {
                "apart": float(np.abs(outputs["fast"] - outputs["native"]).max()),
                "exact_bits": bool(np.array_equal(outputs["exact"], outputs["native"])),
            }
            yield compare(f"{backend} layers", text, ways, rounds, **facts)
