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
from convpolicy.verification.matrix import matrix

PLUGIN = Path(__file__).parents[1]
PROJECT = tomlkit.parse((PLUGIN / "pyproject.toml").read_text(encoding="utf-8"))["project"]

BACKENDS = ("flax", "flax-linen")


def test_the_entry_point_is_the_module():
    """pyproject's entry point is importable, and what it offers is registered without an error."""
    assert dict(PROJECT["entry-points"]["convpolicy"]) == {"flax": "convpolicy_flax"}
    module = importlib.import_module("convpolicy_flax")
    (report,) = [report for report in cp.plugins() if report.name == "flax"]
    assert report.errors == []
    assert report.version == PROJECT["version"]
    assert report.parts == [f"backend {name}" for name in BACKENDS]
    assert all(cp.backends()[name].description for name in BACKENDS)
    with pytest.raises(AttributeError, match="no attribute 'LinenConv2d'"):
        module.LinenConv2d


def test_the_framework_is_imported_when_a_layer_is_built():
    """Importing the plugin, and asking for its backends, imports neither flax nor jax."""
    code = """
import sys
import convpolicy as cp, convpolicy_flax
cp.backends()["flax"].check_dtype("bfloat16"), cp.backends()["flax-linen"]
print([name for name in ("flax", "jax") if name in sys.modules])
"""
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_verify_finds_both_backends():
    """`verify` against the real ``flax.nnx.Conv`` finds both by itself, and all their outputs exact; every claim of the policy holds."""
    found = cp.verify(["flax"])
    verdicts = {claim.claim: claim.verdict for claim in found.claims}
    assert found.failed == ()
    assert {verdicts[f"outputs of backend {name!r}"] for name in BACKENDS} == {"exact"}
    assert verdicts["outputs of backend 'numpy'"] == "within tolerance"
    assert verdicts["initial weights after seeding"] == "exact"


def test_the_cells_of_the_matrix():
    """Both backends compute what ``flax.linen.Conv`` does to the bit; no cell fails or is empty."""
    found = matrix(["flax-linen"], BACKENDS)
    assert [cell.verdict for cell in found.cells] == ["exact", "exact"]


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
