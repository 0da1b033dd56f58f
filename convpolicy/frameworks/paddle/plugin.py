"""The PaddlePaddle plugin: policy, padding rule, random stream, backend and native layer. Importing it does not import paddle."""

from __future__ import annotations

import sys

from convpolicy.conversion.formats import FileFormat
from convpolicy.core.policy import Policy
from convpolicy.frameworks.shared_words import backend
from convpolicy.layers.backend import Backend
from convpolicy.library.padding_rules import SAME_UPPER, same_upper
from convpolicy.parts.choice import Choice
from convpolicy.parts.padding import PaddingRule
from convpolicy.parts.stream import RandomStream
from convpolicy.registry.deferred import Deferred, lazy
from convpolicy.registry.marks import hookimpl
from convpolicy.verification.native import Native

ROOM = "convpolicy.frameworks.paddle"
PARAMETERS = "parameters that paddle.save pickled; load them with paddle.load, and save {name: value.numpy()} of each with numpy.savez as .npz"
GRAPH = "a saved Paddle graph; load the model that it was made from, and save {name: value.numpy()} of its state_dict() as .npz"
OTHER_FILES = {".pdparams": PARAMETERS, ".pdopt": PARAMETERS, ".pdmodel": GRAPH, ".pdiparams": GRAPH}


def paddle_same(kernel: int, stride: int, dilation: int, length: int | None) -> tuple[int, int]:
    """same_upper for dilation 1; other dilations are refused, since Paddle's 'SAME' silently sets them to 1.

    Source: paddle/phi/kernels/cpu/conv_util.h, UpdatePaddingAndDilation.
    """
    if dilation > 1:
        raise ValueError(
            f"dilation must be 1, got {dilation}, which Paddle's 'SAME' silently sets to 1; pass 1 to compute the same as Paddle, or "
            f"padding='same_upper' to keep the dilation."
        )
    return same_upper(kernel, stride, dilation, length, odd_side="right")


@hookimpl
def convpolicy_padding_rules() -> list[PaddingRule]:
    """Return Paddle's own 'SAME'."""
    return [PaddingRule("paddle_same", paddle_same, needs_length=SAME_UPPER.needs_length, declares=SAME_UPPER.declares)]


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
            capture=lazy(f"{ROOM}.capture", "capture"),
            convolutions=lazy(f"{ROOM}.models", "convolutions"),
            default_dtype=default_dtype,
            dtypes=("float32", "float64"),  # on the CPU Paddle 3.3 has no convolution of other dtypes
            description="A plain paddle.nn.Conv1D where it can express the policy, otherwise a subclass that pads by a plan.",
        )
    ]


@hookimpl
def convpolicy_natives() -> list[Native]:
    """Return Paddle's own layer, for ``verify``."""
    return [Native("paddle", f"{ROOM}.native", description="paddle.nn.Conv1D.")]


@hookimpl
def convpolicy_dialects() -> list[Deferred]:
    """Return the dialect ``paddle``."""
    return [Deferred("dialect", "paddle", lazy(f"{ROOM}.dialect", "dialect"))]


@hookimpl
def convpolicy_file_formats() -> list[FileFormat]:
    """Return formats that refuse Paddle's own files and name the alternative."""
    return [
        FileFormat(suffix, instead=instead, description="A file of Paddle that cannot be read.")
        for suffix, instead in OTHER_FILES.items()
    ]
