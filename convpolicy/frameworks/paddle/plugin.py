"""PaddlePaddle: policy, padding rule, random stream, backend and native layer. Importing it does not import paddle."""

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
    """As same_upper, for dilation 1 only: Paddle's 'SAME' computes any other layer with dilation 1, without saying so.

    Source: paddle/phi/kernels/cpu/conv_util.h, UpdatePaddingAndDilation.
    """
    if dilation > 1:
        raise ValueError(
            f"dilation must be 1, got {dilation}, which Paddle's 'SAME' would silently take for 1; pass 1 for what Paddle computes "
            f"or padding='same_upper' for what was meant."
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
            description="No padding, bias of zeros, weight N(0, 2 / (in_channels · kernel)), also with groups.",
        )
    ]


@hookimpl
def convpolicy_random_streams() -> list[RandomStream]:
    """Return the random stream ``paddle``."""
    return [
        RandomStream("paddle", lazy(f"{ROOM}.stream", "PaddleStream"), description="paddle.seed(seed): one mt19937_64 generator.")
    ]


def default_dtype() -> str:
    """Return what ``paddle.set_default_dtype`` set; whoever called that has imported Paddle."""
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
            dtypes=("float32", "float64"),  # Paddle 3.3 has no narrower convolution on the CPU
            description="paddle.nn.Conv1D itself, or a subclass that pads by the plan where it cannot express the policy.",
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
    """Return Paddle's files, which are not read: what to do with each."""
    return [FileFormat(suffix, instead=instead) for suffix, instead in OTHER_FILES.items()]
