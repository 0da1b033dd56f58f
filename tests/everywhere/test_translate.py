"""Every emitted snippet is executed, with nothing but its own imports, against the source layer with the same weights.

One generated grid of calls per pair of frameworks; all jobs of a framework run in one process of its own, see `translating`.
"""

from __future__ import annotations

import re

import numpy as np
import pytest
from helpers.laws import laws_alike
from helpers.once import once
from helpers.paths import ROOT
from helpers.translating import CUSTOMARY, Batch
from helpers.translation_calls import BEYOND, CALLS, CHANNELS, CLASSES, INITIALIZERS, LAWS, MAIN, PAIRS, WIDE_CALL, WITHOUT, calls

import convpolicy as cp
from convpolicy import reference

pytestmark = pytest.mark.needs("torch", "mindspore", "keras", "tensorflow", "flax", "paddle")


def translated(code, source, target, **more):
    """The translation, or None where it is refused."""
    try:
        return cp.translate(code, source, target, in_channels=more.pop("in_channels", CHANNELS[0]), **more)
    except cp.ConvPolicyError:
        return None


class Ran:
    """Everything this file executes, in one batch."""

    def __init__(self, counts):
        self.counts = counts
        self.batch, self.grid, self.laws = Batch(), {pair: [] for pair in PAIRS}, []
        for source in CLASSES:
            targets = [target for s, target in PAIRS if s == source]
            for number, (call, sizes, given) in enumerate(calls(source, counts[2 if source in MAIN else 1], seed=5)):
                effective = max((given["kernel_size"] - 1) * given["dilation"] + 1, 3)  # as wide as a circular pad
                lengths = [effective + more for more in BEYOND[: 3 if source in MAIN and number < counts[1] else 2]]
                job = self.batch.add(source, CUSTOMARY[source] + f"layer = {call}", sizes, lengths)
                for target in targets:
                    if number < counts[len(MAIN & {source, target})]:
                        code = translated(call, source, target)
                        own = None if code is None else self.batch.add(target, code, sizes, lengths)
                        self.grid[source, target].append((call, code, sizes, lengths, job, own, given))
            for words in INITIALIZERS[source]:
                call = WIDE_CALL[source].format(words)
                job = self.batch.add(source, CUSTOMARY[source] + f"layer = {call}", LAWS, [9], initial=True)
                for target in targets:
                    code = cp.translate(call, source, target, in_channels=64)
                    self.laws.append((source, target, call, code, job, self.batch.add(target, code, LAWS, [9], initial=True)))
        self.special = {}
        for title, (source, target, call, sizes, lengths, code) in SPECIAL.items():
            jobs = [
                self.batch.add(source, CUSTOMARY[source] + f"layer = {call}", sizes, lengths),
                self.batch.add(target, code, sizes, lengths),
            ]
            self.special[title] = (sizes, lengths, *jobs)
        self.batch.run()

    def same(self, sizes, lengths, job, own):
        """The judge: the same bias and shapes, and every output within rounding."""
        there, here = self.batch.result(job), self.batch.result(own)
        if "error" in there or "error" in here or bool(there["bias"]) != bool(here["bias"]):
            return False
        pairs = [
            (there[str(n)], here[str(n)], self.batch.bound(sizes, length, reference.tolerance))
            for n, length in enumerate(lengths)
        ]
        return all(a.shape == b.shape and a.size and bool((np.abs(a - b) <= bound).all()) for a, b, bound in pairs)


def _wrong(call, source, target, sizes, lengths, old, new):
    right = cp.translate(call, source, target, in_channels=sizes[0])
    assert right.count(old) == 1, (old, right)
    return source, target, call, sizes, lengths, right.replace(old, new)


_S = (4, 8, 4, 1)
_L = (9, 10, 11)
SPECIAL = {
    "wrong: odd element left": _wrong("nn.Conv1d(4, 8, 4, padding='same', padding_mode='circular')", "torch", "mindspore", _S, _L, "(1, 2)", "(2, 1)"),
    "wrong: stride ignored": _wrong("nn.Conv1d(4, 8, 4, stride=2)", "torch", "mindspore", _S, _L, "stride=2,", ""),
    "wrong: dilation ignored": _wrong("nn.Conv1d(4, 8, 4, dilation=2)", "torch", "mindspore", _S, _L, "dilation=2,", ""),
    "wrong: bias default left out": _wrong("nn.Conv1d(4, 8, 4)", "torch", "mindspore", _S, _L, "has_bias=True", "has_bias=False"),
    "wrong: bias added": _wrong("nn.Conv1d(4, 8, 4)", "mindspore", "torch", _S, _L, ", bias=False", ""),
    "wrong: pad_mode default left out": _wrong("nn.Conv1d(4, 8, 4)", "torch", "mindspore", _S, _L, 'pad_mode="valid",', ""),
    "wrong: mode dropped": _wrong("nn.Conv1d(4, 8, 4, padding=2, padding_mode='reflect')", "torch", "mindspore", _S, _L, "nn.ReflectionPad1d((2, 2))", "nn.ConstantPad1d((2, 2), 0.0)"),
    "wrong: groups dropped": _wrong("nn.Conv1d(4, 8, 4, groups=2)", "torch", "mindspore", (4, 8, 4, 2), _L, "group=2,", ""),
    "wrong: half of the same formula": _wrong("nn.Conv1d(4, 8, 4, stride=3)", "mindspore", "torch", _S, _L, "left = total // 2", "left = total - total // 2"),
    "wrong: same formula without the length": _wrong("nn.Conv1d(4, 8, 4, stride=3)", "mindspore", "torch", _S, _L, "(x.shape[-1] - 1) % self.stride", "0"),
    "wrong: Paddle's dilation kept": _wrong("nn.Conv1D(4, 8, 4, padding='SAME', dilation=2)", "paddle", "torch", _S, _L, "4, padding", "4, dilation=2, padding"),
    "wrong: activation dropped": _wrong("layers.Conv1D(8, 4, activation='relu')", "keras", "torch", _S, _L, ", nn.ReLU()", ""),
}  # fmt: skip
for _name in ("relu", "relu6", "sigmoid", "tanh", "elu", "selu", "silu", "swish", "gelu", "leaky_relu", "softmax", "softplus"):
    for _target in ("torch", "mindspore", "flax", "paddle"):
        _call = f"layers.Conv1D(8, 4, activation={_name!r}, padding='causal')"
        if (_name, _target) == ("tanh", "mindspore"):
            SPECIAL["wrong: MindSpore's tanh"] = ("keras", _target, _call, _S, _L, translated(_call, "keras", _target))
        elif (_name, _target) != ("softplus", "mindspore"):  # which it has not
            SPECIAL[f"{_name} for {_target}"] = ("keras", _target, _call, _S, _L, translated(_call, "keras", _target))
for _source, _target, _call in (
    ("mindspore", "torch", "nn.Conv1d(4, 8, 4, stride=3)"), ("keras", "torch", "layers.Conv1D(8, 4, strides=2, padding='same')"),
    ("flax", "mindspore", "nnx.Conv(4, 8, (4,), strides=2, padding='SAME_LOWER', rngs=nnx.Rngs(0))"),
    ("mindspore", "paddle", "nn.Conv1d(4, 8, 4, stride=3, dilation=2)"),
):  # fmt: skip
    SPECIAL[f"frozen: {_call}"] = (_source, _target, _call, _S, (11,), translated(_call, _source, _target, length=11))


for _source, _target, _call in (
    ("torch", "mindspore", "nn.Conv1d(dim, 2 * dim, k, padding='same', bias=b)"), ("torch", "flax", "nn.Conv1d(dim, 8, k, padding=p, bias=b)"),
    ("torch", "keras", "nn.Conv1d(dim, 8, k, s, p, bias=b)"), ("torch", "paddle", "nn.Conv1d(dim, 8, k, padding=k // 2, bias=b)"),
    ("mindspore", "torch", "nn.Conv1d(dim, 8, k, has_bias=b, dilation=s)"), ("paddle", "torch", "nn.Conv1D(dim, 8, k, padding=p)"),
):  # fmt: skip
    _names = "dim, k, p, b, s = 4, 4, 2, True, 1\n"
    _row = cp.translate_page(_call, _source, _target)[0]
    SPECIAL[f"names: {_call} for {_target}"] = (
        _source,
        _target,
        "None\n" + _names + f"layer = {_call}",
        _S,
        _L,
        _names + _row.code.replace("layer1", "layer"),
    )
for _words in ("", ", padding=1, padding_mode='reflect'", ", 1, 'same', bias=False", ", 2, (2,), 2, padding_mode='circular'"):
    # mint has no convolution on the CPU; its arguments mean what torch's do, which its source says
    SPECIAL[f"mint{_words}"] = (
        "torch",
        "torch",
        f"nn.Conv1d(4, 8, 4{_words})",
        _S,
        _L,
        translated(f"mint.nn.Conv1d(4, 8, 4{_words})", "mindspore", "torch"),
    )
_page = (ROOT / "docs" / "guides" / "translate.md").read_text(encoding="utf-8").split('page = """\n')[1].split('"""')[0]
for _row in cp.translate_page(_page, "keras", "torch"):
    if _row.code is None:  # another layer
        continue
    _sizes = (*map(int, re.search(r"nn.Conv1d\((\d+), (\d+), (\d+)", _row.code).groups()), 1)
    SPECIAL[f"the page of docs/guides/translate.md, line {_row.line}"] = (
        "keras",
        "torch",
        _row.original,
        _sizes,
        (40, 41, 42),
        _row.code.replace(_row.snippet.name, "layer"),
    )


@pytest.fixture(scope="module")
def ran(request, tmp_path_factory):
    """Everything executed once; with ``--grid`` every call, else a few of each pair of frameworks."""
    counts = CALLS if request.config.getoption("--grid") else {0: CALLS[0] // 3, 1: CALLS[1] // 3, 2: CALLS[2] // 8}
    return once("translated-calls", tmp_path_factory, lambda: Ran(counts))


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_a_grid_of_calls(ran, source, target):
    """Each translation computes what the source layer does, at several lengths; what is refused, the source or target cannot do."""
    computed = 0
    for call, code, sizes, lengths, job, own, given in ran.grid[source, target]:
        there = ran.batch.result(job)
        if code is None:
            strided = given["stride"] > 1 and given["dilation"] > 1 and target == "keras"
            assert strided or "error" in there, call
        elif "error" in there:  # a reflection wider than the shortest input
            assert "pad" in str(there["error"]).lower(), (call, there["error"])
        else:
            assert ran.same(sizes, lengths, job, own), (call, code, ran.batch.result(own).get("error"))
            computed += 1
    assert computed >= ran.counts[len(MAIN & {source, target})] // 3


@pytest.mark.parametrize("title", SPECIAL)
def test_special_calls(ran, title):
    """Activations and pads frozen for a length compute the same; every wrong translation is rejected by the same judge."""
    assert ran.same(*ran.special[title]) == (not title.startswith("wrong")), [
        ran.batch.result(j).get("error") for j in ran.special[title][2:]
    ]


def test_mindspores_tanh_is_as_far_off_as_the_comment_says(ran):
    """Beyond rounding, as the judge above says, and within 1.1e-4 of Keras's, which the emitted comment states."""
    sizes, lengths, job, own = ran.special["wrong: MindSpore's tanh"]
    off = [np.abs(ran.batch.result(job)[str(n)] - ran.batch.result(own)[str(n)]).max() for n in range(len(lengths))]
    bounds = [ran.batch.bound(sizes, length, reference.tolerance).max() for length in lengths]
    assert all(distance <= 1.1e-4 + bound for distance, bound in zip(off, bounds))
    assert "errors up to 1.1e-4" in translated("layers.Conv1D(8, 4, activation='tanh')", "keras", "mindspore")


def test_initial_values_are_of_the_same_law(ran):
    """Weight and bias of each emitted initializer against the source framework's own draw; three wrong laws are told apart."""
    for source, target, call, code, job, own in ran.laws:
        there, here = ran.batch.result(job), ran.batch.result(own)
        assert "error" not in there, (call, there)
        assert "error" not in here, (call, code, here)
        if "Dirac" in call:
            assert ("initial weight: dirac" in code) == ((source, target) in WITHOUT)
            assert (source, target) in WITHOUT or np.array_equal(there["weight"], here["weight"]), (call, code)
            continue
        for role in ("weight", "bias"):
            if f"# initial {role}:" not in code:
                assert laws_alike(there[role], here[role]), (role, call, code)
        if "no counterpart" in code:
            assert target == "mindspore" or "TruncatedNormal(" in call, (call, code)
    draw = np.random.default_rng(0)
    sample = draw.normal(0, 0.05, 30720)
    assert laws_alike(sample, draw.normal(0, 0.05, 30720))
    for wrong in (
        draw.normal(0, 0.055, 30720),
        draw.normal(0.005, 0.05, 30720),
        draw.uniform(-0.0866, 0.0866, 30720),
        np.zeros(30720),
    ):
        assert not laws_alike(sample, wrong)
