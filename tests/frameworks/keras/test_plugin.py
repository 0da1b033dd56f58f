"""The distribution: its entry point, what importing it costs, what it claims, and its README."""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import tomlkit

import convpolicy as cp
from convpolicy.verification import matrix
from convpolicy.frameworks.keras.plugin import RUNS_ON
from convpolicy.frameworks.keras.depthwise import NAMES

PLUGIN = Path(__file__).parents[1]
PROJECT = tomlkit.parse((PLUGIN / "pyproject.toml").read_text(encoding="utf-8"))["project"]

UNSET = {name: value for name, value in os.environ.items() if name != "KERAS_BACKEND"}


def said(code, **environment):
    """What a process prints to stdout."""
    words = [sys.executable, "-c", code]
    return subprocess.run(words, capture_output=True, text=True, check=True, env=UNSET | environment).stdout


def test_the_entry_point_is_the_module():
    """pyproject's entry point is importable, and what it offers is registered without an error."""
    assert dict(PROJECT["entry-points"]["convpolicy"]) == {"keras": "convpolicy_keras"}
    assert importlib.import_module("convpolicy_keras")
    (report,) = [report for report in cp.plugins() if report.name == "keras"]
    assert report.errors == []
    assert report.version == PROJECT["version"]
    offered = {f"backend {name}" for name in RUNS_ON} | {f"policy {name}" for name in NAMES.values()}
    assert offered <= set(report.parts)
    for kind in (cp.backends(), cp.policies, cp.initializers()):
        for part in kind.values() if hasattr(kind, "values") else map(cp.policy, NAMES.values()):
            if part.provider == "keras":
                assert part.description


def test_keras_is_imported_when_a_layer_is_built():
    """Importing the plugin, asking for its backends, weights and plans imports neither Keras nor what it runs on."""
    code = """
import sys
import convpolicy as cp, convpolicy_keras
cp.backends()["keras-jax"].check_dtype("bfloat16"), cp.policy("keras-depthwise").initial(4, 8, 3, groups=4)
cp.policy("keras-depthwise-jax").plan(3, 2, length=9), cp.capture(cp.Conv1d(1, 1, 1))
print([name for name in ("keras", "tensorflow", "torch", "jax", "mindspore") if name in sys.modules])
"""
    assert said(code) == "[]\n"


def test_where_nobody_chose_the_backend_does():
    """Without KERAS_BACKEND the first layer imports Keras on its own framework, and on no other."""
    code = """
import os, sys
import convpolicy as cp
layer = cp.Conv1d(1, 1, 3, backend="keras-jax", seed=0)
import keras
print(keras.config.backend(), os.environ["KERAS_BACKEND"], "torch" in sys.modules)
"""
    assert said(code) == "jax jax False\n"


def test_another_keras_is_refused_before_it_is_imported():
    """KERAS_BACKEND says torch: a layer on JAX is refused with what to set, and Keras is not imported for it."""
    code = """
import sys
import convpolicy as cp
try:
    cp.Conv1d(1, 1, 3, backend="keras-jax")
except cp.InvalidValueError as error:
    print(error, "keras" in sys.modules)
"""
    assert said(code, KERAS_BACKEND="torch") == (
        "backend 'keras-jax' needs Keras to run on jax, but in this process it runs on torch; set KERAS_BACKEND=jax before Keras "
        "is imported, or choose backend='keras-torch'. False\n"
    )


def test_a_framework_that_is_not_installed():
    """One sentence that names it; KERAS_BACKEND stays unset, so that another backend can be built."""
    code = """
import os, sys
sys.modules["jax"] = None
import convpolicy as cp
try:
    cp.Conv1d(1, 1, 3, backend="keras-jax")
except cp.InvalidValueError as error:
    print(error, os.environ.get("KERAS_BACKEND"))
"""
    found = said(code)
    assert found == "backend 'keras-jax' needs jax, which is not installed; run: pip install 'convpolicy-keras[jax]'. None\n"


CLAIMING = [*RUNS_ON, *NAMES.values()]


@pytest.fixture(scope="module")
def verified():
    """What `verify` finds of each policy; two processes at a time."""
    with ThreadPoolExecutor(2) as threads:
        return dict(zip(CLAIMING, threads.map(lambda policy: cp.verify([policy]), CLAIMING)))


@pytest.mark.parametrize("policy", CLAIMING)
def test_every_claim_holds(policy, verified):
    """`verify` finds this backend by itself: every pad, every output and every initial weight of Keras's own layer exact."""
    found = verified[policy]
    backend = policy if policy in RUNS_ON else next(name for name, own in NAMES.items() if own == policy)
    verdicts = {claim.claim: claim.verdict for claim in found.claims}
    assert found.failed == ()
    exact = {claim for claim, verdict in verdicts.items() if verdict == "exact"}
    assert exact >= {claim for claim in verdicts if claim.startswith("padding")} | {
        "bias by default, names, axes", f"outputs of backend {backend!r}", "initial weights after seeding",
    }  # fmt: skip
    assert ("padding 'causal'" in exact) == (policy in RUNS_ON)
    assert verdicts["outputs of backend 'numpy'"] == verdicts["outputs against float64"] == "within tolerance"


def test_every_cell_of_the_matrix():
    """Two policies on the three backends: exact where it is the same Keras, within rounding elsewhere."""
    policies = ["tensorflow", "keras-depthwise-jax"]
    found = matrix.matrix(policies=policies, backends=list(RUNS_ON))
    assert found.failed == ()
    verdicts = {(cell.policy, cell.backend): cell.verdict for cell in found.cells}
    assert len(verdicts) == 6
    same = {("tensorflow", "keras"), ("keras-depthwise-jax", "keras-jax")}
    assert {cell for cell, verdict in verdicts.items() if verdict == "exact"} >= same
    assert set(verdicts.values()) == {"exact", "within tolerance"}


def test_the_readme_prints_what_it_says(tmp_path):
    """Its Python blocks run in order, in a process with an empty folder, and print the text below them."""
    blocks = re.findall(r"^```(\w+)\n(.*?)^```$", (PLUGIN / "README.md").read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    code = "\n".join(text for language, text in blocks if language == "python")
    shown = "".join(text for language, text in blocks if language == "text")
    words = [sys.executable, "-c", code]
    assert subprocess.run(words, cwd=tmp_path, env=UNSET, capture_output=True, text=True, check=True).stdout == shown != ""
