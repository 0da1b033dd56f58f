"""The MLX plugin of convpolicy: policies, random stream, backend, files and dialect. Importing it does not import mlx."""

from __future__ import annotations

import math

from convpolicy import (
    Backend,
    Choice,
    CropRule,
    Deferred,
    FileFormat,
    Layout,
    Native,
    Param,
    Policy,
    RandomStream,
    TransposedPolicy,
    hookimpl,
    lazy,
)
from convpolicy_mlx.crop_rules import mlx_explicit

SOURCE = "mlx/python/mlx/nn/layers/convolution.py, class Conv1d"
TRANSPOSED_SOURCE = "mlx/python/mlx/nn/layers/convolution_transpose.py, class ConvTranspose1d"
LAYOUTS = ("OWI", "OWI-transposed")  # of Conv1d and of ConvTranspose1d
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
        transposed=_half(name, versions, measured),
    )


def _half(name: str, versions: str, measured: str) -> TransposedPolicy:
    return TransposedPolicy(
        name,
        padding="mlx_explicit",
        weight_init="uniform",
        bias_init="zeros",
        layout=LAYOUTS[True],
        data_layout="NWC",
        random_stream="mlx",
        framework="mlx",
        versions=versions,
        measured=measured,
        source=TRANSPOSED_SOURCE,
        description="Cuts nothing; bias of zeros; weight uniform ±√(1/fan_in), stored as (out, kernel, in). The layer has no groups.",
    )


@hookimpl
def convpolicy_policies() -> list[Policy]:
    """Return the policies ``mlx`` and ``mlx@0.32.3``, which differ in the initial weights of layers with groups."""
    return [
        _policy("mlx", Choice("uniform"), ">=0.32.4,<0.33", "0.32.4", "fan_in"),
        _policy("mlx@0.32.3", BEFORE_GROUPS, ">=0.29.4,<0.32.4", "0.29.4, 0.31.2, 0.32.3", "(in_channels · kernel)"),
    ]


@hookimpl
def convpolicy_crop_rules() -> list[CropRule]:
    """Return the crop rule ``mlx_explicit``."""
    return [
        CropRule("mlx_explicit", mlx_explicit, params={name: Param(0, kind="offset") for name in ("padding", "output_padding")})
    ]


@hookimpl
def convpolicy_layouts() -> list[Layout]:
    """Return the layout of ``mlx.nn.ConvTranspose1d``; that of ``mlx.nn.Conv1d`` is built in."""
    return [
        Layout(
            LAYOUTS[True],
            "OWI",
            transposed=True,
            description="Weight (out/groups, kernel, in) of a transposed convolution: MLX, whose own layer has no groups.",
        )
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
            build_transposed=lazy("convpolicy_mlx.transposed", "build"),
            run=lazy("convpolicy_mlx.arrays", "run"),
            parameters=lazy("convpolicy_mlx.arrays", "parameters"),
            assign=lazy("convpolicy_mlx.arrays", "assign"),
            capture=lazy("convpolicy_mlx.capturing", "capture"),
            convolutions=lazy("convpolicy_mlx.models", "convolutions"),
            tensors=lazy("convpolicy_mlx.tensors", "tensors"),
            schemes=lazy("convpolicy_mlx.tensor_names", "schemes"),
            gradients=lazy("convpolicy_mlx.arrays", "gradients"),
            reader=lazy("convpolicy_mlx.reader", "reader"),
            arrays=lazy("convpolicy_mlx.chunks", "MlxArrays"),
            learns=True,
            dtypes=("float32", "float16", "bfloat16"),  # MLX refuses most float64 convolutions
            framework="mlx",
            install="convpolicy-mlx[mlx]",
            layout=LAYOUTS[False],
            transposed_layout=LAYOUTS[True],
            description="A plain mlx.nn.Conv1d or ConvTranspose1d where it can express the policy, otherwise a subclass that pads or cuts by a plan.",
        )
    ]


@hookimpl
def convpolicy_natives() -> list[Native]:
    """Return ``mlx.nn.Conv1d`` and ``mlx.nn.ConvTranspose1d``, for ``convpolicy verify``."""
    return [
        Native(
            name,
            "convpolicy_mlx.native",
            transposed="convpolicy_mlx.native_transposed",
            description="mlx.nn.Conv1d and mlx.nn.ConvTranspose1d.",
        )
        for name in ("mlx", "mlx@0.32.3")
    ]


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
