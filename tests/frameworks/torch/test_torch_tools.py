"""Torch's own tools on every kind of layer: what ``docs/guides/torch_tools.md`` says of each is what happens."""

from __future__ import annotations

import re

import pytest
from helpers.paths import ROOT
from helpers.torch_tools import FEATURES, KINDS, REFUSED, outcome

pytestmark = pytest.mark.needs("onnx", "onnxruntime", "onnxscript")

TRIED = [(group, name) for group, functions in FEATURES.items() for name in functions]


def page():
    """(feature, kind) -> the cell of the page, and number of a note -> its text."""
    text = (ROOT / "docs" / "guides" / "torch_tools.md").read_text(encoding="utf-8")
    cells, kinds = {}, []
    for line in text.splitlines():
        row = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| feature"):
            kinds = row[1:]
        elif line.startswith("| ") and kinds:
            cells |= {(row[0], kind): cell for kind, cell in zip(kinds, row[1:])}
    return cells, dict(re.findall(r"^(\d+)\. (.+)$", text, re.MULTILINE))


CELLS, NOTES = page()


@pytest.mark.grid(every=3)
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize(("group", "name"), TRIED, ids=[name for _group, name in TRIED])
def test_a_feature_does_what_the_page_says(group, name, kind):
    """It works as on torch's own layer, or is refused in the sentence of the page's note; the page has this row and column."""
    cell, found = CELLS[name, kind.name], outcome(FEATURES[group][name], kind)
    if cell == "yes":
        assert found == "yes"
    else:
        note = ".*".join(map(re.escape, NOTES[cell.removeprefix("no, ")].split("…")))  # what differs from layer to layer
        assert re.fullmatch(REFUSED + note, found), found


def test_the_page_is_complete():
    """At least 50 features and every kind of layer; nothing on the page that is not tried."""
    assert len(TRIED) >= 50
    assert set(CELLS) == {(name, kind) for _group, name in TRIED for kind in KINDS}
