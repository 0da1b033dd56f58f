"""Layers of every backend take their input in chunks and give the outputs of the whole."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from helpers.frameworks import KERAS_ON, PACKAGES
from helpers.paths import ROOT

SCRIPT = ROOT / "tests" / "helpers" / "streamed_backends.py"
# backends that share a process -> number of random layers of each; JAX and TensorFlow compile every new shape
GROUPS = {
    ("numpy", "torch"): 150,
    ("mlx",): 150,
    ("onnx",): 80,
    ("paddle",): 60,
    ("mindspore",): 10,
    ("keras-torch",): 12,
    ("keras",): 6,
    ("keras-jax",): 6,
    ("flax", "flax-linen"): 6,
}


def packages(backends):
    """The packages that a group needs."""
    return [package for name in backends for package in PACKAGES.get(name, ("convpolicy_mlx",) if name == "mlx" else ())]


@pytest.mark.parametrize(
    ("backends", "layers"),
    [pytest.param(names, count, marks=pytest.mark.needs(*packages(names)), id=names[0]) for names, count in GROUPS.items()],
)
def test_random_layers_in_chunks(backends, layers):
    """Random sizes, padding rules, modes, crops and chunks: same lengths, outputs within the rounding bound, the same refusals."""
    environment = {name: value for name, value in os.environ.items() if name != "CONVPOLICY_LOAD_PLUGINS"}
    environment["OMP_NUM_THREADS"] = "1"  # threads cost more than any convolution here takes
    if backends[0] in KERAS_ON:
        environment["KERAS_BACKEND"] = KERAS_ON[backends[0]]
    done = subprocess.run(
        [sys.executable, SCRIPT, str(layers), *backends], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.splitlines()[-len(backends) :] == [f"{name} {layers}" for name in backends]
