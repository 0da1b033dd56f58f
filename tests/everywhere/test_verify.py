"""`verify` on the real frameworks, and on claims that are wrong, missing or crash."""

from __future__ import annotations

import json
import sys

import pytest
from click.testing import CliRunner
from helpers.frameworks import params
from helpers.verifying import fewer_sizes

import convpolicy as cp
from convpolicy import verification
from convpolicy.cli import group as cli
from convpolicy.registry import current
from convpolicy.verification.claims import TRANSPOSED
from convpolicy.verification.native import MARK


@pytest.mark.grid(every=7)
@pytest.mark.parametrize("policy", params(current().parts("native framework")))
def test_every_claim_holds(policy, request):
    """Each policy against its installed framework, in a process of its own: every pad and every initial weight exact."""
    with fewer_sizes(request.config):
        found = cp.verify([policy])
    verdicts = {claim.claim: claim.verdict for claim in found.claims}
    assert found.failed == ()
    if policy == "mindspore@2.0":  # another version is installed; its stored measurements are in frameworks/test_golden.py
        assert verdicts == {"version": "not checked"}
        return
    native = current().get("native framework", policy)
    for layer in native.layers:
        start = "" if layer == "Conv1d" else TRANSPOSED
        own = {
            claim.removeprefix(start): verdict
            for claim, verdict in verdicts.items()
            if claim.startswith(TRANSPOSED) == bool(start)
        }
        exact = {claim for claim, verdict in own.items() if verdict == "exact"}
        assert exact >= {claim for claim in own if claim.startswith("padding")} | {"bias by default, names, axes"}
        assert own["initial weights after seeding"] == "exact"
        assert own["outputs against float64"] == "within tolerance"
        assert "not checked" not in own.values()
        assert start or {claim for claim in own if claim.startswith("padding '")} or policy == "paddle"


@pytest.mark.needs("torch", "mindspore")
def test_the_layers_of_a_backend_are_compared(request):
    """The framework's own backend gives every bit, another one stays within the tolerance."""
    with fewer_sizes(request.config):
        found = {claim.claim: claim.verdict for claim in cp.verify(["mindspore"], ["numpy", "torch", "mindspore"]).claims}
    assert found["outputs of backend 'mindspore'"] == "exact"
    assert found["outputs of backend 'numpy'"] == found["outputs of backend 'torch'"] == "within tolerance"


WRONG = """
import sys
import convpolicy.registry as registry
from convpolicy.verification import claims
registry.current().parts("policy")
parts = registry.current()._parts["policy"]
parts["torch"] = parts["torch"].evolve({change})
sys.argv = ["claims", "torch", "numpy", "--every=37"]
claims.main()
"""


@pytest.mark.needs("torch")
@pytest.mark.parametrize(
    ("change", "failing"),
    [
        ("bias=False", {"bias by default, names, axes"}),
        ("layout='WIO'", {"bias by default, names, axes"}),
        ("padding='causal'", {"padding by default", "outputs against float64"}),
        ("padding_names=(('same', 'torch-left'),)", {"padding 'same'"}),
        ("weight_init='he_uniform'", {"initial weights after seeding"}),
        ("random_stream='mindspore'", {"initial weights after seeding"}),
        ("bias_init='zeros'", {"initial weights after seeding"}),
    ],
)
def test_a_wrong_claim_differs(monkeypatch, change, failing):
    """A policy with a wrong default, layout, rule, law or stream: the rows that speak of it differ."""
    monkeypatch.setattr(verification, "_command", lambda *_: [sys.executable, "-c", WRONG.format(change=change)])
    found = cp.verify(["torch"])
    wrong = {claim.claim for claim in found.claims if claim.verdict in ("differs", "crashed")}
    assert wrong & failing


SEEDLESS = """
import sys
from convpolicy.frameworks.torch import native as torch
from convpolicy.verification import claims
del torch.seed
sys.argv = ["claims", "torch", "--every=37"]
claims.main()
"""


@pytest.mark.needs("torch")
def test_a_framework_that_draws_no_weights(monkeypatch):
    """A native without ``seed``: the row of initial weights says so, and the others stand."""
    monkeypatch.setattr(verification, "_command", lambda *_: [sys.executable, "-c", SEEDLESS])
    found = {claim.claim: (claim.verdict, claim.detail) for claim in cp.verify(["torch"]).claims}
    assert found["initial weights after seeding"] == ("not checked", "the framework draws none")
    assert found["padding by default"][0] == "exact"


@pytest.mark.needs("mindspore")
def test_a_crash_is_a_row_and_not_the_end(monkeypatch):
    """A process that dies half-way gives its rows and one that says so; the next policy is measured; the status is 1."""
    die = f'import os; print({MARK!r} + \'{{"version": "9"}}\', flush=True); os.abort()'
    commands = {"torch": [sys.executable, "-c", die]}
    real = verification._command
    monkeypatch.setattr(verification, "_command", lambda name, backends: commands.get(name) or real(name, backends))
    found = cp.verify(["torch", "mindspore@2.0"])
    assert [(c.policy, c.version, c.verdict) for c in found.claims] == [
        ("torch", "9", "crashed"), ("mindspore@2.0", found.claims[1].version, "not checked"),
    ]  # fmt: skip
    assert CliRunner().invoke(cli.build(), ["verify", "torch"]).exit_code == 1


def test_a_missing_framework_is_a_row(monkeypatch):
    """What is not installed is said, and is no failure."""
    code = "import sys; sys.modules['paddle'] = None; sys.argv = ['claims', 'paddle']; from convpolicy.verification import claims; claims.main()"
    code = code.replace("from convpolicy", "import importlib.util as u; u.find_spec = lambda n: None\nfrom convpolicy")
    monkeypatch.setattr(verification, "_command", lambda *_: [sys.executable, "-c", code])
    (claim,) = cp.verify(["paddle"]).claims
    assert (claim.verdict, claim.detail) == ("not installed", "paddle")


@pytest.mark.needs("mindspore")
def test_the_command():
    """``convpolicy verify``: a table, the same as JSON, exit status 0; unknown policies are refused with status 2."""
    runner = CliRunner()
    table = runner.invoke(cli.build(), ["verify", "mindspore@2.0"])
    assert table.exit_code == 0
    assert "not checked" in table.stdout
    data = json.loads(runner.invoke(cli.build(), ["verify", "mindspore@2.0", "--json"]).stdout)
    assert (data["failed"], data["claims"][0]["policy"]) == (0, "mindspore@2.0")
    assert runner.invoke(cli.build(), ["verify", "torhc"]).exit_code == 2


def test_who_claims_nothing_cannot_be_verified():
    """A policy of one's own has no framework to run."""
    with pytest.raises(ValueError, match="policies must be policies of a framework, got 'mine'"):
        cp.verify([cp.Policy("mine")])
    with pytest.raises(LookupError, match=r"unknown backend .nmpy.*numpy"):
        cp.verify(["torch"], ["nmpy"])
