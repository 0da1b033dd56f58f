"""All policies on all backends, those of the plugins too, and that docs/understand/exact.md shows it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import pytest
from helpers.paths import ROOT

pytestmark = pytest.mark.needs("torch", "mindspore", "keras", "tensorflow", "flax", "paddle", "convpolicy_onnx", "convpolicy_mlx")

INSTALLED = {name: value for name, value in os.environ.items() if name != "CONVPOLICY_LOAD_PLUGINS"}  # all of them


MARKS = {
    "Conv1d": "<!-- made by docs/make_matrix.py -->\n",
    "ConvTranspose1d": "<!-- made by docs/make_matrix.py: ConvTranspose1d -->\n",
}
OWN = ("torch", "mindspore", "keras", "keras-torch", "keras-jax", "flax", "flax-linen", "paddle", "onnx", "mlx")
SAME = {  # policies and backends of other names that are the same framework
    "Conv1d": {("flax", "flax-linen"), ("flax-linen", "flax"), ("tensorflow", "keras"), ("keras-depthwise-jax", "keras-jax")},
    "ConvTranspose1d": {("flax", "flax-linen"), ("flax-linen", "flax"), ("tensorflow", "keras")},
}


EVERY = 29  # of the 30 sizes of layers; the script that writes the page compares them all
CODE = "import json, sys; from convpolicy.verification import matrix; print(json.dumps(matrix.matrix(every=int(sys.argv[1])).to_dict()))"


def test_every_policy_runs_on_every_backend_as_the_page_shows(request):
    """The matrix of this machine is computed once for both kinds of layers, for some of the sizes; ``--grid`` takes all."""
    words = [sys.executable, "-c", CODE, "1" if request.config.getoption("--grid") else str(EVERY)]
    found = json.loads(subprocess.run(words, cwd=ROOT, env=INSTALLED, capture_output=True, text=True, check=False).stdout)
    for layer in MARKS:
        compare(found, layer)


def compare(found, layer):
    """No cell is empty or fails; a framework on its own backend is exact; the page shows these policies, backends and verdicts."""
    cells = {
        (cell["policy"], cell["backend"]): cell
        for cell in found["cells"]
        if cell["layer"] == layer and cell["verdict"] != "not checked"
    }
    assert found["failed"] == 0
    assert {cell["verdict"] for cell in cells.values()} == {"exact", "within tolerance"}
    every = {cell["policy"] for cell in found["cells"] if cell["layer"] == layer}
    assert every - {policy for policy, _backend in cells} <= {"mindspore@2.0", "mlx@0.32.3"}  # of versions that are not installed
    text = (ROOT / "docs" / "understand" / "exact.md").read_text(encoding="utf-8").split(MARKS[layer])[1]
    head, _line, *rows = [re.findall(r"[^|*\\\s]+", line) for line in text.split("<!--")[0].splitlines()]
    shown = {(row[0], backend): cell for row in rows for backend, cell in zip(head[1:], row[1:])}
    assert set(shown) == set(cells)
    assert set(head[1:]) >= {"numpy", *OWN} - {"flax-linen"}
    for own in OWN:
        assert shown[own, own] == cells[own, own]["verdict"] == "exact"
    assert {cells[pair]["verdict"] for pair in SAME[layer]} == {"exact"}
    for at in cells:
        assert shown[at] == "exact" or float(shown[at]) > 0
