"""The generated calls of each framework's transposed convolution that `test_translate_transposed` executes."""

from __future__ import annotations

import random

CHANNELS = (4, 8)
LENGTHS = (8, 11)  # of the inputs
COUNT = 18  # calls of a framework
KERNELS, STRIDES, DILATIONS = (1, 2, 3, 4, 5, 7), (1, 2, 3, 4), (1, 1, 1, 2, 3)
GROUPS = (1, 1, 1, 2, 4)
TEMPLATES = {
    "torch": "nn.ConvTranspose1d(4, 8, {kernel}, {stride}, dilation={dilation}, groups={groups}, bias={bias}, {crop})",
    "mindspore": "nn.Conv1dTranspose(4, 8, {kernel}, {stride}, dilation={dilation}, group={groups}, has_bias={bias}, {crop})",
    "keras": "layers.Conv1DTranspose(8, {kernel}, {stride}, dilation_rate={dilation}, use_bias={bias}, {crop})",
    "flax": "nnx.ConvTranspose(4, 8, ({kernel},), {stride}, kernel_dilation={dilation}, use_bias={bias}, {crop}, rngs=nnx.Rngs(0))",
    "paddle": "nn.Conv1DTranspose(4, 8, {kernel}, {stride}, dilation={dilation}, groups={groups}, bias_attr={attr}, {crop})",
}
WITHOUT_GROUPS = ("keras", "flax")
CROPS = {
    "torch": [f"padding={p}, output_padding={more}" for p in (0, 1, 2, "(3,)", 5) for more in (0, 1, 2)],
    "mindspore": [*(f'pad_mode="{mode}"' for mode in ("same", "valid", "pad")), *(f'pad_mode="pad", padding={p}' for p in (1, 2, 3))],
    "keras": [  # on TensorFlow, output_padding=0 with "same" aborts the process for an even kernel
        *(f'padding="{word}"' for word in ("valid", "same", "SAME")),
        *(f'padding="{word}", output_padding={more}' for word, more in (("valid", 0), ("valid", 1), ("same", 1), ("same", 2))),
    ],
    "flax": [
        f"padding={padding}, transpose_kernel={flag}"
        for padding in ('"SAME"', '"VALID"', '"CIRCULAR"', '"SAME_LOWER"', '"same"', '"valid"', 0, 2, "[(1, 2)]", "((3, 0),)", "[1]")
        for flag in (False, True)
    ],
    "paddle": [
        f"padding={padding}, output_padding={more}"
        for padding in (0, 1, 3, "[1, 2]", "[2]", '"SAME"', '"valid"', "[[0, 0], [0, 0], [2, 0]]")
        for more in (0, 0, 1)
    ],
}  # fmt: skip


def calls(framework: str, count: int, seed: int):
    """Yield (call, sizes of the weight, every size): each crop with random sizes, again and again."""
    draw = random.Random(seed)
    for number in range(count):
        sizes = {
            "kernel": draw.choice(KERNELS), "stride": draw.choice(STRIDES), "dilation": draw.choice(DILATIONS),
            "groups": 1 if framework in WITHOUT_GROUPS else draw.choice(GROUPS), "bias": draw.choice((True, False)),
        }  # fmt: skip
        crop = CROPS[framework][number % len(CROPS[framework])]
        call = TEMPLATES[framework].format(**sizes, crop=crop, attr=None if sizes["bias"] else False)
        yield call, (*CHANNELS, sizes["kernel"], sizes["groups"]), sizes


WIDE = (64, 96, 5, 1)  # sizes of the layers whose initial values are looked at: 30 720 weights
WIDE_CALLS = {
    "torch": ["nn.ConvTranspose1d(64, 96, 5)"],
    "mindspore": [
        f"nn.Conv1dTranspose(64, 96, 5, has_bias=True{more})"
        for more in ("", ', weight_init="he_uniform"', ", weight_init=initializer.HeNormal(mode='fan_out')")
    ],
    "keras": [
        f"layers.Conv1DTranspose(96, 5{more})"
        for more in (
            "", ', kernel_initializer="he_normal"',
            ", kernel_initializer=keras.initializers.VarianceScaling(2.0, mode='fan_out', distribution='untruncated_normal')",
        )
    ],
    "flax": [
        f"nnx.ConvTranspose(64, 96, (5,), rngs=nnx.Rngs(3){more})"
        for more in ("", ", transpose_kernel=True", ", kernel_init=nnx.initializers.variance_scaling(2.0, 'fan_out', 'uniform')")
    ],
    "paddle": [
        f"nn.Conv1DTranspose(64, 96, 5{more})" for more in ("", ", weight_attr=nn.initializer.KaimingNormal()")
    ],
}  # fmt: skip
