"""Code around Paddle's Conv1D that ``translate`` knows: containers, wrappers, casts and similar layers."""

from __future__ import annotations

from convpolicy.translation.surroundings import FOLD, Surroundings, functional

SURROUNDINGS = Surroundings(
    layers=("paddle.nn.*",),
    values=(
        "paddle.nn.Layer", "paddle.nn.Parameter", "paddle.nn.ParameterList", "paddle.nn.ClipGradByGlobalNorm",
        "paddle.nn.ClipGradByNorm", "paddle.nn.ClipGradByValue",
    ),
    alike={
        "paddle.nn.functional.conv1d_transpose": functional("paddle.nn.Conv1DTranspose"),
    },
    containers=("paddle.nn.Sequential", "paddle.nn.LayerList", "paddle.nn.LayerDict"),
    wrappers={"paddle.nn.utils.spectral_norm": "divides its weight by the largest singular value"},
    remarks={
        "paddle.nn.utils.weight_norm": FOLD,
        "paddle.DataParallel": "it runs the layer on several devices",
        "paddle.jit.to_static": "it compiles the layer",
    },
    casts={
        "half": "float16", "float16": "float16", "float": "float32", "double": "float64", "bfloat16": "bfloat16", "astype": None,
        "to": None, "type": None,
    },
    methods={"cuda": "move the layer yourself", "cpu": "", "eval": "", "train": "", "requires_grad_": "it only matters in training"},
    appliers=("apply",),
)  # fmt: skip
