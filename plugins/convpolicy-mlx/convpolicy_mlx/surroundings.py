"""Code around ``mlx.nn.Conv1d`` that ``translate`` knows: containers, casts and similar layers."""

from __future__ import annotations

from convpolicy.translation.surroundings import Surroundings

TRANSPOSED = "it has no weights; write mlx.nn.ConvTranspose1d and assign these weights"
FUNCTION = "it has no weights; write mlx.nn.Conv1d and assign these weights"
SURROUNDINGS = Surroundings(
    layers=("mlx.nn.*",),
    values=("mlx.nn.Module",),
    alike={
        "mlx.core.conv1d": FUNCTION,
        "mlx.core.conv_general": FUNCTION,
        "mlx.core.conv_transpose1d": TRANSPOSED,
    },
    containers=("mlx.nn.Sequential",),
    remarks={"mlx.core.compile": "it compiles the layer"},
    casts={"set_dtype": None},
    methods={"eval": "", "train": "", "freeze": "it only matters in training", "unfreeze": "it only matters in training"},
    appliers=("apply", "apply_to_modules"),
)
