"""The distribution: its entry point, what importing it costs, what it claims, and its README."""

from __future__ import annotations

import contextlib
import importlib
import io
import re
import subprocess
import sys
from pathlib import Path

import pytest
import tomlkit

import convpolicy as cp

PLUGIN = Path(__file__).parents[1]
PROJECT = tomlkit.parse((PLUGIN / "pyproject.toml").read_text(encoding="utf-8"))["project"]

POLICIES = ("onnx", "onnx-same-upper", "onnx-same-lower")


def test_the_entry_point_is_the_module():
    """pyproject's entry point is importable, and what it offers is registered without an error."""
    assert dict(PROJECT["entry-points"]["convpolicy"]) == {"onnx": "convpolicy_onnx"}
    assert importlib.import_module("convpolicy_onnx")
    (report,) = [report for report in cp.plugins() if report.name == "onnx"]
    assert report.errors == []
    assert report.version == PROJECT["version"]
    assert {f"policy {name}" for name in POLICIES} | {"backend onnx"} <= set(report.parts)
    for kind in (cp.padding_rules(), cp.backends()):
        for part in kind.values():
            if part.provider == "onnx":
                assert part.description


def test_the_framework_is_imported_when_a_layer_is_built():
    """Importing the plugin, and asking for plans and weights, imports neither onnx nor onnxruntime."""
    code = """
import sys
import convpolicy as cp, convpolicy_onnx
cp.policy("onnx-same-upper").plan(4, 2, length=9), cp.policy("onnx").initial(1, 1, 3), cp.backends()["onnx"]
print([name for name in ("onnx", "onnxruntime") if name in sys.modules])
"""
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


@pytest.mark.grid(every=2)
@pytest.mark.parametrize("policy", POLICIES)
def test_every_claim_holds(policy):
    """`verify` against real Conv nodes: every pad exact, and this backend's outputs too."""
    found = cp.verify([policy])
    verdicts = {claim.claim: claim.verdict for claim in found.claims}
    assert found.failed == ()
    assert {claim for claim, verdict in verdicts.items() if verdict == "exact"} >= {
        *(claim for claim in verdicts if claim.startswith("padding")),
        "bias by default, names, axes",
        "outputs of backend 'onnx'",
    }
    assert len([claim for claim in verdicts if claim.startswith("padding")]) == 7
    assert verdicts["outputs of backend 'numpy'"] == verdicts["outputs against float64"] == "within tolerance"
    assert verdicts["initial weights after seeding"] == "not checked"


def test_the_readme_prints_what_it_says(tmp_path, monkeypatch):
    """Its Python blocks run in order, in an empty folder, and print the text below them."""
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"^```(\w+)\n(.*?)^```$", (PLUGIN / "README.md").read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    names: dict = {}
    printed, shown = io.StringIO(), ""
    for language, text in blocks:
        if language == "python":
            with contextlib.redirect_stdout(printed):
                exec(compile(text, "README.md", "exec"), names)
        elif language == "text":
            shown += text
    assert printed.getvalue() == shown != ""
