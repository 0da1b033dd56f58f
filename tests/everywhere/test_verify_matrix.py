"""`convpolicy verify --matrix`: what its cells say of right layers, of wrong ones, of crashes and of frameworks that are not here."""

from __future__ import annotations

import json
import sys

import pytest
from click.testing import CliRunner

from convpolicy.cli import group as cli
from convpolicy.verification import matrix
from convpolicy.verification.native import MARK

pytestmark = pytest.mark.needs("torch")


@pytest.fixture(scope="module")
def measured():
    """Two policies on two backends."""
    cells = matrix.matrix(["torch", "mindspore@2.0"], ["numpy", "torch"], every=7).cells
    return {(cell.policy, cell.backend): cell for cell in cells if cell.layer == "Conv1d"}


def test_a_framework_on_its_own_backend_is_exact(measured):
    """Every bit there, rounding elsewhere, with the largest error; a version that is not installed is not checked."""
    assert measured["torch", "torch"].verdict == str(measured["torch", "torch"]) == "exact"
    numpy = measured["torch", "numpy"]
    assert numpy.verdict == "within tolerance"
    assert 0 < numpy.error < 1e-5
    assert str(numpy) == f"{numpy.error:.1e}"
    assert {measured["mindspore@2.0", backend].verdict for backend in ("numpy", "torch")} == {"not checked"}


FLIPPED = """
import sys
from convpolicy.frameworks.numpy import layer as numpy_layer
right = numpy_layer.correlate
numpy_layer.correlate = lambda padded, weight, *rest: right(padded, weight[..., ::-1].copy(), *rest)
from convpolicy.verification import cells
sys.argv = ["cells", *sys.argv[1:]]
cells.main()
"""
DIES = f"""
for layer in ("Conv1d", "ConvTranspose1d"):
    print({MARK!r} + '{{"layer": "' + layer + '", "policy": "torch", "verdict": "exact", "error": 0.0, "cases": 1}}', flush=True)
raise SystemExit(3)
"""


@pytest.mark.parametrize(("code", "verdicts"), [(FLIPPED, ["differs"]), (DIES, ["exact"]), ("raise SystemExit(4)", ["crashed"])])
def test_a_wrong_or_crashing_backend_is_a_failing_cell(monkeypatch, code, verdicts):
    """A flipped kernel differs, a process that dies fills what it did not reach with its exit status; the status is 1 then."""
    real = matrix._command

    def command(what, name, folder):
        words = real(what, name, folder)
        return [sys.executable, "-c", code, *words[3:]] if (what, name) == ("computed", "numpy") else words

    monkeypatch.setattr(matrix, "_command", command)
    result = CliRunner().invoke(cli.build(), ["verify", "--matrix", "torch", "--backend", "numpy", "--json"])
    cells = [cell for cell in json.loads(result.stdout)["cells"] if cell["layer"] == "Conv1d"]
    assert [cell["verdict"] for cell in cells] == verdicts
    assert result.exit_code == (verdicts != ["exact"])
    if verdicts == ["crashed"]:
        assert cells[0]["detail"].startswith("exit status 4")


def test_a_missing_framework_is_not_a_failure(monkeypatch):
    """Without the framework its row says so."""
    code = "raise ModuleNotFoundError(\"No module named 'torch'\", name='torch')"
    monkeypatch.setattr(matrix, "_command", lambda *_: [sys.executable, "-c", code])
    cells = matrix.matrix(["torch"], ["numpy"]).cells
    assert {cell.verdict for cell in cells} == {"not installed"}


def test_unknown_names_are_refused():
    """An unknown policy or backend, before anything runs."""
    with pytest.raises(LookupError, match=r"unknown native framework 'trch'.*Did you mean 'torch'"):
        matrix.matrix(["trch"])
    with pytest.raises(LookupError, match="unknown backend 'nmpy'"):
        matrix.matrix(["torch"], ["nmpy"])
