"""The code written for transposed convolutions is executed on the frameworks, with the weights of the source layer.

One generated grid of calls per pair of frameworks; all jobs of a framework run in one process of its own, see `translating`.
"""

from __future__ import annotations

import numpy as np
import pytest
from helpers.transposed_calls import CHANNELS, COUNT, LENGTHS, WITHOUT_GROUPS, calls
from helpers.translating import CUSTOMARY, Batch

import convpolicy as cp
from convpolicy import reference

pytestmark = pytest.mark.needs("torch", "mindspore", "keras", "tensorflow", "flax", "paddle")
FRAMEWORKS = ("torch", "mindspore", "keras", "flax", "paddle")
import os
FRAMEWORKS = tuple(os.environ.get("FW", ",".join(FRAMEWORKS)).split(","))
PAIRS = [(source, target) for source in FRAMEWORKS for target in FRAMEWORKS if source != target]


def translated(code, source, target, **more):
    """The translation, or the reason why it is refused."""
    try:
        return cp.translate(code, source, target, in_channels=CHANNELS[0], **more), ""
    except cp.ConvPolicyError as error:
        return None, str(error)


def where(framework, given):
    """The framework that runs a call: TensorFlow cannot run a dilated transposed convolution on the CPU."""
    return "keras-torch" if framework == "keras" and given["dilation"] > 1 else framework


class Ran:
    """Everything this file executes, in one batch."""

    def __init__(self):
        self.batch, self.grid = Batch(), {pair: [] for pair in PAIRS}
        for source in FRAMEWORKS:
            for call, sizes, given in calls(source, COUNT, seed=17):
                job = self.batch.add(where(source, given), CUSTOMARY[source] + f"layer = {call}", sizes, LENGTHS, transposed=True)
                for target in (target for first, target in PAIRS if first == source):
                    code, reason = translated(call, source, target)
                    own = None if code is None else self.batch.add(where(target, given), code, sizes, LENGTHS, transposed=True)
                    self.grid[source, target].append((call, code, reason, sizes, job, own, given))
        self.batch.run()

    def same(self, sizes, job, own, lengths=LENGTHS):
        """The judge: the same bias and shapes, and every output within rounding."""
        there, here = self.batch.result(job), self.batch.result(own)
        if "error" in there or "error" in here or bool(there["bias"]) != bool(here["bias"]):
            return False
        for number, length in enumerate(lengths):
            a, b = there[str(number)], here[str(number)]
            bound = self.batch.bound(sizes, length, reference.tolerance, transposed=True)
            if a.shape != b.shape or not (np.abs(a - b) <= bound).all():
                return False
        return True


@pytest.fixture(scope="module")
def ran():
    """Everything executed once."""
    return Ran()


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_a_grid_of_calls(ran, source, target):
    """Each translation computes what the source layer does, at several lengths; what is refused, the source or target cannot do."""
    computed = 0
    for call, code, reason, sizes, job, own, given in ran.grid[source, target]:
        there = ran.batch.result(job)
        if code is None:
            lacking = target in WITHOUT_GROUPS and given["groups"] > 1
            strided = given["stride"] > 1 and given["dilation"] > 1 and target == "keras"
            assert lacking or strided or "error" in there, (call, reason)
        elif "error" not in there:
            assert ran.same(sizes, job, own), (call, code, ran.batch.result(own).get("error"))
            computed += 1
        else:
            print("SOURCE ERROR", call, there["error"])
    assert computed >= COUNT // 3
