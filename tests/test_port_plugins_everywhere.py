"""A torch layer ported to each plugin's framework and back keeps every bit; each framework in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import tomlkit

PLUGINS = Path(__file__).parents[1] / "plugins"
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


@pytest.mark.parametrize(
    ("plugin", "names"), [("keras", ["keras"]), ("flax", ["flax", "flax-linen"]), ("paddle", ["paddle"]), ("onnx", ["onnx"])]
)
def test_there_and_back(plugin, names, tmp_path):
    """Weight and bias after torch → framework → torch, and the output of the layer that came back, to the bit."""
    folder = PLUGINS / f"convpolicy-{plugin}"
    project = tomlkit.parse((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = "\n".join(f"{name} = {module}" for name, module in project["entry-points"]["convpolicy"].items())
    metadata = tmp_path / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    (metadata / "entry_points.txt").write_text(f"[convpolicy]\n{lines}\n")
    paths = os.pathsep.join([str(folder), str(tmp_path), str(PLUGINS.parent)])
    done = subprocess.run(
        [sys.executable, "-c", CODE, *names],
        env={key: value for key, value in os.environ.items() if key != "CONVPOLICY_LOAD_PLUGINS"} | {"PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.endswith("kept\n"), done.stderr[-2000:]
