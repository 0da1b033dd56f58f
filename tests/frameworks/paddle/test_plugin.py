"""The plugin: what it registers, what importing it costs, and what it claims."""

from __future__ import annotations

import subprocess
import sys

from helpers.verifying import fewer_sizes

import convpolicy as cp


def test_the_room_is_built_in():
    """It is registered without an error, with a backend, a policy, a padding rule, a random stream and a native layer."""
    (report,) = [report for report in cp.plugins() if report.name == "paddle"]
    assert (report.errors, report.builtin) == ([], True)
    kinds = ("backend", "policy", "random stream", "native framework")
    assert {*(f"{kind} paddle" for kind in kinds), "padding rule paddle_same"} <= set(report.parts)
    assert cp.backends()["paddle"].description


def test_the_framework_is_imported_when_a_layer_is_built():
    """Importing it, and asking for its backend, does not import paddle."""
    code = """
import sys
import convpolicy as cp, convpolicy.frameworks.paddle.plugin
cp.backends()["paddle"].check_dtype("float64")
print("paddle" in sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


def test_every_claim_holds(request):
    """`verify` against the real layer finds this backend by itself, and all its outputs exact."""
    with fewer_sizes(request.config):
        found = cp.verify(["paddle"])
    verdicts = {claim.claim: claim.verdict for claim in found.claims}
    assert found.failed == ()
    assert verdicts["outputs of backend 'paddle'"] == "exact"
    assert verdicts["outputs of backend 'numpy'"] == "within tolerance"
    assert verdicts["initial weights after seeding"] == "exact"
