"""The PaddlePaddle plugin: policy, padding rule, random stream, backend and native layer. Importing it does not import paddle."""

from __future__ import annotations

import sys

from convpolicy.conversion.formats import FileFormat
from convpolicy.core.policy import Policy
from convpolicy.core.transposed_policy import TransposedPolicy
from convpolicy.frameworks.shared_words import backend
from convpolicy.layers.backend import Backend
from convpolicy.library.padding_rules import SAME_UPPER, same_upper
from convpolicy.parts.choice import Choice
from convpolicy.parts.crop import CropRule
from convpolicy.parts.padding import PaddingRule
from convpolicy.parts.part import Param
from convpolicy.parts.stream import RandomStream
from convpolicy.registry.deferred import Deferred, lazy
from convpolicy.registry.marks import hookimpl
from convpolicy.verification.native import Native

ROOM = "convpolicy.frameworks.paddle"
GRAPH = "a saved Paddle graph; load the model that it was made from, and save {name: value.numpy()} of its state_dict() as .npz"
OPTIMIZER = "the state of an optimizer; convert the parameters beside it, which end in .pdparams"
OTHER_FILES = {".pdopt": OPTIMIZER, ".pdmodel": GRAPH, ".pdiparams": GRAPH}


def same_needs_length(kernel: int, stride: int, dilation: int) -> bool:
    """Return True if the numbers of 'SAME' depend on the length; a refused dilation is refused for every length."""
    needs = SAME_UPPER.needs_length
    return dilation == 1 and (needs(kernel, stride, dilation) if callable(needs) else needs)


def _refuse_dilation(dilation: int, fix: str) -> None:
    if dilation > 1:
        raise ValueError(
            f"dilation must be 1, got {dilation}, which Paddle's 'SAME' silently sets to 1; pass 1 to compute the same as Paddle, or "
            f"{fix} to keep the dilation."
        )


def paddle_same(kernel: int, stride: int, dilation: int, length: int | None) -> tuple[int, int]:
    """same_upper for dilation 1; other dilations are refused, since Paddle's 'SAME' silently sets them to 1.

    Source: paddle/phi/kernels/cpu/conv_util.h, UpdatePaddingAndDilation.
    """
    _refuse_dilation(dilation, "padding='same_upper'")
    return same_upper(kernel, stride, dilation, length, odd_side="right")


def paddle_same_cut(kernel: int, stride: int, dilation: int, length: int | None, *, output_padding: int) -> tuple[int, int]:
    """Cut what 'SAME' of a convolution adds to the same input, with output_padding samples more on the right.

    For a kernel of at least the stride, there are length * stride outputs only if the length is a multiple of the stride. A dilation
    above 1 is refused, since Paddle's 'SAME' silently sets it to 1.
    Source: paddle/phi/kernels/cpu/conv_util.h, UpdatePaddingAndDilation, as measured.
    """
    _refuse_dilation(dilation, "a pair (left, right) as padding")
    left, right = same_upper(kernel, stride, dilation, length, odd_side="right")
    if output_padding and output_padding >= stride:
        raise ValueError(f"output_padding must be below the stride, {stride}, got {output_padding}; pass less.")
    return left, right - output_padding


@hookimpl
def convpolicy_padding_rules() -> list[PaddingRule]:
    """Return Paddle's own 'SAME'."""
    return [PaddingRule("paddle_same", paddle_same, needs_length=same_needs_length, declares=SAME_UPPER.declares)]


@hookimpl
def convpolicy_crop_rules() -> list[CropRule]:
    """Return Paddle's own 'SAME' of transposed convolutions."""
    params = {"output_padding": Param(0, kind="integer")}
    return [CropRule("paddle_same", paddle_same_cut, needs_length=same_needs_length, params=params)]


@hookimpl
def convpolicy_policies() -> list[Policy]:
    """Return the policy ``paddle``."""
    return [
        Policy(
            "paddle",
            weight_init=Choice("he_normal", fan="fan_in_all_groups"),
            bias_init="zeros",
            random_stream="paddle",
            padding_names=(("SAME", "paddle_same"), ("same", "paddle_same"), ("VALID", "valid"), ("valid", "valid")),
            framework="paddle",
            versions=">=3.3,<3.4",
            measured="3.3.1",
            source="python/paddle/nn/layer/conv.py, class Conv1D",
            description="No padding; bias of zeros; weight N(0, 2 / (in_channels · kernel)), also with groups.",
            transposed=TransposedPolicy(
                "paddle",
                weight_init="glorot_uniform",
                bias_init="zeros",
                random_stream="paddle",
                padding_names=(("SAME", "paddle_same"), ("same", "paddle_same"), ("VALID", "explicit"), ("valid", "explicit")),
                dilated_output_padding=False,
                framework="paddle",
                versions=">=3.3,<3.4",
                measured="3.3.1",
                source="python/paddle/nn/layer/conv.py, class Conv1DTranspose",
                description="Cuts nothing; bias of zeros; weight uniform ±√(6 / (fan_in + fan_out)), where fan_in is "
                "out_channels // groups * kernel_size and fan_out is in_channels * kernel_size.",
            ),
        )
    ]


@hookimpl
def convpolicy_random_streams() -> list[RandomStream]:
    """Return the random stream ``paddle``."""
    return [
        RandomStream(
            "paddle",
            lazy(f"{ROOM}.stream", "PaddleStream"),
            description="The numbers after paddle.seed(seed): one mt19937_64 generator.",
        )
    ]


def default_dtype() -> str:
    """Return the default dtype of Paddle; float32 while Paddle is not imported, since nobody can have changed it."""
    paddle = sys.modules.get("paddle")
    return "float32" if paddle is None else str(paddle.get_default_dtype())


@hookimpl
def convpolicy_backends() -> list[Backend]:
    """Return the backend ``paddle``."""
    return [
        backend(
            "paddle",
            f"{ROOM}.layer",
            build_transposed=lazy(f"{ROOM}.transposed", "build"),
            capture=lazy(f"{ROOM}.capture", "capture"),
            arrays=lazy(f"{ROOM}.arrays", "PaddleArrays"),
            convolutions=lazy(f"{ROOM}.models", "convolutions"),
            reader=lazy(f"{ROOM}.reader", "reader"),
            tensors=lazy(f"{ROOM}.tensors", "tensors"),
            schemes=lazy(f"{ROOM}.tensor_names", "schemes"),
            default_dtype=default_dtype,
            dtypes=("float32", "float64"),  # on the CPU Paddle 3.3 has no convolution of other dtypes
            description="A plain paddle.nn.Conv1D or Conv1DTranspose where it can express the policy, otherwise a subclass that follows a plan.",
        )
    ]


@hookimpl
def convpolicy_natives() -> list[Native]:
    """Return Paddle's own layers, for ``verify``."""
    return [
        Native(
            "paddle",
            f"{ROOM}.native",
            transposed=f"{ROOM}.native_transposed",
            description="paddle.nn.Conv1D and paddle.nn.Conv1DTranspose.",
        )
    ]


@hookimpl
def convpolicy_dialects() -> list[Deferred]:
    """Return the dialect ``paddle``."""
    return [Deferred("dialect", "paddle", lazy(f"{ROOM}.dialect", "dialect"))]


@hookimpl
def convpolicy_file_formats() -> list[FileFormat]:
    """Return the format of ``paddle.save``, and formats that refuse other files of Paddle and name the alternative."""
    parameters = FileFormat(
        ".pdparams",
        lazy(f"{ROOM}.files", "PaddleReader"),
        lazy(f"{ROOM}.files", "PaddleWriter"),
        keeps_metadata=False,
        description="A state dict of paddle.save; only arrays are unpickled, and the file cannot store metadata.",
    )
    return [parameters] + [
        FileFormat(suffix, instead=instead, description="A file of Paddle that cannot be read.")
        for suffix, instead in OTHER_FILES.items()
    ]
