"""The generated calls of each framework's Conv1d that `test_translate_everywhere` executes."""

from __future__ import annotations

import itertools
import random

CHANNELS = (4, 8)
LAWS = (64, 96, 5, 1)  # sizes of the layers whose initial values are looked at: 30 720 weights
BEYOND = (0, 1, 6)  # input lengths, counted from the effective kernel on
MAIN = {"torch", "mindspore"}
CALLS = {2: 240, 1: 28, 0: 12}  # calls of a pair, by how many of MAIN are in it
COMMON = {"kernel_size": (1, 2, 3, 4, 5), "stride": (1, 2, 3), "dilation": (1, 2, 3), "groups": (1, 2, 4), "bias": (True, False)}
NAMES = {
    "torch": (
        "in_channels",
        "out_channels",
        "kernel_size",
        "stride",
        "padding",
        "dilation",
        "groups",
        "bias",
        "padding_mode",
        "device",
        "dtype",
    ),
    "mindspore": (
        "in_channels",
        "out_channels",
        "kernel_size",
        "stride",
        "pad_mode",
        "padding",
        "dilation",
        "groups",
        "bias",
        "weight_init",
        "bias_init",
        "dtype",
    ),
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
DETAILS = {  # that leave the outputs as they are
    "torch": {"device": (None, '"cpu"'), "dtype": (None, "torch.float32")},
    "mindspore": {"weight_init": (None, '"normal"', 0.5), "bias_init": (None, '"zeros"'), "dtype": ("mindspore.float32",)},
    "keras": {"name": ('"c"',), "kernel_regularizer": (None, '"l2"')},
}
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
        given |= {name: draw.choice(values) for name, values in DETAILS.get(framework, {}).items() if draw.random() < 0.5}
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
