"""The plugin: what it registers, what importing it costs, and what it claims."""

from __future__ import annotations

import subprocess
import sys

import pytest
from helpers.verifying import fewer_sizes

import convpolicy as cp
from convpolicy.verification.matrix import matrix

BACKENDS = ("flax", "flax-linen")


def test_the_room_is_built_in():
    """It is registered without an error, with two backends, policies, random streams and native layers."""
    (report,) = [report for report in cp.plugins() if report.name == "flax"]
    assert (report.errors, report.builtin) == ([], True)
    kinds = ("backend", "policy", "random stream", "native framework")
    assert {f"{kind} {name}" for kind in kinds for name in BACKENDS} <= set(report.parts)
    assert all(cp.backends()[name].description for name in BACKENDS)


def test_the_framework_is_imported_when_a_layer_is_built():
    """Importing it, and asking for its backends, imports neither flax nor jax."""
    code = """
import sys
import convpolicy as cp, convpolicy.frameworks.flax.plugin
cp.backends()["flax"].check_dtype("bfloat16"), cp.backends()["flax-linen"]
print([name for name in ("flax", "jax") if name in sys.modules])
"""
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


@pytest.mark.grid  # by default, everywhere/test_verify.py does this with all backends
def test_verify_finds_both_backends(request):
    """`verify` against the real ``flax.nnx.Conv`` finds both by itself, and all their outputs exact; every claim of the policy holds."""
    with fewer_sizes(request.config):
        found = cp.verify(["flax"])
    verdicts = {claim.claim: claim.verdict for claim in found.claims}
    assert found.failed == ()
    assert {verdicts[f"outputs of backend {name!r}"] for name in BACKENDS} == {"exact"}
    assert verdicts["outputs of backend 'numpy'"] == "within tolerance"
    assert verdicts["initial weights after seeding"] == "exact"


@pytest.mark.grid  # by default, everywhere/test_matrix_of_pages.py compares them beside all others
def test_the_cells_of_the_matrix():
    """Both backends compute what ``flax.linen.Conv`` does to the bit; no cell fails or is empty."""
    found = matrix(["flax-linen"], BACKENDS, every=29)
    assert [cell.verdict for cell in found.cells] == ["exact"] * 4
