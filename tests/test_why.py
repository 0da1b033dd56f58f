"""`why` names the cause that was planted, alone and in pairs, and its change really makes the outputs equal; it believes no label."""

from __future__ import annotations

import json
from itertools import combinations

import attrs
import numpy as np
import pytest

import convpolicy as cp
from convpolicy import reference
from convpolicy.random.float32 import rounded

LENGTH = 23
SIZES = {  # a layer to plant a cause in
    "plain": {"in_channels": 4, "out_channels": 6, "kernel_size": 4, "padding": (1, 2)},
    "strided": {"in_channels": 4, "out_channels": 6, "kernel_size": 5, "stride": 3, "padding": (2, 3)},
    "dilated": {"in_channels": 3, "out_channels": 3, "kernel_size": 4, "dilation": 3, "padding": (4, 5), "padding_mode": "reflect"},
    "grouped": {"in_channels": 6, "out_channels": 12, "kernel_size": 4, "groups": 3, "padding": (2, 1), "padding_mode": "circular"},
    "depthwise": {"in_channels": 5, "out_channels": 10, "kernel_size": 6, "groups": 5, "padding": (3, 2), "dtype": "float64"},
    "by rule": {"in_channels": 2, "out_channels": 4, "kernel_size": 4, "padding": "same_static", "padding_mode": "replicate"},
}


def layer(**words):
    """A NumPy layer of seeded weights, with a bias."""
    return cp.Conv1d(**{"seed": 5, "bias": True, "weight_init": "uniform", "bias_init": cp.Choice("normal", std=0.3)} | words)


def given(words, length=LENGTH, batch=2):
    """Random input for a layer, float64; a layer gets it in its own dtype."""
    return np.random.default_rng(7).standard_normal((batch, words["in_channels"], length))


def pads(words):
    """The pads of a layer."""
    plan = layer(**words).plan(LENGTH)
    return plan.left, plan.right


# -- causes: each takes the words of layer a and gives layer b ------------------------------------------------------------


def built(**changes):
    """Plant by other words; a function is given the words."""
    return lambda words: layer(**words | {name: value(words) if callable(value) else value for name, value in changes.items()})


def written(**changes):
    """Plant by writing into weight and bias."""

    def plant(words):
        planted = layer(**words)
        for name, change in changes.items():
            getattr(planted, name)[...] = change(getattr(planted, name).copy())
        return planted

    return plant


def narrowed(dtype):
    """Numbers that went through a narrower dtype."""
    return lambda values: rounded(values, dtype).astype(values.dtype)


def in_turns(weight):
    """Output channels of all groups in turns."""
    return weight.reshape(3, -1, *weight.shape[1:]).swapaxes(0, 1).reshape(weight.shape)


ANY = tuple(SIZES)
PLANTED = {  # name -> (aspect, sizes, plant)
    "odd side": ("odd side", ANY, built(padding=lambda words: pads(words)[::-1])),
    "one more left": ("total", ANY, built(padding=lambda words: (pads(words)[0] + 1, pads(words)[1]))),
    "one more right": ("total", ("plain", "dilated", "grouped", "depthwise", "by rule"),
                       built(padding=lambda words: (pads(words)[0], pads(words)[1] + 1))),
    "no padding": ("total", ("plain", "strided", "by rule"), built(padding=0)),
    "causal": ("split", ("plain", "dilated", "grouped", "depthwise", "by rule"), built(padding=lambda words: (sum(pads(words)), 0))),
    "phase": ("stride phase", ("strided",), built(padding=(4, 1))),
    "phase of a block": ("stride phase", ("strided",), built(padding=(5, 0))),
    "zeros": ("padding mode", ("dilated", "grouped", "by rule"), built(padding_mode="zeros")),
    "reflect": ("padding mode", ("plain", "strided", "grouped", "depthwise", "by rule"), built(padding_mode="reflect")),
    "symmetric": ("padding mode", ("plain", "strided", "dilated"), built(padding_mode="symmetric")),
    "circular": ("padding mode", ("plain", "dilated"), built(padding_mode="circular")),
    "a constant": ("padding mode", ("plain", "grouped", "depthwise"), built(padding_mode=cp.Choice("constant", value=-0.625))),
    "dilation": ("dilation", ("plain", "strided", "grouped"), built(dilation=2)),
    "no dilation": ("dilation", ("dilated",), built(dilation=1)),
    "stride": ("stride", ("plain", "dilated", "grouped"), built(stride=2)),
    "no stride": ("stride", ("strided",), built(stride=1)),
    "no bias": ("bias", ANY, built(bias=False)),
    "another bias": ("bias", ("plain", "dilated"), written(bias=lambda bias: bias + np.linspace(-1, 1, bias.size, dtype=bias.dtype))),
    "flip": ("flip", ANY, written(weight=lambda weight: weight[:, :, ::-1])),
    "in for out": ("layout", ("dilated",), written(weight=lambda weight: weight.transpose(1, 0, 2))),
    "in for kernel": ("layout", ("plain",), written(weight=lambda weight: weight.transpose(0, 2, 1))),
    "reshaped to WIO": ("layout", ("plain", "strided", "grouped"),
                        written(weight=lambda weight: weight.transpose(2, 1, 0).reshape(weight.shape))),
    "read as WIO": ("layout", ("plain", "strided", "grouped"),
                    written(weight=lambda weight: weight.reshape(weight.shape[::-1]).transpose(2, 1, 0))),
    "groups in turns": ("layout", ("grouped",), written(weight=in_turns)),
    "groups in turns, bias too": ("layout", ("grouped",), written(weight=in_turns, bias=in_turns)),
    "weight in float16": ("precision", ("plain", "grouped", "depthwise"), written(weight=narrowed("float16"))),
    "weight in bfloat16": ("precision", ("plain", "strided"), written(weight=narrowed("bfloat16"))),
    "both in float16": ("precision", ("plain", "dilated"), written(weight=narrowed("float16"), bias=narrowed("float16"))),
    "weight in float32": ("precision", ("depthwise",), written(weight=narrowed("float32"))),
    "weight times √2": ("scale", ("plain", "strided"), written(weight=lambda weight: weight * np.float32(1.414))),
    "everything halved": ("scale", ("plain", "grouped"), written(weight=lambda weight: weight / 2, bias=lambda bias: bias / 2)),
    "initial weights": ("initial weights", ANY, built(seed=6)),
}  # fmt: skip
CASES = [(name, sizes) for name, (_aspect, where, _plant) in PLANTED.items() for sizes in where]


def fits(changed, b, x):
    """Whether a changed capture, built anew, gives what b gives, within the bound of two computations of the same sums."""
    mine, theirs = changed.build("numpy"), b
    data = x.astype(mine._request.dtype)
    one, two = mine(data), theirs(data)
    plan, spec = mine.plan(x.shape[2]), changed.spec
    mode = mine._request.policy.part("padding_mode")[1]
    judged = reference.conv1d(
        data, changed.weight, changed.bias, left=plan.left, right=plan.right, mode=plan.mode, value=plan.value,
        overflow=mode.get("overflow", "error"), stride=spec.stride, dilation=spec.dilation, groups=spec.groups,
    )  # fmt: skip
    bound = reference.tolerance(mine._request.dtype, judged.terms, judged.magnitude)
    return one.shape == two.shape and (np.abs(one - judged.output) <= bound).all() and (np.abs(two - judged.output) <= 2 * bound).all()


def test_there_are_enough_cases():
    """At least 60 single causes and 15 pairs are planted."""
    assert len(CASES) >= 60
    assert len(PAIRS) >= 15


@pytest.mark.parametrize("opaque", [False, True], ids=["known", "opaque"])
@pytest.mark.parametrize(("name", "sizes"), CASES)
def test_the_planted_cause_is_found(name, sizes, opaque):
    """One cause, named as what was planted, whether b can be taken apart or only be called; its change makes the outputs equal."""
    aspect, _sizes, plant = PLANTED[name]
    words = SIZES[sizes]
    a, b, x = layer(**words), plant(words), given(words, batch=8 if aspect == "initial weights" else 2)
    found = cp.why(a, (lambda data: b(data.astype(a._request.dtype))) if opaque else b, x)
    assert (found.verdict, [cause.aspect for cause in found.causes]) == ("one cause", [aspect]), str(found)
    assert found.changes_on == "a"
    assert fits(found.changed, b, x)
    assert not cp.why(a, b, x).equal
    assert cp.why(found.changed, b, x).equal


PAIRS = list(combinations(range(6), 2))
