"""A torch layer ported to each framework that has a process of its own and back keeps every bit."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from helpers.frameworks import PACKAGES

CODE = """
import sys, torch, convpolicy as cp
torch.manual_seed(0)
for options in ({}, {"bias": False}, {"stride": 2, "padding": 1, "groups": 2}):
    layer = torch.nn.Conv1d(4, 6, 3, **options)
    for name in sys.argv[1:]:
        there = cp.port(layer, to=name)
        back = cp.port(there, to="torch")
        taken = cp.capture(there)
        assert taken.backend == name, taken.backend
        assert taken.weight.tobytes() == layer.weight.detach().numpy().tobytes(), (name, options)
        assert (taken.bias is None) == (layer.bias is None), (name, options)
        data = torch.randn(2, 4, 15)
        assert torch.equal(back(data), layer(data)), (name, options)
print("kept")
"""


NAMES = [
    pytest.param(names, marks=pytest.mark.needs("torch", *PACKAGES[names[0]]), id=names[0])
    for names in (["keras"], ["flax", "flax-linen"], ["paddle"], ["onnx"])
]


@pytest.mark.parametrize("names", NAMES)
def test_there_and_back(names):
    """Weight and bias after torch → framework → torch, and the output of the layer that came back, to the bit."""
    environment = {name: value for name, value in os.environ.items() if name != "CONVPOLICY_LOAD_PLUGINS"}
    done = subprocess.run([sys.executable, "-c", CODE, *names], env=environment, capture_output=True, text=True, check=False)
    assert done.stdout.endswith("kept\n"), done.stderr[-2000:]
