"""The distribution: its entry point, what importing it costs, what it claims, and its README."""

from __future__ import annotations

import contextlib
import importlib
import io
import re
import subprocess
import sys
from pathlib import Path

import tomlkit

import convpolicy as cp

PLUGIN = Path(__file__).parents[1]
PROJECT = tomlkit.parse((PLUGIN / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_the_entry_point_is_the_module():
    """pyproject's entry point is importable, and what it offers is registered without an error."""
    assert dict(PROJECT["entry-points"]["convpolicy"]) == {"mlx": "convpolicy_mlx"}
    assert importlib.import_module("convpolicy_mlx")
    (report,) = [report for report in cp.plugins() if report.name == "mlx"]
    assert report.errors == []
    assert report.version == PROJECT["version"]
    assert set(report.parts) == {
        "policy mlx", "policy mlx@0.32.3", "random stream mlx", "backend mlx", "native framework mlx", "native framework mlx@0.32.3",
        "dialect mlx", "file format mlx.npz", "crop rule mlx_explicit", "layout OWI-transposed",
    }  # fmt: skip
    assert cp.backends()["mlx"].description


def test_the_framework_is_imported_when_a_layer_is_built():
    """Importing the plugin, asking for its backend, and translating do not import mlx."""
    code = """
import sys
import convpolicy as cp, convpolicy_mlx
cp.backends()["mlx"].check_dtype("bfloat16")
cp.translate("nn.Conv1d(2, 4, 3, padding=(1,))", "torch", "mlx")
print("mlx" in sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


def test_every_claim_holds():
    """`verify` against the real layer finds this backend by itself, and all its outputs exact."""
    report = cp.verify(["mlx"])
    verdicts = {claim.claim: claim.verdict for claim in report.claims}
    assert report.failed == ()
    assert verdicts["outputs of backend 'mlx'"] == "exact"
    assert verdicts["outputs of backend 'numpy'"] == "within tolerance"
    assert verdicts["initial weights after seeding"] == "exact"


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


def test_the_listings_of_the_documentation_are_this_package():
    """Each listing of docs/guides/write_a_framework.md is in a module, and `convpolicy plugins` prints the lines it shows."""
    page = PLUGIN.parents[1] / "docs" / "guides" / "write_a_framework.md"
    listings = re.findall(r"^~~~(\w+)\n(.*?)^~~~$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    modules = [module.read_text(encoding="utf-8") for module in (PLUGIN / "convpolicy_mlx").glob("*.py")]
    code = [text for language, text in listings if language == "python"]
    assert len(code) == 8
    for text in code:
        assert any(text in module for module in modules), text
    words = [sys.executable, "-m", "convpolicy", "plugins"]
    lines = subprocess.run(words, capture_output=True, text=True, check=True).stdout.splitlines()
    heading, own = next(text for language, text in listings if language == "text").splitlines()
    assert heading.split() == lines[0].split()
    assert own.split() in [line.split() for line in lines]
