"""The plugin: what it registers, what importing it costs, and what it claims."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from helpers.verifying import fewer_sizes

import convpolicy as cp
from convpolicy.frameworks.keras.depthwise import NAMES
from convpolicy.frameworks.keras.plugin import RUNS_ON
from convpolicy.verification import matrix

pytestmark = pytest.mark.needs("tensorflow", "torch", "jax")

UNSET = {name: value for name, value in os.environ.items() if name != "KERAS_BACKEND"}


def said(code, **environment):
    """What a process prints to stdout."""
    words = [sys.executable, "-c", code]
    return subprocess.run(words, capture_output=True, text=True, check=True, env=UNSET | environment).stdout


def test_the_room_is_built_in():
    """It is registered without an error, with what it offers for each framework that Keras runs on, and every part is described."""
    (report,) = [report for report in cp.plugins() if report.name == "keras"]
    assert (report.errors, report.builtin) == ([], True)
    offered = {f"backend {name}" for name in RUNS_ON} | {f"policy {name}" for name in NAMES.values()}
    assert offered <= set(report.parts)
    parts = [*cp.backends().values(), *cp.initializers().values(), *map(cp.policy, cp.policies())]
    assert all(part.description for part in parts if part.provider == "keras")


def test_keras_is_imported_when_a_layer_is_built():
    """Importing it, asking for its backends, weights and plans imports neither Keras nor what it runs on."""
    code = """
import sys
import convpolicy as cp, convpolicy.frameworks.keras.plugin
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
    assert found == "backend 'keras-jax' needs jax, which is not installed; run: pip install 'convpolicy[keras]' jax. None\n"


CLAIMING = [*RUNS_ON, *NAMES.values()]
EVERY = 3  # policy runs by default


@pytest.fixture(scope="module")
def verified(request):
    """What `verify` finds of each policy; two processes at a time."""
    policies = CLAIMING if request.config.getoption("--grid") else CLAIMING[::EVERY]
    with fewer_sizes(request.config), ThreadPoolExecutor(2) as threads:
        return dict(zip(policies, threads.map(lambda policy: cp.verify([policy]), policies)))


@pytest.mark.grid(every=EVERY)
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
    assert verdicts["outputs against float64"] == "within tolerance"
    assert verdicts["outputs of backend 'numpy'"] in ("within tolerance", "exact")  # the last on some processors


@pytest.mark.grid  # by default, everywhere/test_matrix_of_pages.py compares them beside all others
def test_every_cell_of_the_matrix():
    """Two policies on the three backends: exact where it is the same Keras, within rounding elsewhere."""
    policies = ["tensorflow", "keras-depthwise-jax"]
    found = matrix.matrix(policies=policies, backends=list(RUNS_ON), every=29)
    assert found.failed == ()
    verdicts = {(cell.policy, cell.backend): cell.verdict for cell in found.cells}
    assert len(verdicts) == 6
    same = {("tensorflow", "keras"), ("keras-depthwise-jax", "keras-jax")}
    assert {cell for cell, verdict in verdicts.items() if verdict == "exact"} >= same
    assert set(verdicts.values()) == {"exact", "within tolerance"}
