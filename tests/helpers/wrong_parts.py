"""Deliberately wrong parts of every kind but backends (see wrong.py), each with one fault; what rejects it and what it says.

Those of the kinds that only a whole framework brings have a file each.

A row holds the part, the check that fails, alone or first, and a pattern that its message has to match.
"""

from __future__ import annotations

import itertools

import numpy as np
from helpers import wrong_dialects, wrong_files, wrong_natives, wrong_streams

import convpolicy as cp

COUNTER = itertools.count()


def rule(pads, name="wrong", description="A wrong rule.", **more):
    return cp.PaddingRule(name, pads, description=description, **more)


def mode(source, name="wrong", description="A wrong mode.", **more):
    return cp.PaddingMode(name, source, description=description, **more)


def initializer(draw, name="wrong", description="A wrong initializer.", **more):
    return cp.Initializer(name, draw, description=description, **more)


def clip(positions, length):
    return np.clip(positions, 0, length - 1)


def two_sizes(kernel, stride):
    return 0, 0


def by_length(kernel, stride, dilation, length):
    return 0, (length or 0) % 2


def refuse(kernel, stride, dilation, length):
    raise ValueError("never")


def only_undilated(kernel, stride, dilation, length):
    return {1: (0, 0)}[dilation]


RULES = {
    "two words": (rule(lambda *_: (0, 0), name="two words"), "names", r"its name must be printable and without spaces, got 'two words'\."),
    "says nothing": (rule(lambda *_: (0, 0), description=""), "names", "its description must be one line, got ''; give its function a docstring"),
    "default not allowed": (
        rule(lambda *_, side: (0, 0), params={"side": cp.Param("middle", kind="name", allowed=("left", "right"))}),
        "names", "the default of its parameter 'side' is not an allowed value: .* must be one of left, right, got 'middle'",
    ),
    "other arguments": (rule(two_sizes), "signature", r"pads must take \(kernel, stride, dilation, length\), but has the signature \(kernel, stride\)"),
    "a parameter it does not take": (
        rule(lambda kernel, stride, dilation, length: (0, 0), params={"extra": cp.Param(1, kind="integer")}),
        "signature", r"pads must take \(kernel, stride, dilation, length, extra=\), but has the signature",
    ),
    "not whole": (rule(lambda kernel, stride, dilation, length: (kernel / 2, 0)), "pads", "left must be an integer, got 0.5 of type float"),
    "one number": (rule(lambda kernel, stride, dilation, length: kernel), "pads", r"must return \(left, right\), got 1\."),
    "fails with a dilation": (rule(only_undilated), "pads", "failed for kernel 1, stride 1, dilation 2, length None: KeyError: 2"),
    "length without needs_length": (
        rule(lambda kernel, stride, dilation, length: (0, length % 2)), "pads", "set needs_length=True if it reads the length",
    ),
    "refuses everything": (rule(refuse), "accepts", "it refuses every size, from kernel_size 1, stride 1, dilation 1, length 5 to"),
    "counts its calls": (rule(lambda *_: (0, next(COUNTER))), "repeatable", "it returns .* and then|fails and passes with the same arguments"),
    "static only when unseen": (
        rule(by_length), "static", r"declared static, but pads \(0, 1\) for kernel_size 1, stride 1, dilation 1, length 1 and \(0, 0\) without",
    ),
    "not causal": (
        rule(lambda kernel, stride, dilation, length: (0, kernel - 1), declares={"causal"}),
        "causal", "declared causal, but output 0 reads sample 1, after its own hop, which ends at 0, for kernel_size 2, stride 1, dilation 1, length 2;",
    ),
    "causal only without a dilation": (
        rule(lambda kernel, stride, dilation, length: (kernel - 1, 0), declares={"causal"}),
        "causal", "declared causal, but output 0 reads sample 1, after its own hop, which ends at 0, for kernel_size 2, stride 1, dilation 2, length 2;",
    ),
    "not length-preserving": (
        rule(lambda kernel, stride, dilation, length: (kernel // 2, kernel // 2), declares={"length-preserving"}),
        "length-preserving", r"declared length-preserving, but has 2 outputs instead of ceil\(length / stride\) = 1, for kernel_size 2, stride 1, dilation 1, length 1;.*pad less",
    ),
}  # fmt: skip


def crop(crops, name="wrong", description="A wrong crop rule.", **more):
    return cp.CropRule(name, crops, description=description, **more)


def cut_left(kernel, stride, dilation, length):
    return (kernel - 1) * dilation + 1 - stride, 0


CROPS = {
    "other arguments": (crop(two_sizes), "signature", r"crops must take \(kernel, stride, dilation, length\), but has the signature \(kernel, stride\)"),
    "not whole": (crop(lambda kernel, stride, dilation, length: (kernel / 2, 0)), "crops", "left must be an integer, got 0.5 of type float"),
    "refuses everything": (crop(refuse), "accepts", "it refuses every size, from kernel_size 1, stride 1, dilation 1, length 5 to"),
    "counts its calls": (crop(lambda *_: (0, next(COUNTER))), "repeatable", "it returns .* and then|fails and passes with the same arguments"),
    "static only when unseen": (crop(by_length), "static", r"declared static, but crops \(0, 1\) for kernel_size 1, stride 1, dilation 1, length 1 and \(0, 0\) without"),
    "cuts on the other side": (
        crop(cut_left, declares={"causal"}),
        "causal", "declared causal, but output 0 reads sample 1, after its own hop, which ends at 0, for kernel_size 2, stride 1, dilation 1, length 2;",
    ),
    "cuts nothing": (
        crop(lambda kernel, stride, dilation, length: (0, 0), declares={"length-multiplying"}),
        "length-multiplying", r"declared length-multiplying, but has 1 outputs instead of length \* stride = 2, for kernel_size 1, stride 2, dilation 1, length 1;.*cut less",
    ),
    "appends nothing": (
        crop(lambda kernel, stride, dilation, length: (0, max((kernel - 1) * dilation + 1 - stride, 0)), declares={"length-multiplying"}),
        "length-multiplying", r"declared length-multiplying, but has 1 outputs instead of length \* stride = 2, for kernel_size 1, stride 2, dilation 1, length 1;.*cut less",
    ),
}  # fmt: skip


def overwritten(positions, length):
    positions[:] = 0
    return positions


def random_indices(positions, length):
    return (positions + next(COUNTER)) % length


MODES = {
    "raises": (mode(lambda positions, length: [][length]), "indices", "it raises IndexError: list index out of range, for left 0, right 0, length 1, wrong"),
    "other arguments": (mode(lambda positions: positions), "signature", r"source must take \(positions, length\), but has"),
    "floats": (mode(lambda positions, length: clip(positions, length) / 1), "indices", "source must return integers, got dtype float64, for positions"),
    "a list": (mode(lambda positions, length: [0] * len(positions)), "indices", r"source must return an array, or a list of \(coefficient, indices\), got list"),
    "one for all": (mode(lambda positions, length: np.array([0])), "indices", r"source must return shape \(0,\), got \(1,\), for positions \[\], length 1"),
    "beyond the input": (mode(lambda positions, length: positions % (length + 1)), "indices", r"source must return indices in \[0, 1\) or -1 .*, got \[1\], for positions \[.?1\], length 1"),
    "good for one period": (
        mode(lambda positions, length: np.abs(positions), limit=lambda length: max(length - 1, 0)), "indices", r"source must return indices in \[0, 1\) or -1 .* for positions \[.?1\], length 1",
    ),
    "writes into its argument": (mode(overwritten), "indices", r"source must not write into positions, for positions \[.?1\], length 1"),
    "limit that stays": (
        mode(clip, limit=lambda length: 2), "limit", "limit must grow with the length, got 2 for length 1 and for 64: overflow='zero-extend' would extend",
    ),
    "limit that falls": (mode(clip, limit=lambda length: 100 - length), "limit", "limit must not decrease with the length, got 100 for length 0 and 99 for 1"),
    "limit that is none": (mode(clip, limit=lambda length: None), "limit", "limit must return an integer of 0 or more, got None for length 0"),
    "at random": (mode(random_indices), "repeatable", "source returns .* and then .* let it depend on its arguments only|fails and passes with the same arguments"),
    "counted from the first": (
        mode(lambda positions, length: (positions - positions.min(initial=0)) % length),
        "each-position", r"source returns 1 for position 2 among \[-1, 2\] and 0 alone, length 2|map every position independently",
    ),
    "not causal": (
        mode(cp.padding_modes()["reflect"].source, declares={"causal"}),
        "causal", "declared causal, but output 0 reads sample 1, after its own hop, which ends at 0, for kernel_size 2, stride 1, dilation 1, length 2;",
    ),
    "not linear": (
        mode(lambda positions, length: np.full_like(positions, -1), params={"value": cp.Param(1.0)}, declares={"linear"}),
        "linear", "declared linear, but an input of zeros results in 1 at output 0, for kernel_size 2, stride 1, dilation 1, length 1;",
    ),
}  # fmt: skip


def reseeds(draws, target):
    np.random.seed(0)
    return draws.normal(target.shape, 0.0, 1.0)


def never(draws, target):
    raise ValueError("never")


CACHED = {}


def cached(draws, target):
    return CACHED.setdefault(target.shape, np.zeros(target.shape))


INITIALIZERS = {
    "a parameter it does not take": (
        initializer(lambda draws, target: np.zeros(target.shape), params={"std": cp.Param(1.0)}),
        "signature", r"draw must take \(draws, target, std=\), but has the signature \(draws, target\)",
    ),
    "a distribution of other parameters": (
        initializer(lambda draws, target: np.zeros(target.shape), distribution=lambda std: None),
        "signature", r"distribution must take \(\), but has the signature \(std\)",
    ),
    "another shape": (initializer(lambda draws, target: np.zeros(target.shape[::-1])), "shapes", r"must return shape \(1, 1, 2\), got \(2, 1, 1\)|must return shape \(2, 1, 1\), got \(1, 1, 2\)"),
    "complex": (initializer(lambda draws, target: np.zeros(target.shape) * 1j), "shapes", "must return numbers, got dtype complex128"),
    "refuses everything": (initializer(never), "accepts", "it refuses every weight and every bias; raise"),
    "not finite": (
        initializer(lambda draws, target: np.full(target.shape, np.nan)),
        "finite", r"it draws a NaN or an infinity for a weight of shape \(1, 1, 1\), groups 1",
    ),
    "from NumPy's global state": (
        initializer(lambda draws, target: np.random.standard_normal(target.shape)),
        "repeatable", r"it changes NumPy's random state for a weight of shape \(1, 1, 1\), groups 1, wrong; draw from draws",
    ),
    "sets the seed of all": (initializer(reseeds), "repeatable", "it changes NumPy's random state for a weight"),
    "from nowhere": (
        initializer(lambda draws, target: np.random.default_rng().standard_normal(target.shape)),
        "repeatable", "it draws other numbers after the same seed|fails and passes with the same arguments",
    ),
    "one array for all": (initializer(cached), "fresh", r"it returns the same array twice for a weight of shape \(1, 1, 1\), groups 1, wrong, so"),
}  # fmt: skip


class Turned(cp.Layout):
    """Kernel positions the other way round."""

    def stored(self, weight, groups=1):
        return super().stored(weight, groups)[::-1]


class OneWay(cp.Layout):
    """The way back forgets the way there."""

    def to_oiw(self, weight):
        return super().to_oiw(weight)[:, :, ::-1]


class Unflipped(cp.Layout):
    """The kernel is flipped on the way back only."""

    def stored(self, weight, groups=1):
        return super().stored(weight, groups)[..., ::-1]


class Exchanged(cp.Layout):
    """Input and output channels exchanged."""

    def stored(self, weight, groups=1):
        return super().stored(weight.swapaxes(0, 1), groups)


LAYOUTS = {
    "one name for both": (cp.Layout("wrong", "WIO", weight="w", bias="w", description="Wrong."), "names", "weight and bias must have different names, got 'w'"),
    "kernel not flipped": (
        Unflipped("wrong", "IOW", transposed=True, flip=True, description="Wrong."), "values", r"stored must put element \(0, 0, 0\) at \(0, 0, 1\) of axes IOW, for a weight of shape \(1, 1, 2\)",
    ),
    "in and out exchanged": (
        Exchanged("wrong", "IOW", transposed=True, description="Wrong."), "axes", r"stored must return axes IOW of shape \(1, 2, 1\), got \(2, 1, 1\)|stored must return axes IOW of shape \(2, 1, 1\), got \(1, 2, 1\)",
    ),
    "turned round": (Turned("wrong", "WIO", description="Wrong."), "values", r"stored must put element \(0, 0, 0\) at \(0, 0, 0\) of axes WIO, for a weight of shape \(1, 1, 2\)"),
    "one way": (OneWay("wrong", "OIW", description="Wrong."), "values", r"to_oiw must be the inverse of from_oiw, got \[\[\[1, 0\]\]\], for a weight of shape \(1, 1, 2\)"),
}  # fmt: skip


def policy(**more):
    return cp.Policy("wrong", **{"description": "A wrong policy.", **more})


def half_of(**more):
    """A policy that is right but for its half."""
    return policy(transposed=cp.TransposedPolicy("wrong", **{"description": "Wrong.", **more}))


POLICIES = {
    "a rule that is not there": (policy(padding="cuasal"), "parts", "unknown padding rule 'cuasal'.* Did you mean 'causal'"),
    "data in place of weights": (policy(layout="NCW"), "parts", "layout must name a layout of weights, got 'NCW'"),
    "a word for nothing": (policy(padding_names={"same": "smae_upper"}), "words", "unknown padding rule 'smae_upper'.* Did you mean"),
    "a mode without its word": (policy(mode_names={"wrap": "circular"}), "words", "mode_names must use names of padding_names, got 'wrap'"),
    "no such versions": (policy(framework="x", source="s", measured="1", versions="two"), "names", "versions must be a specifier such as .*, got 'two'"),
    "measured elsewhere": (
        policy(framework="x", source="s", measured="3.0", versions="<3"), "names", "versions must include every measured version, got '<3' and measured '3.0'",
    ),
    "no source": (policy(framework="x", measured="1.0"), "names", "a policy that claims to be x must name its source"),
    "a crop rule that is not there": (
        half_of(padding="cuasal"), "transposed-parts", "unknown crop rule 'cuasal'.* Did you mean 'causal'",
    ),
    "a padding rule for a name of a crop rule": (
        half_of(padding_names={"same": "torch_same"}), "transposed-words", "unknown crop rule 'torch_same'",
    ),
    "a layout of convolutions": (
        half_of(layout="OIW"), "transposed-parts", "layout must name a layout of weights of transposed convolutions, got 'OIW'",
    ),
    "no source of its half": (
        half_of(framework="x", measured="1.0"), "transposed-names", "a policy that claims to be x must name its source",
    ),
    "no initial weights": (policy(weight_init="array"), "initial-weights", "it has no initial weights for any size; see"),
}  # fmt: skip

FORMS = {
    "a function of nothing": (cp.StreamingForm("a.Wrong", lambda: None, description="Wrong."), "signature", r"build must take \(module\)"),
}  # fmt: skip

WRONG = {
    f"{kind}, {fault}": row
    for kind, rows in {
        "rule": RULES, "crop": CROPS, "mode": MODES, "initializer": INITIALIZERS, "layout": LAYOUTS, "policy": POLICIES,
        "stream": wrong_streams.WRONG, "native": wrong_natives.WRONG, "dialect": wrong_dialects.WRONG, "format": wrong_files.WRONG,
        "form": FORMS,
    }.items()
    for fault, row in rows.items()
}  # fmt: skip
