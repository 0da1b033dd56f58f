"""The tables that docs/make_tables.py writes into the pages: they are today's, and they agree with the frameworks themselves."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys

import pytest
from helpers.paths import ROOT

PAGE = ROOT / "docs" / "understand" / "why_frameworks_differ.md"
CONV = {  # column of the table of arguments -> what has its signature
    "PyTorch": ("torch", "torch.nn.Conv1d"), "Keras, TensorFlow": ("keras", "keras.layers.Conv1D"),
    "Flax": ("flax", "flax.nnx.Conv"), "MindSpore": ("mindspore", "mindspore.nn.Conv1d"), "Paddle": ("paddle", "paddle.nn.Conv1D"),
}  # fmt: skip


def test_the_tables_are_todays():
    """`python docs/make_tables.py` would change no page; a page has marks."""
    words = [sys.executable, ROOT / "docs" / "make_tables.py", "--check"]
    result = subprocess.run(words, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert PAGE.read_text(encoding="utf-8").count("<!-- made by docs/make_tables.py: ") == 7


def test_each_part_of_a_page_is_written_by_itself(monkeypatch):
    """Marks with and without a name: what stands between two parts stays, and each gets what its own name means."""
    monkeypatch.syspath_prepend(ROOT / "docs")
    marks = importlib.import_module("marks")
    page = "a\n<!-- made by docs/x.py -->\nold\n<!-- to here -->\nb\n<!-- made by docs/x.py: two -->\nold\n<!-- to here -->\n"
    filled = marks.filled(page, "x.py", lambda name: f"({name})\n")
    assert filled == page.replace("old", "()", 1).replace("old", "(two)")
    assert marks.filled(page, "y.py", str.upper) == page


@pytest.mark.parametrize(
    "column", [pytest.param(name, marks=pytest.mark.needs(package)) for name, (package, _path) in CONV.items()]
)
def test_the_arguments_are_those_of_the_framework(column):
    """Every keyword of the table of arguments is in the signature of the framework's own layer; a dash has no such keyword."""
    text = PAGE.read_text(encoding="utf-8").split("<!-- made by docs/make_tables.py: keywords -->\n")[1].split("<!--")[0]
    head, _line, *rows = [[cell.strip() for cell in line.strip("|\n").split("|")] for line in text.splitlines()]
    shown = {name for row in rows for name in re.findall(r"`(\w+)`", row[head.index(column)])}
    code = f"import inspect, {CONV[column][0]}, flax.nnx" if column == "Flax" else f"import inspect, {CONV[column][0]}"
    code += f"; print(*inspect.signature({CONV[column][1]}.__init__).parameters)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    signature = set(result.stdout.split())
    assert len(shown) >= 9
    assert shown <= signature
    for word in ("padding_mode", "in_channels"):
        assert (word in shown) == (word in signature), word
