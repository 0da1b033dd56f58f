"""The conformance kit on the backends of real frameworks, each in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from helpers.frameworks import params

import convpolicy as cp

CODE = """
import sys
import warnings
warnings.simplefilter("ignore")
from convpolicy.testing import check_backend
check_backend(sys.argv[1], max_examples=int(sys.argv[2]), report=sys.argv[3])
"""
EXAMPLES = {"torch": 100, "mindspore": 30}  # per check; MindSpore's room compares far more layers
DTYPES = {"torch": ("float32", "float64", "float16", "bfloat16"), "mindspore": ("float32", "float64", "float16")}


@pytest.mark.parametrize("backend", params(DTYPES))
def test_a_framework_conforms(backend, tmp_path):
    """Names, signatures, shapes, values and gradients in every dtype it declares; nothing fails and nothing is left out."""
    report = tmp_path / "report.json"
    result = subprocess.run(
        [sys.executable, "-c", CODE, backend, str(EXAMPLES[backend]), report],
        env=os.environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr[-2000:]
    checks = json.loads(report.read_text())["parts"][f"backend {backend}"]["checks"]
    assert {check["verdict"] for check in checks.values()} == {"passed"}
    layers = {
        "shapes", "refusals", "initial-weights", "strided-input", "lengths", "assign", "capture", "streaming", "sharding",
        *(f"{what}-{dtype}" for what in ("values", "gradients") for dtype in DTYPES[backend]),
    }  # fmt: skip
    transposed = {f"transposed-{check}" for check in {*layers, "crop-rule"}} if cp.backends()[backend].build_transposed else set()
    others = {"names", "signatures", "index-map", "sum-of-terms", "learned", "learned-gradient"}
    assert set(checks) == layers | transposed | others
