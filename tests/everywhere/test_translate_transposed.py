"""The code written for transposed convolutions is executed on the frameworks, with the weights of the source layer.

One generated grid of calls per pair of frameworks; all jobs of a framework run in one process of its own, see `translating`.
"""

from __future__ import annotations

import numpy as np
import pytest
from helpers.laws import laws_alike
from helpers.once import once
from helpers.translating import CUSTOMARY, Batch
from helpers.transposed_calls import CHANNELS, COUNT, LENGTHS, WIDE, WIDE_CALLS, WITHOUT_GROUPS, calls

import convpolicy as cp
from convpolicy import reference

pytestmark = pytest.mark.needs("torch", "mindspore", "keras", "tensorflow", "flax", "paddle")
FRAMEWORKS = ("torch", "mindspore", "keras", "flax", "paddle")
PAIRS = [(source, target) for source in FRAMEWORKS for target in FRAMEWORKS if source != target]
SIZES = (*CHANNELS, 4, 1)
TORCH = "nn.ConvTranspose1d(4, 8, 4, 2, padding=1, output_padding=1)"
KERAS = "layers.Conv1DTranspose(8, 4, 3, padding='same')"
PADDLE = "nn.Conv1DTranspose(4, 8, 4, 2, padding='SAME')"
CIRCULAR = "nnx.ConvTranspose(4, 8, (4,), 2, padding='CIRCULAR', rngs=nnx.Rngs(0))"
WRONG = {  # fault -> source, target, call, a piece of the code and what replaces it
    "the other side cut": ("keras", "torch", KERAS, "(0, -1)", "(-1, 0)"),
    "nothing cut": ("keras", "torch", KERAS, ", nn.ConstantPad1d((0, -1), 0.0)", ""),
    "output_padding dropped": ("keras", "torch", "layers.Conv1DTranspose(8, 2, 3)", ", output_padding=1", ""),
    "output_padding cut from the other side": ("torch", "mindspore", TORCH, "Crop1d(1, 0)", "Crop1d(0, 1)"),
    "padding taken as that of the input": ("torch", "flax", TORCH, "[(2, 3)]", "[(1, 1)]"),
    "SAME of the output": ("paddle", "torch", PADDLE, "(length - 1) % self.stride", "(length * self.stride - 1) % self.stride"),
    "the other half of SAME": ("paddle", "torch", PADDLE, "total // 2", "total - total // 2"),
    "the end not repeated": ("flax", "torch", CIRCULAR, "nn.CircularPad1d((1, 1))", "nn.ConstantPad1d((1, 1), 0.0)"),
    "a bias too many": ("mindspore", "torch", "nn.Conv1dTranspose(4, 8, 4, 2)", ", bias=False", ""),
}
NAMES = "k, u, c = 4, 2, 4\n"  # what the names of the calls below stand for
SPECIAL = {  # title -> source, target, call, options of the translation
    **{f"{target} with an activation": ("keras", target, "layers.Conv1DTranspose(8, 4, 3, padding='same', activation='relu')", {})
       for target in FRAMEWORKS if target != "keras"},
    **{f"HiFi-GAN's layer with names, for {target}": ("torch", target, "nn.ConvTranspose1d(c, 2 * c, k, u, padding=(k - u) // 2)", {})
       for target in FRAMEWORKS if target != "torch"},
    **{f"frozen SAME for {target}": ("paddle", target, PADDLE, {"length": 8}) for target in FRAMEWORKS if target != "paddle"},
    **{f"linen for {target}, transpose_kernel={flag}":
       ("flax", target, f"linen.ConvTranspose(8, (4,), (3,), padding=[(2, 1)], transpose_kernel={flag})", {})
       for target in ("torch", "keras") for flag in (False, True)},
}  # fmt: skip


def translated(code, source, target, **more):
    """The translation, or None and the reason why it is refused."""
    try:
        return cp.translate(code, source, target, in_channels=more.pop("in_channels", CHANNELS[0]), **more), ""
    except cp.ConvPolicyError as error:
        return None, str(error)


def where(framework, given):
    """The framework that runs a call: TensorFlow cannot run a dilated transposed convolution on the CPU."""
    return "keras-torch" if framework == "keras" and given["dilation"] > 1 else framework


class Ran:
    """Everything this file executes, in one batch."""

    def __init__(self, count):
        self.count = count
        self.batch, self.grid, self.laws, self.special = Batch(), {pair: [] for pair in PAIRS}, [], {}
        for source in FRAMEWORKS:
            targets = [target for first, target in PAIRS if first == source]
            for call, sizes, given in calls(source, count, seed=17):
                job = self.add(where(source, given), CUSTOMARY[source] + f"layer = {call}", sizes)
                for target in targets:
                    code, reason = translated(call, source, target)
                    own = None if code is None else self.add(where(target, given), code, sizes)
                    self.grid[source, target].append((call, code, reason, sizes, job, own, given))
            for call in WIDE_CALLS[source]:
                job = self.add(source, CUSTOMARY[source] + f"layer = {call}", WIDE, [9], initial=True)
                for target in targets:
                    code = cp.translate(call, source, target, in_channels=WIDE[0])
                    self.laws.append((call, code, job, self.add(target, code, WIDE, [9], initial=True)))
        for title, (source, target, call, old, new) in WRONG.items():
            right = cp.translate(call, source, target, in_channels=CHANNELS[0])
            assert right.count(old) == 1, (old, right)
            self.pair(f"wrong: {title}", source, target, call, right.replace(old, new))
        for title, (source, target, call, options) in SPECIAL.items():
            row = cp.translate_page(f"x = 1\nlayer = {call}", source, target, in_channels=CHANNELS[0], **options)[0]
            assert row.code is not None, (call, row.reason)
            self.pair(title, source, target, call, NAMES + row.code, [options["length"]] if options else LENGTHS)
        self.batch.run()

    def add(self, framework, code, sizes, lengths=LENGTHS, **more):
        return self.batch.add(framework, code, sizes, lengths, transposed=True, **more)

    def pair(self, title, source, target, call, code, lengths=LENGTHS):
        kernel = 2 if "(8, 2, 3)" in call else SIZES[2]
        sizes = (*CHANNELS, kernel, 1)
        job = self.add(source, f"{CUSTOMARY[source]}{NAMES}layer = {call}", sizes, lengths)
        self.special[title] = (sizes, job, self.add(target, code, sizes, lengths), lengths)

    def same(self, sizes, job, own, lengths=LENGTHS):
        """The judge: the same bias and shapes, and every output within rounding."""
        there, here = self.batch.result(job), self.batch.result(own)
        if "error" in there or "error" in here or bool(there["bias"]) != bool(here["bias"]):
            return False
        for number, length in enumerate(lengths):
            a, b = there[str(number)], here[str(number)]
            bound = self.batch.bound(sizes, length, reference.tolerance, transposed=True)
            if a.shape != b.shape or not a.size or not (np.abs(a - b) <= bound).all():
                return False
        return True


@pytest.fixture(scope="module")
def ran(request, tmp_path_factory):
    """Everything executed once; with ``--grid`` every call, else a third of them."""
    count = COUNT if request.config.getoption("--grid") else COUNT // 3
    return once("translated-transposed-calls", tmp_path_factory, lambda: Ran(count))


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
    assert computed >= ran.count // 3


@pytest.mark.parametrize("title", [*SPECIAL, *(f"wrong: {title}" for title in WRONG)])
def test_special_calls(ran, title):
    """Activations, names and frozen cuts compute the same; every wrong translation is rejected by the same judge."""
    assert ran.same(*ran.special[title]) == (not title.startswith("wrong")), [
        ran.batch.result(job).get("error") for job in ran.special[title][1:3]
    ]


def test_initial_values_are_of_the_same_law(ran):
    """Fans are those of the source's weight axes: weight and bias against the source framework's own draw."""
    for call, code, job, own in ran.laws:
        there, here = ran.batch.result(job), ran.batch.result(own)
        assert "error" not in there, (call, there)
        assert "error" not in here, (call, code, here)
        for role in ("weight", "bias"):
            assert f"# initial {role}:" not in code, (call, code)
            assert laws_alike(there[role], here[role]), (role, call, code)
    draw = np.random.default_rng(0)
    swapped = [draw.uniform(-1 / channels**0.5, 1 / channels**0.5, 30720) for channels in WIDE[:2]]
    assert not laws_alike(*swapped)
