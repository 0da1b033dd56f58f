"""The calls that `test_dialect` translates, executes and compares."""

from __future__ import annotations

import random

MODES = ("zeros", "reflect", "replicate", "circular")
CLASSES = {
    "mlx": "nn.Conv1d(4, 8, {kernel}, stride={stride}, dilation={dilation}, groups={groups}, bias={bias}, {padding})",
    "torch": "nn.Conv1d(4, 8, {kernel}, stride={stride}, dilation={dilation}, groups={groups}, bias={bias}, {padding})",
    "mindspore": "nn.Conv1d(4, 8, {kernel}, stride={stride}, dilation={dilation}, group={groups}, has_bias={bias}, {padding})",
    "keras": "layers.Conv1D(8, {kernel}, strides={stride}, dilation_rate={dilation}, groups={groups}, use_bias={bias}, {padding})",
    "flax": "nnx.Conv(4, 8, ({kernel},), strides={stride}, kernel_dilation={dilation}, feature_group_count={groups}, use_bias={bias}, "
    "{padding}, rngs=nnx.Rngs(0))",
    "paddle": "nn.Conv1D(4, 8, {kernel}, stride={stride}, dilation={dilation}, groups={groups}, bias={bias}, {padding})",
}
PADDINGS = {
    "mlx": [f"padding={padding}" for padding in (0, 1, 2, 3, 7)],
    "torch": [f'padding={padding}, padding_mode="{mode}"' for padding in (0, 1, 3, "(2,)", '"same"', '"valid"') for mode in MODES],
    "mindspore": [
        *(f'pad_mode="{mode}"' for mode in ("same", "valid", "pad")),
        *(f'pad_mode="pad", padding={number}' for number in (1, 2, 5)),
    ],
    "keras": [f'padding="{word}"' for word in ("valid", "same", "causal")],
    "flax": [
        f"padding={padding}"
        for padding in (
            *(f'"{word}"' for word in ("SAME", "SAME_LOWER", "VALID", "CAUSAL", "CIRCULAR", "REFLECT")),
            0, 2, "[(1, 2)]", "((3, 0),)", "[1]",
        )
    ],
    "paddle": [
        *(f"padding={padding}" for padding in ("[1, 2]", "[2]", '"SAME"', '"valid"', "[[0, 0], [0, 0], [2, 0]]")),
        *(f'padding={padding}, padding_mode="{mode}"' for padding in (0, 1, 2) for mode in MODES),
    ],
}  # fmt: skip
ROUNDS = 3  # random sizes for each padding
LENGTHS = (0, 1, 6)  # input lengths, counted from the effective kernel on
WIDE = {  # 30 720 weights, and a bias of 96 elements
    "mlx": "nn.Conv1d(64, 96, 5{})", "torch": "nn.Conv1d(64, 96, 5{})", "mindspore": "nn.Conv1d(64, 96, 5, has_bias=True{})",
    "keras": "layers.Conv1D(96, 5{})", "flax": "nnx.Conv(64, 96, (5,), rngs=nnx.Rngs(3){})", "paddle": "nn.Conv1D(64, 96, 5{})",
}  # fmt: skip
INITIALIZERS = {
    "mlx": ["", ", groups=4"],
    "torch": ["", ", groups=4"],
    "mindspore": [
        "", *(f', weight_init="{name}"' for name in ("normal", "xavier_uniform", "HeNormal", "he_uniform", "XavierNormal", "ones")),
        *(f", weight_init=initializer.{name}" for name in (
            "TruncatedNormal(0.5, 0.1, -1.0, 0.3)", "HeNormal(mode='fan_out')", "VarianceScaling(3.0, 'fan_avg', 'untruncated_normal')",
            "Normal(sigma=0.2, mean=1.0)", "Constant(0.25)", "Orthogonal(gain=2.0)", "Dirac()")),
    ],
    "keras": [
        "", *(f', kernel_initializer="{name}"' for name in ("he_normal", "HeUniform", "glorot_normal", "orthogonal")),
        *(f", kernel_initializer=keras.initializers.{name}" for name in (
            "VarianceScaling(2.0, mode='fan_out', distribution='untruncated_normal')", "TruncatedNormal(0.5, 0.2)")),
        ', bias_initializer="random_normal"',
    ],
    "flax": ["", ", kernel_init=nnx.initializers.truncated_normal(0.2)", ", bias_init=nnx.initializers.normal(0.1), feature_group_count=4"],
    "paddle": ["", ", groups=4", ", weight_attr=nn.initializer.XavierUniform(gain=2.0)", ", weight_attr=nn.initializer.Uniform(-0.2, 0.2)"],
}  # fmt: skip


def calls(framework, rounds, seed=0):
    """Yield (call, sizes): every padding with random sizes, ``rounds`` times."""
    draw = random.Random(seed)
    for _round in range(rounds):
        for padding in PADDINGS[framework]:
            sizes = {"kernel": draw.randint(1, 5), "stride": draw.randint(1, 3), "dilation": draw.randint(1, 3)}
            sizes |= {"groups": draw.choice((1, 2, 4)), "bias": draw.choice((True, False))}
            if framework == "keras" and sizes["stride"] > 1:
                sizes["dilation"] = 1
            call = CLASSES[framework].format(**sizes, padding=padding)
            if framework == "paddle" and sizes["bias"]:
                call = call.replace("bias=True, ", "")
            yield call.replace("bias=False", "bias_attr=False") if framework == "paddle" else call, sizes
