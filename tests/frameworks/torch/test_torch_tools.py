"""Torch's own tools on every kind of layer: what ``docs/guides/torch_tools.md`` says of each is what happens."""

from __future__ import annotations

import re

import pytest
from helpers.paths import ROOT
from helpers.torch_tools import FEATURES, KINDS, LACKING, REFUSED, TRANSPOSED, outcome

pytestmark = pytest.mark.needs("onnx", "onnxruntime", "onnxscript")

TRIED = [(group, name) for group, functions in FEATURES.items() for name in functions]
OF_TRANSPOSED = [tried for tried in TRIED if tried not in LACKING]


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
NO_FUSER = "did not find fuser method for: .*ConvTranspose1d"
LACKS = {  # feature -> what torch says of its own layer
    "per-sample gradients (ExpandedWeights)": "cannot handle function conv_transpose1d",
    "fuse_modules (convolution, normalisation, ReLU)": NO_FUSER,
    "eager, fused first": NO_FUSER,
    "eager, in training, fused first (fuse_modules_qat)": NO_FUSER,
}


def as_the_page_says(group, name, kind):
    """Require the outcome that the cell of the page promises."""
    cell, found = CELLS[name, kind.name], outcome(FEATURES[group][name], kind)
    if cell == "yes":
        assert found == "yes"
    else:
        note = ".*".join(map(re.escape, NOTES[cell.removeprefix("no, ")].split("…")))  # what differs from layer to layer
        assert re.fullmatch(REFUSED + note, found), found


@pytest.mark.grid(every=3)
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize(("group", "name"), TRIED, ids=[name for _group, name in TRIED])
def test_a_feature_does_what_the_page_says(group, name, kind):
    """It works as on torch's own layer, or is refused in the sentence of the page's note; the page has this row and column."""
    as_the_page_says(group, name, kind)


@pytest.mark.grid(every=3)
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", TRANSPOSED.values(), ids=TRANSPOSED)
@pytest.mark.parametrize(("group", "name"), OF_TRANSPOSED, ids=[name for _group, name in OF_TRANSPOSED])
def test_a_feature_of_transposed_layers_does_what_the_page_says(group, name, kind):
    """The same for transposed layers."""
    as_the_page_says(group, name, kind)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("group", "name"), sorted(LACKING), ids=[name for _group, name in sorted(LACKING)])
def test_what_torchs_own_transposed_layer_lacks(group, name):
    """What is not tried on transposed layers fails on a torch.nn.ConvTranspose1d itself."""
    kind = TRANSPOSED["exact, transposed"]
    assert type(kind.layer()) is kind.native
    with pytest.raises((RuntimeError, AssertionError, NotImplementedError), match=LACKS[name]):
        FEATURES[group][name](kind)


def test_the_page_is_complete():
    """At least 50 features and every kind of layer; nothing on the page that is not tried."""
    assert len(TRIED) >= 50
    assert set(CELLS) == {(name, kind) for _group, name in TRIED for kind in KINDS} | {
        (name, kind) for _group, name in OF_TRANSPOSED for kind in TRANSPOSED
    }
