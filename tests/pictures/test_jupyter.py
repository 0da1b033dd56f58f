"""Objects on the last line of a cell, in a real Jupyter kernel: a picture or a table, and a short line of text."""

from __future__ import annotations

import nbclient
import nbformat
import pytest
from helpers.paths import EXAMPLES

pytestmark = pytest.mark.needs("nbclient", "nbformat", "ipykernel")

MOST = 700  # characters of text in a cell
TOUR = EXAMPLES / "tour.ipynb"
REPORTS = {  # what each reports -> the cell that shows it; the first cell prepares them
    "": """
        import convpolicy as cp, numpy as np, torch
        from safetensors.numpy import save_file
        Own = type("OwnConv1d", (torch.nn.Conv1d,), {"forward": lambda self, x: x})
        model = torch.nn.Sequential(torch.nn.Conv1d(4, 6, 4), torch.nn.ReLU(), Own(6, 2, 3))
        save_file({name: tensor.numpy() for name, tensor in model.state_dict().items()}, "model.safetensors")
        """,
    "PortedModel(1 layer ported, 0 with a note, 1 refused)": 'cp.port_model(model, to="numpy")',
    "Conversion('model.npz': 1 weights": 'cp.convert("model.safetensors", "model.npz", source="torch", target="keras", layers=model)',
    "Tuning(": "cp.tune(model, torch.ones(1, 4, 16), rounds=3, verbose=False)",
    "Verification(": 'cp.verify(["paddle"], ["numpy"])',
}


def executed(notebook, folder):
    """Run a notebook in a folder, in a kernel of its own; return the outputs of its code cells."""
    client = nbclient.NotebookClient(notebook, timeout=300, record_timing=False, resources={"metadata": {"path": str(folder)}})
    client.execute()
    return [cell.outputs for cell in notebook.cells if cell.cell_type == "code"]


def shown(outputs):
    """The text and the HTML of a cell that shows one object; its HTML contains a picture or a table, its text is short."""
    assert [output.output_type for output in outputs] == ["execute_result"], outputs
    text, html = outputs[0].data["text/plain"], outputs[0].data["text/html"]
    assert "<svg" in html or "<table" in html, html
    assert len(text) < MOST
    return text, html


@pytest.fixture(scope="module")
def tour():
    """The outputs of the tour's code cells: as stored, and executed anew."""
    notebook = nbformat.read(TOUR, as_version=4)
    nbformat.validate(notebook)
    stored = [cell.outputs for cell in notebook.cells if cell.cell_type == "code"]
    return stored, executed(nbformat.read(TOUR, as_version=4), EXAMPLES)


def test_the_objects_of_the_tour_show_themselves(tour):
    """A policy, plans, a comparison, a list of parts, a capture, a diagnosis and a chain; of plans and comparisons it is a picture."""
    results = [shown(outputs) for outputs in tour[1] if "text/html" in outputs[0].data]
    kinds = [text.partition("(")[0] for text, _html in results]
    assert [kind.partition(":")[0] for kind in kinds] == [
        "Policy", "Plan", "Plan", "Comparison", "11 parts", "Capture", "Diagnosis", "Chain",
    ]  # fmt: skip
    assert all("<svg" in html for kind, (_text, html) in zip(kinds, results) if kind in ("Plan", "Comparison"))


def test_the_tour_stores_what_it_shows_today(tour):
    """The stored outputs, which code hosts show, are those of a new run; the port is as exact as the text says."""
    stored, new = tour
    assert stored == new
    assert new[-3][0].data["text/plain"] == "0.0"


@pytest.mark.needs("torch", "paddle")
def test_reports_show_themselves(tmp_path):
    """What port_model, convert, tune and verify return is a table."""
    cells = [nbformat.v4.new_code_cell("\n".join(line.strip() for line in code.splitlines())) for code in REPORTS.values()]
    results = executed(nbformat.v4.new_notebook(cells=cells), tmp_path)[1:]
    for start, outputs in zip(list(REPORTS)[1:], results):
        text, html = shown(outputs)
        assert text.startswith(start)
        assert "<table" in html
