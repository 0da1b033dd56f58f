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
    assert dict(PROJECT["entry-points"]["convpolicy"]) == {"paddle": "convpolicy_paddle"}
    assert importlib.import_module("convpolicy_paddle")
    (report,) = [report for report in cp.plugins() if report.name == "paddle"]
    assert report.errors == []
    assert report.version == PROJECT["version"]
    assert report.parts == ["backend paddle"]
    assert cp.backends()["paddle"].description


def test_the_framework_is_imported_when_a_layer_is_built():
    """Importing the plugin, and asking for its backend, does not import paddle."""
    code = """
import sys
import convpolicy as cp, convpolicy_paddle
cp.backends()["paddle"].check_dtype("float64")
print("paddle" in sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


def test_every_claim_holds():
    """`verify` against the real layer finds this backend by itself, and all its outputs exact."""
    found = cp.verify(["paddle"])
    verdicts = {claim.claim: claim.verdict for claim in found.claims}
    assert found.failed == ()
    assert verdicts["outputs of backend 'paddle'"] == "exact"
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
