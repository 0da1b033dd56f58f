"""The MLX plugin of convpolicy: policies, random stream, backend, files and dialect. Importing it does not import mlx."""

from __future__ import annotations

import math

from convpolicy import Backend, Choice, Deferred, FileFormat, Native, Param, Policy, RandomStream, hookimpl, lazy

SOURCE = "mlx/python/mlx/nn/layers/convolution.py, class Conv1d"
# uniform ±√(1/fan) with the fan of a layer without groups
BEFORE_GROUPS = Choice("variance_scaling", fan="fan_in_all_groups", gain=math.sqrt(1 / 3), distribution="uniform")


def _policy(name: str, weight_init: Choice, versions: str, measured: str, fan: str) -> Policy:
    return Policy(
        name,
        weight_init=weight_init,
        bias_init="zeros",
        layout="OWI",
        data_layout="NWC",
        random_stream="mlx",
        framework="mlx",
        versions=versions,
        measured=measured,
        source=SOURCE,
        description=f"No padding; bias of zeros; weight uniform ±√(1/{fan}), stored as (out, kernel, in/groups).",
    )


@hookimpl
def convpolicy_policies() -> list[Policy]:
    """Return the policies ``mlx`` and ``mlx@0.32.3``, which differ in the initial weights of layers with groups."""
    return [
        _policy("mlx", Choice("uniform"), ">=0.32.4,<0.33", "0.32.4", "fan_in"),
        _policy("mlx@0.32.3", BEFORE_GROUPS, ">=0.29.4,<0.32.4", "0.29.4, 0.31.2, 0.32.3", "(in_channels · kernel)"),
    ]


@hookimpl
def convpolicy_random_streams() -> list[RandomStream]:
    """Return the random stream ``mlx``."""
    return [
        RandomStream(
            "mlx",
            lazy("convpolicy_mlx.random", "MlxStream"),
            params={"init_dtype": Param("float32", kind="name", allowed=("float32", "same"))},
            description="The numbers after mx.random.seed(seed): one threefry key per tensor, each split from the previous key.",
        )
    ]


@hookimpl
def convpolicy_backends() -> list[Backend]:
    """Return the backend ``mlx``."""
    return [
        Backend(
            "mlx",
            lazy("convpolicy_mlx.layer", "build"),
            run=lazy("convpolicy_mlx.layer", "run"),
            parameters=lazy("convpolicy_mlx.layer", "parameters"),
            assign=lazy("convpolicy_mlx.layer", "assign"),
            capture=lazy("convpolicy_mlx.capturing", "capture"),
            convolutions=lazy("convpolicy_mlx.models", "convolutions"),
            gradients=lazy("convpolicy_mlx.layer", "gradients"),
            learns=True,
            dtypes=("float32", "float16", "bfloat16"),  # MLX refuses most float64 convolutions
            framework="mlx",
            install="convpolicy-mlx[mlx]",
            layout="OWI",
            description="A plain mlx.nn.Conv1d where it can express the policy, otherwise a subclass that pads by a plan.",
        )
    ]


@hookimpl
def convpolicy_natives() -> list[Native]:
    """Return ``mlx.nn.Conv1d``, for ``convpolicy verify``."""
    return [Native(name, "convpolicy_mlx.native", description="mlx.nn.Conv1d.") for name in ("mlx", "mlx@0.32.3")]


@hookimpl
def convpolicy_file_formats() -> list[FileFormat]:
    """Return the file format ``mlx.npz`` of ``mlx.nn.Module.save_weights``, which stores bfloat16 as ``|V2``."""
    reader, writer = lazy("convpolicy_mlx.files", "MlxNpzReader"), lazy("convpolicy_mlx.files", "MlxNpzWriter")
    description = "NumPy archives of MLX, with bfloat16; they cannot store metadata."
    return [FileFormat("mlx.npz", reader, writer, keeps_metadata=False, description=description)]


@hookimpl
def convpolicy_dialects() -> list[Deferred]:
    """Return the dialect ``mlx``."""
    return [Deferred("dialect", "mlx", lazy("convpolicy_mlx.dialect", "dialect"))]
