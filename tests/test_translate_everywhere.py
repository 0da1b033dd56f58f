"""Every emitted snippet is executed, with nothing but its own imports, against the source layer with the same weights.

One generated grid of calls per pair of frameworks; all jobs of a framework run in one process of its own, see `translating`.
"""

from __future__ import annotations

import itertools
import random

import numpy as np
import pytest
from translating import CUSTOMARY, Batch

import convpolicy as cp
from convpolicy import reference

CHANNELS = (4, 8)
LAWS = (64, 96, 5, 1)  # sizes of the layers whose initial values are looked at: 30 720 weights
BEYOND = (0, 1, 6)  # input lengths, counted from the effective kernel on
MAIN = {"torch", "mindspore"}
CALLS = {2: 240, 1: 48, 0: 24}  # calls of a pair, by how many of MAIN are in it
COMMON = {"kernel_size": (1, 2, 3, 4, 5), "stride": (1, 2, 3), "dilation": (1, 2, 3), "groups": (1, 2, 4), "bias": (True, False)}
NAMES = {
    "torch": ("in_channels", "out_channels", "kernel_size", "stride", "padding", "dilation", "groups", "bias", "padding_mode"),
    "mindspore": ("in_channels", "out_channels", "kernel_size", "stride", "pad_mode", "padding", "dilation", "groups", "bias"),
    "keras": ("out_channels", "kernel_size", "stride", "padding"),
    "flax": ("in_channels", "out_channels", "kernel_size", "stride"),
    "paddle": ("in_channels", "out_channels", "kernel_size", "stride", "padding", "dilation", "groups"),
}
OWN = {
    "torch": {},
    "mindspore": {"groups": "group", "bias": "has_bias"},
    "keras": {"out_channels": "filters", "stride": "strides", "dilation": "dilation_rate", "bias": "use_bias"},
    "flax": {"in_channels": "in_features", "out_channels": "out_features", "stride": "strides", "dilation": "kernel_dilation",
             "groups": "feature_group_count", "bias": "use_bias"},
    "paddle": {"bias": "bias_attr"},
}  # fmt: skip
MODES = ("zeros", "reflect", "replicate", "circular")
PADDINGS = {
    "torch": [{"padding": p, "padding_mode": mode} for p in (0, 1, 3, "(2,)", '"same"', '"valid"') for mode in MODES],
    "mindspore": [{"pad_mode": mode} for mode in ("same", "valid", "pad")] + [{"pad_mode": "pad", "padding": p} for p in (1, 2, 5)],
    "keras": [{"padding": f'"{word}"'} for word in ("valid", "same", "causal", "SAME")],
    "flax": [{"padding": p} for p in (*(f'"{w}"' for w in ("SAME", "SAME_LOWER", "VALID", "CAUSAL", "CIRCULAR", "REFLECT")),
                                      0, 2, "[(1, 2)]", "((3, 0),)", "[1]")],
    "paddle": [{"padding": p} for p in (0, 2, "[1, 2]", "[2]", '"SAME"', '"valid"', "[[0, 0], [0, 0], [2, 0]]")]
    + [{"padding": p, "padding_mode": mode} for p in (0, 1, 2) for mode in MODES],
}  # fmt: skip
CLASSES = {"torch": "nn.Conv1d", "mindspore": "nn.Conv1d", "keras": "layers.Conv1D", "flax": "nnx.Conv", "paddle": "nn.Conv1D"}
EXTRA = {"flax": ["rngs=nnx.Rngs(0)"]}
PAIRS = [("torch", "mindspore"), ("mindspore", "torch")] + [
    pair for other in ("keras", "flax", "paddle") for main in ("torch", "mindspore") for pair in ((other, main), (main, other))
]
PAIRS += [("keras", "flax"), ("keras", "paddle"), ("flax", "keras"), ("flax", "paddle"), ("paddle", "keras"), ("paddle", "flax")]


def written(framework, given, draw):
    """A call with some arguments by position and the rest by keyword in any order; words are quoted here."""
    given = {name: f'"{value}"' if value in (*MODES, "same", "valid", "pad") else value for name, value in given.items()}
    positional = list(itertools.takewhile(given.__contains__, NAMES[framework]))
    count = draw.randint(0, len(positional))
    keywords = [f"{OWN[framework].get(n, n)}={v}" for n, v in given.items() if n not in positional[:count]] + EXTRA.get(
        framework, []
    )
    draw.shuffle(keywords)
    return f"{CLASSES[framework]}({', '.join([*(str(given[n]) for n in positional[:count]), *keywords])})"


def calls(framework, count, seed):
    """Yield (call, sizes of the weight, every size): each padding with random sizes, again and again; each argument left out at times."""
    draw = random.Random(seed)
    for number in range(count):
        sizes = {name: draw.choice(values) for name, values in COMMON.items()}
        kernel, groups = sizes["kernel_size"], sizes["groups"]
        given = {"in_channels": CHANNELS[0], "out_channels": CHANNELS[1], **sizes} | PADDINGS[framework][
            number % len(PADDINGS[framework])
        ]
        if framework == "keras":
            del given["in_channels"]
        if framework == "flax":
            given["kernel_size"] = f"({kernel},)"
        defaults = {"stride": 1, "dilation": 1, "groups": 1, "padding_mode": "zeros"}
        given = {name: value for name, value in given.items() if defaults.get(name) != value or draw.random() < 0.5}
        if framework == "paddle" and given["bias"]:
            del given["bias"]
        yield written(framework, given, draw), (*CHANNELS, kernel, groups), sizes


INITIALIZERS = {
    "mindspore": [
        "", *(f', weight_init="{n}"' for n in ("normal", "Uniform", "xavier_uniform", "HeNormal", "he_uniform", "XavierNormal", "ones")),
        *(f", weight_init=initializer.{n}" for n in (
            "TruncatedNormal(0.5, 0.1, -1.0, 0.3)", "HeNormal(mode='fan_out')", "VarianceScaling(3.0, 'fan_avg', 'untruncated_normal')",
            "VarianceScaling()", "XavierUniform(gain=0.5)", "Normal(sigma=0.2, mean=1.0)", "Constant(0.25)", "Orthogonal(gain=2.0)",
            "Dirac()")),
        ", weight_init=0.125", ', bias_init="zeros"', ", bias_init=initializer.Normal(0.3)", ", bias_init=2",
    ],
    "torch": [""],
    "keras": [
        "", *(f', kernel_initializer="{n}"' for n in (
            "he_normal", "HeUniform", "lecun_normal", "glorot_normal", "random_normal", "random_uniform", "truncated_normal",
            "orthogonal", "variance_scaling", "ones")),
        *(f", kernel_initializer=keras.initializers.{n}" for n in (
            "RandomNormal(stddev=0.3, seed=1)", "VarianceScaling(2.0, mode='fan_out', distribution='untruncated_normal')",
            "TruncatedNormal(0.5, 0.2)", "RandomUniform(-0.1, 0.1)")),
        ', bias_initializer="random_normal"',
    ],
    "flax": [
        "", *(f", kernel_init=nnx.initializers.{n}" for n in (
            "he_normal()", "xavier_uniform()", "kaiming_uniform()", "normal(0.3)", "uniform(0.4)", "truncated_normal(0.2)",
            "variance_scaling(2.0, 'fan_out', 'normal')", "orthogonal()", "zeros", "constant(0.5)", "zeros_init()")),
        ", bias_init=nnx.initializers.normal(0.1)",
    ],
    "paddle": [
        "", *(f", weight_attr=nn.initializer.{n}" for n in (
            "KaimingNormal()", "KaimingUniform()", "XavierNormal()", "XavierUniform(gain=2.0)", "Uniform(-0.2, 0.2)",
            "TruncatedNormal(std=0.5)", "TruncatedNormal(0.1, 0.5, -0.4, 0.7)", "Orthogonal()", "Constant(0.5)", "Dirac()")),
        ", bias_attr=paddle.ParamAttr(initializer=nn.initializer.Normal(std=0.2))",
    ],
}  # fmt: skip
WIDE_CALL = {  # with a bias of 96 elements
    "torch": "nn.Conv1d(64, 96, 5{})", "mindspore": "nn.Conv1d(64, 96, 5, has_bias=True{})", "keras": "layers.Conv1D(96, 5{})",
    "flax": "nnx.Conv(64, 96, (5,), rngs=nnx.Rngs(3){})", "paddle": "nn.Conv1D(64, 96, 5{})",
}  # fmt: skip
WITHOUT = {("mindspore", "keras"), ("mindspore", "flax"), ("paddle", "keras"), ("paddle", "flax")}  # no dirac there


def translated(code, source, target, **more):
    """The translation, or None where it is refused."""
    try:
        return cp.translate(code, source, target, in_channels=more.pop("in_channels", CHANNELS[0]), **more)
    except cp.ConvPolicyError:
        return None


class Ran:
    """Everything this file executes, in one batch."""

    def __init__(self):
        self.batch, self.grid, self.laws = Batch(), {pair: [] for pair in PAIRS}, []
        for source in CLASSES:
            targets = [target for s, target in PAIRS if s == source]
            for number, (call, sizes, given) in enumerate(calls(source, CALLS[2 if source in MAIN else 1], seed=5)):
                effective = max((given["kernel_size"] - 1) * given["dilation"] + 1, 3)  # as wide as a circular pad
                lengths = [effective + more for more in BEYOND[: 3 if source in MAIN and number < CALLS[1] else 2]]
                job = self.batch.add(source, CUSTOMARY[source] + f"layer = {call}", sizes, lengths)
                for target in targets:
                    if number < CALLS[len(MAIN & {source, target})]:
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
        if _target != "mindspore" or _name not in (
            "softplus",
            "tanh",
        ):  # it has no softplus; its tanh is off by 1e-4, as the code says
            SPECIAL[f"{_name} for {_target}"] = ("keras", _target, _call, _S, _L, translated(_call, "keras", _target))
for _source, _target, _call in (
    ("mindspore", "torch", "nn.Conv1d(4, 8, 4, stride=3)"), ("keras", "torch", "layers.Conv1D(8, 4, strides=2, padding='same')"),
    ("flax", "mindspore", "nnx.Conv(4, 8, (4,), strides=2, padding='SAME_LOWER', rngs=nnx.Rngs(0))"),
    ("mindspore", "paddle", "nn.Conv1d(4, 8, 4, stride=3, dilation=2)"),
):  # fmt: skip
    SPECIAL[f"frozen: {_call}"] = (_source, _target, _call, _S, (11,), translated(_call, _source, _target, length=11))


@pytest.fixture(scope="module")
def ran():
    """Everything executed once."""
    return Ran()


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
    assert computed >= CALLS[len(MAIN & {source, target})] // 3


@pytest.mark.parametrize("title", SPECIAL)
def test_special_calls(ran, title):
    """Activations and pads frozen for a length compute the same; every wrong translation is rejected by the same judge."""
    assert ran.same(*ran.special[title]) == (not title.startswith("wrong")), [
        ran.batch.result(j).get("error") for j in ran.special[title][2:]
    ]


def largest_gap(a, b):
    """The two-sample Kolmogorov-Smirnov statistic."""
    both = np.sort(np.concatenate([a, b]))
    return np.abs(
        np.searchsorted(np.sort(a), both, side="right") / a.size - np.searchsorted(np.sort(b), both, side="right") / b.size
    ).max()


CHANCE = 1e-9  # of rejecting two equal laws


def laws_alike(a, b):
    """Whether two samples may be of one law: Smirnov's bound, and for constants equality."""
    a, b = a.ravel().astype(float), b.ravel().astype(float)
    if a.size != b.size or not np.ptp(a) or not np.ptp(b):
        return a.size == b.size and bool(np.allclose(np.unique(a), np.unique(b), rtol=2.0**-22, atol=0))
    return largest_gap(a, b) <= np.sqrt(-np.log(CHANCE / 2) / 2) * np.sqrt(2 / a.size)


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
